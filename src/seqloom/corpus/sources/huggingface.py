"""The source `huggingface`: files of a data set on the Hugging Face Hub at one commit, through our own HTTP client.

No code of the data set is run, and no library of Hugging Face is needed. The list of files is looked up once and kept
in the lock file, so later runs need no API. HF_ENDPOINT sets a mirror. The token in HF_TOKEN is only sent to that host,
and only by https or on this machine.
"""

import os
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqloom.corpus.catalogue_settings import HuggingFaceSource
from seqloom.corpus.members import expand
from seqloom.corpus.monolingual_settings import HuggingFaceTexts
from seqloom.corpus.sources.archives import safe_name
from seqloom.corpus.sources.download import RemoteFile, obtain
from seqloom.corpus.sources.download_cache import DownloadCache, copy
from seqloom.corpus.sources.json_client import get_json
from seqloom.errors import SourceError
from seqloom.progress import Listener

HUB, ENDPOINT_VARIABLE, TOKEN_VARIABLE = "https://huggingface.co", "HF_ENDPOINT", "HF_TOKEN"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MOST_PAGES, _MOST_FILES = 1000, 100_000
_SHOWN = 5
_HASH_LENGTH = 64

Dataset = HuggingFaceSource | HuggingFaceTexts


def dataset_files(
    corpus: str, source: Dataset, languages: Sequence[str], cache: DownloadCache
) -> dict[str, RemoteFile]:
    """Return the files that `members` selects, by their path in the data set.

    Raises:
        SourceError: the data set, commit or files do not exist, or the token does not suffice.
    """
    listed = _listed(corpus, source, languages, cache)
    total = sum(int(entry["bytes"]) for entry in listed.values())
    if total > source.max_bytes:
        raise SourceError(f"{corpus}: the files have {total:,} bytes, more than max_bytes ({source.max_bytes:,})")
    endpoint, authorization = _endpoint()
    lock = "" if cache.lock is None else str(cache.lock.file)
    accept = f"a commit never changes, so compare with {HUB}; only if that is right, remove the entry from {lock}"
    files = {}
    for path, entry in listed.items():
        address = f"/datasets/{source.dataset}/resolve/{source.commit}/{urllib.parse.quote(path)}"
        name = "_".join(safe_name(corpus, path).parts)[-200:]
        files[path] = RemoteFile(
            endpoint + address, name, entry["sha256"], source.max_bytes, f"dataset of {corpus}", HUB + address, accept,
            authorization, int(entry["bytes"]),
        )  # fmt: skip
    return files


def fetch_dataset(
    corpus: str,
    source: Dataset,
    files: dict[str, RemoteFile],
    into: Path,
    cache: DownloadCache,
    listen: Listener,
) -> None:
    """Put the files into the folder `into`, with their paths in the data set. Raises `SourceError`."""
    for path, file in files.items():
        found = obtain(corpus, file, cache, listen)
        target = into / safe_name(corpus, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(found, target, f"copy {corpus}", listen)


def newest_commit(corpus: str, source: Dataset) -> str:
    """Return the branch's current commit. Raises `SourceError`."""
    endpoint, authorization = _endpoint()
    branch = urllib.parse.quote(source.branch or "main", safe="")
    content = get_json(corpus, f"{endpoint}/api/datasets/{source.dataset}/revision/{branch}", authorization).content
    commit = content.get("sha") if isinstance(content, dict) else None
    if not isinstance(commit, str):
        raise SourceError(f"{corpus}: the hub gave no commit for the branch {source.branch!r} of {source.dataset}")
    return commit


def _endpoint() -> tuple[str, str]:
    """Return the address of the hub or its mirror, and the header with the token if it may be sent there."""
    endpoint = (os.environ.get(ENDPOINT_VARIABLE) or HUB).rstrip("/")
    token, parts = os.environ.get(TOKEN_VARIABLE), urllib.parse.urlsplit(endpoint)
    safe = parts.scheme == "https" or parts.hostname in _LOOPBACK
    usable = token and safe and token.isascii() and token.isprintable()
    return endpoint, f"Bearer {token}" if usable else ""


def _listed(corpus: str, source: Dataset, languages: Sequence[str], cache: DownloadCache) -> dict[str, dict[str, Any]]:
    """Return the size, and the SHA-256 if the hub knows it, of the selected files."""
    # Without {lang}, the files do not depend on the languages.
    members = source.members or ""
    chosen = ",".join(languages) if "{lang}" in members else ""
    name = f"{HUB}/datasets/{source.dataset}/tree/{source.commit}?members={members}&languages={chosen}"
    kept = cache.lock.looked_up(name) if cache.lock is not None else None
    if isinstance(kept, dict) and all(map(_is_valid, kept.values())):
        return kept
    patterns = [expand(members, each) for each in (languages if chosen else [""])]
    every = _tree(corpus, source)
    listed = {path: entry for path, entry in sorted(every.items()) if any(each.fullmatch(path) for each in patterns)}
    if not listed:
        there = ", ".join(sorted(every)[:_SHOWN])
        raise SourceError(f"{corpus}: no file of {source.dataset} matches {members!r}; there are {there}")
    if cache.lock is not None:
        cache.lock.record_lookup(name, listed)
    return listed


def _is_valid(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("bytes"), int) and "sha256" in entry


def _tree(corpus: str, source: Dataset) -> dict[str, dict[str, Any]]:
    """Return all files at the commit, from the hub's API, which answers in pages."""
    endpoint, authorization = _endpoint()
    url: str | None = f"{endpoint}/api/datasets/{source.dataset}/tree/{source.commit}?recursive=true"
    files: dict[str, dict[str, Any]] = {}
    for _ in range(_MOST_PAGES):
        if url is None:
            return files
        if not url.startswith(endpoint + "/"):  # the token must not go elsewhere
            raise SourceError(f"{corpus}: the hub continues its list of files on another host")
        content, url = get_json(corpus, url, authorization)
        for entry in content if isinstance(content, list) else [{}]:
            try:
                if entry["type"] == "file":
                    files[str(entry["path"])] = {"bytes": int(entry["size"]), "sha256": _hash(entry.get("lfs"))}
            except (KeyError, TypeError, ValueError) as error:
                raise SourceError(f"{corpus}: the hub gave an unknown answer for {source.dataset}") from error
        if len(files) > _MOST_FILES:
            break
    raise SourceError(f"{corpus}: {source.dataset} has more files than can be listed")


def _hash(lfs: Any) -> str | None:
    """Return the SHA-256 of a large file; the hub has none for small ones, whose first download is recorded."""
    oid = lfs.get("oid") if isinstance(lfs, dict) else None
    return oid if isinstance(oid, str) and len(oid) == _HASH_LENGTH else None
