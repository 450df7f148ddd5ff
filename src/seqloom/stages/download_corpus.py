"""Stage download_corpus: every corpus of params.yaml into data/raw, as fetched, with a manifest of what lies there.

Downloads grow and stay in scratch/downloads: DVC empties data/raw before the stage runs, and an interrupted download
shall go on where it stopped.
"""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seqloom.corpus.settings import FileSource, GitSource, PackageSource, Source, UrlSource
from seqloom.corpus.sources.archives import safe_name
from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache, remove, sha256_of
from seqloom.corpus.sources.file import fetch_file
from seqloom.corpus.sources.git import fetch_git
from seqloom.corpus.sources.package import fetch_package
from seqloom.corpus.sources.url import fetch_url
from seqloom.errors import SourceError
from seqloom.languages import Direction
from seqloom.params import Params
from seqloom.progress import Listener
from seqloom.stages.places import RAW, SCRATCH

_MANIFEST = "manifest.json"


def run(params: Params, listen: Listener) -> None:
    """Fetch the corpora; data/raw changes only when all of them are there and right.

    Raises:
        SourceError: a corpus cannot be fetched, for a reason that its subclass names.
    """
    mirror = os.environ.get(MIRROR_VARIABLE)
    RAW.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".part-", dir=RAW) as name:
        new = Path(name)
        for corpus, source in params.corpora.items():
            kept = (RAW / corpus,)
            cache = DownloadCache(SCRATCH / "downloads", Path(mirror).expanduser() if mirror else None, kept)
            _fetch(corpus, source, source.directions(params.languages), new / corpus, cache, listen)
        manifest = {corpus: _entry(source, new, corpus) for corpus, source in sorted(params.corpora.items())}
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (new / _MANIFEST).write_text(text, encoding="utf-8")
        for old in RAW.iterdir():
            if old != new:
                remove(old)
        for path in sorted(new.iterdir()):
            path.replace(RAW / path.name)


def _fetch(
    corpus: str, source: Source, directions: list[Direction], into: Path, cache: DownloadCache, listen: Listener
) -> None:
    into.mkdir()
    match source:
        case PackageSource():
            fetch_package(corpus, source, into, cache, listen)
        case UrlSource():
            fetch_url(corpus, source, into, cache, listen)
        case FileSource():
            fetch_file(corpus, source, directions, into, listen)
        case GitSource():
            fetch_git(corpus, source, directions, into, cache, listen)
    if not any(path.is_file() for path in into.rglob("*")):
        raise SourceError(f"{corpus}: what was fetched holds no file; see corpora.{corpus} in params.yaml")


def _entry(source: Source, folder: Path, corpus: str) -> dict[str, Any]:
    files = sorted(path for path in (folder / corpus).rglob("*") if path.is_file())
    for path in files:
        safe_name(corpus, path.relative_to(folder / corpus).as_posix())  # the names go into the manifest, and into logs
    return {
        "kind": source.kind,
        "files": [
            {"path": path.relative_to(folder).as_posix(), "sha256": sha256_of(path), "bytes": path.stat().st_size}
            for path in files
        ],
    }
