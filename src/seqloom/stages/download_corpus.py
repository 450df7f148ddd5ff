"""download_corpus: fetch every corpus of params.yaml into data/raw, unchanged, with a manifest of the files.

Downloads are kept in scratch/downloads, because DVC empties data/raw before the stage runs, and an interrupted download
must be able to resume.
"""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seqloom.corpus.monolingual_settings import GitTexts, MonolingualSource
from seqloom.corpus.source_settings import FilePlace, GitSource, PackagePlace, Source, UrlPlace
from seqloom.corpus.sources.archives import safe_name
from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache, remove
from seqloom.corpus.sources.file import fetch_file
from seqloom.corpus.sources.git import fetch_git
from seqloom.corpus.sources.package import fetch_package
from seqloom.corpus.sources.url import fetch_url
from seqloom.errors import SourceError
from seqloom.files import sha256_of
from seqloom.params import Params
from seqloom.places import RAW, SCRATCH
from seqloom.progress import Listener

_MANIFEST = "manifest.json"


def run(params: Params, listen: Listener) -> None:
    """Fetch the corpora; data/raw changes only after all of them are fetched and verified.

    Raises:
        SourceError: a corpus cannot be fetched; the subclass says why.
    """
    mirror = os.environ.get(MIRROR_VARIABLE)
    RAW.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".part-", dir=RAW) as name:
        new = Path(name)
        for corpus, source in params.sources().items():
            kept = (RAW / corpus,)
            cache = DownloadCache(SCRATCH / "downloads", Path(mirror).expanduser() if mirror else None, kept)
            _fetch(corpus, source, source.languages(params.languages), new / corpus, cache, listen)
        manifest = {corpus: _entry(source, new, corpus) for corpus, source in sorted(params.sources().items())}
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (new / _MANIFEST).write_text(text, encoding="utf-8")
        for old in RAW.iterdir():
            if old != new:
                remove(old)
        for path in sorted(new.iterdir()):
            path.replace(RAW / path.name)


def _fetch(
    corpus: str,
    source: Source | MonolingualSource,
    languages: list[str],
    into: Path,
    cache: DownloadCache,
    listen: Listener,
) -> None:
    into.mkdir()
    match source:
        case PackagePlace():
            fetch_package(corpus, source, into, cache, listen)
        case UrlPlace():
            fetch_url(corpus, source, into, cache, listen)
        case FilePlace():
            fetch_file(corpus, source, languages, into, listen)
        case GitSource() | GitTexts():
            fetch_git(corpus, source, languages, into, cache, listen)
    if not any(path.is_file() for path in into.rglob("*")):
        raise SourceError(f"{corpus}: fetched no file; check corpora.{corpus} in params.yaml")


def _entry(source: Source | MonolingualSource, folder: Path, corpus: str) -> dict[str, Any]:
    files = sorted(path for path in (folder / corpus).rglob("*") if path.is_file())
    for path in files:
        safe_name(corpus, path.relative_to(folder / corpus).as_posix())  # manifest and logs contain the names
    return {
        "kind": source.kind,
        "files": [
            {"path": path.relative_to(folder).as_posix(), "sha256": sha256_of(path), "bytes": path.stat().st_size}
            for path in files
        ],
    }
