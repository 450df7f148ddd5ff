"""download_corpus: fetch every corpus of params.yaml into data/raw, unchanged, with a manifest of the files.

All files are first downloaded into scratch/downloads, several at once, because DVC empties data/raw before the stage
runs, and an interrupted download must be able to resume. Then data/raw is filled from there.
"""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.monolingual_settings import MonolingualSource
from seqloom.corpus.sources.archives import safe_name
from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache, remove
from seqloom.corpus.sources.fetching import Fetching
from seqloom.corpus.sources.lock import SourceLock
from seqloom.corpus.sources.parallel import parallel_downloads, run_jobs
from seqloom.errors import SourceError
from seqloom.files import sha256_of
from seqloom.params import Params
from seqloom.places import RAW, SCRATCH, SOURCES_LOCK
from seqloom.progress import Listener

_MANIFEST = "manifest.json"


def run(params: Params, listen: Listener) -> None:
    """Fetch the corpora; data/raw changes only after all of them are fetched and verified.

    Raises:
        SourceError: a corpus cannot be fetched; the subclass says why. Files of others stay in the cache.
    """
    sources: dict[str, Source | MonolingualSource] = {**params.corpora, **params.monolingual}
    RAW.mkdir(parents=True, exist_ok=True)
    given = os.environ.get(MIRROR_VARIABLE)
    mirror, lock = Path(given).expanduser() if given else None, SourceLock(SOURCES_LOCK)
    corpora = {
        name: Fetching(
            name, source, params.languages, DownloadCache(SCRATCH / "downloads", mirror, (RAW / name,), lock)
        )
        for name, source in sources.items()
    }
    run_jobs([job for each in corpora.values() for job in each.jobs()], parallel_downloads(), listen)
    with TemporaryDirectory(prefix=".part-", dir=RAW) as part:
        new = Path(part)
        for name, each in corpora.items():
            (new / name).mkdir()
            each.fill(new / name, listen)
            if not any(path.is_file() for path in (new / name).rglob("*")):
                raise SourceError(f"{name}: fetched no file; check it in params.yaml")
        manifest = {name: _entry(source, new, name) for name, source in sorted(sources.items())}
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        (new / _MANIFEST).write_text(text, encoding="utf-8")
        for old in RAW.iterdir():
            if old != new:
                remove(old)
        for path in sorted(new.iterdir()):
            path.replace(RAW / path.name)


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
