"""Update check for http(s) sources by HEAD; only a file that may be new is fetched, into the cache, and hashed.

If a server sends neither ETag nor Last-Modified, only the size can reveal a change, so its file is also hashed once a
day.
"""

import hashlib
import http.client
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqloom.corpus.source_settings import UrlPlace
from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache
from seqloom.corpus.sources.http_client import (
    RETRYABLE,
    InterruptedTransferError,
    RefusedError,
    TransferLimits,
    UnreachableError,
    UntrustedError,
    file_name,
    number,
    open_url,
    read_block,
    without_query,
)
from seqloom.corpus.watching.status import ResponseCache, SourceStatus
from seqloom.errors import OfflineError, SourceError

_TIMEOUT = 10.0
_LONGEST = 12 * 3600.0  # seconds for a whole file
_DAY = 24 * 3600.0
_BLOCK = 1 << 18
_HEAD_REFUSED = {400, 403, 405, 501}  # status codes of servers that refuse HEAD but not GET
_VALIDATORS = ("ETag", "Last-Modified")


def check_url(
    corpus: str,
    source: UrlPlace,
    cache: DownloadCache,
    responses: ResponseCache,
    clock: Callable[[], float] = time.time,
) -> SourceStatus:
    """Check whether the file differs from the one that params.yaml pins.

    Raises:
        OfflineError: the host cannot be reached or is temporarily unavailable.
        SourceError: the server refuses the request, or the file is larger than `max_bytes`.
    """
    headers = _headers(corpus, source)
    name = hashlib.sha256(source.url.encode()).hexdigest()  # the address itself may contain a token
    entry = responses.get(name)
    why = _same(headers, entry, clock())
    if entry is None or why is None:
        sha256, headers = _fetch(corpus, source, cache)
        entry = {"headers": headers, "sha256": sha256, "hashed": clock()}
        responses.put(name, entry)
        why = "fetched and hashed"
        if not any(headers.get(name) for name in _VALIDATORS):
            why += "; the server sends no ETag and no Last-Modified, so this is repeated daily or when the size changes"
    found = str(entry["sha256"])
    changed = found != source.sha256
    return SourceStatus(corpus, "url", changed, source.sha256, found, why, {"sha256": found} if changed else {})


def _same(headers: dict[str, Any], entry: dict[str, Any] | None, now: float) -> str | None:
    """Return why the file is considered unchanged since it was hashed; None if it may have changed."""
    if entry is None or headers != entry.get("headers") or not isinstance(entry.get("sha256"), str):
        return None
    if unchanged := [name for name in _VALIDATORS if headers[name]]:
        return f"{unchanged[0]} unchanged"
    hashed = entry.get("hashed")
    age = now - hashed if isinstance(hashed, int | float) else _DAY
    if headers["Content-Length"] and 0 <= age < _DAY:
        return f"size unchanged; hashed {age / 3600:.0f} h ago (the server sends no ETag and no Last-Modified)"
    return None


def _headers(corpus: str, source: UrlPlace) -> dict[str, Any]:
    try:
        with _open(corpus, source, "HEAD") as response:
            return _relevant_headers(response)
    except _HeadRefusedError:
        with _open(corpus, source, "GET") as response:  # the body is not read
            return _relevant_headers(response)


def _fetch(corpus: str, source: UrlPlace, cache: DownloadCache) -> tuple[str, dict[str, Any]]:
    """Fetch the file to where fetch_url looks for it; return its sha256 and the relevant headers."""
    cache.downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".watch-", dir=cache.downloads) as name:
        part, digest, size = Path(name) / "part", hashlib.sha256(), 0
        with _open(corpus, source, "GET") as response, part.open("wb") as writer:
            headers = _relevant_headers(response)
            while block := read_block(response, _BLOCK):
                size += len(block)
                if size > source.max_bytes:
                    raise SourceError(
                        f"{corpus}: {without_query(source.url)} is larger than max_bytes ({source.max_bytes:,})"
                    )
                digest.update(block)
                writer.write(block)
        length = number(headers["Content-Length"])
        if length is not None and size < length:
            raise OfflineError(
                f"{corpus}: {without_query(source.url)}: the transfer ended at {size:,} of {length:,} bytes"
            )
        sha256 = digest.hexdigest()
        folder = cache.folder_of(sha256)
        folder.mkdir(parents=True, exist_ok=True)
        part.replace(folder / file_name(source.url))
    return sha256, headers


def _relevant_headers(response: http.client.HTTPResponse) -> dict[str, Any]:
    return {name: response.headers.get(name) for name in (*_VALIDATORS, "Content-Length")}


class _HeadRefusedError(Exception):
    """The server does not support HEAD."""


@contextmanager
def _open(corpus: str, source: UrlPlace, method: str) -> Iterator[http.client.HTTPResponse]:
    place = without_query(source.url)
    try:
        limits = TransferLimits(timeout=_TIMEOUT, until=time.monotonic() + _LONGEST)
        with open_url(source.url, method, {}, limits) as response:
            yield response
    except RefusedError as error:
        if method == "HEAD" and error.status in _HEAD_REFUSED:
            raise _HeadRefusedError from error
        kind = OfflineError if error.status in RETRYABLE else SourceError
        raise kind(f"{corpus}: {place}: {error}; see {source.section}.{corpus}.url") from error
    except UntrustedError as error:
        raise SourceError(f"{corpus}: {place}: {error}; see {source.section}.{corpus}.url") from error
    except UnreachableError as error:
        raise OfflineError(f"{corpus}: {place} cannot be reached ({error}); {_WAY_ON}") from error
    except InterruptedTransferError as error:
        raise OfflineError(f"{corpus}: {place}: {error}; {_WAY_ON}") from error


_WAY_ON = f"try again online; pinned data can still be used, from scratch/downloads or {MIRROR_VARIABLE}"
