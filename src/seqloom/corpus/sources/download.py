"""Downloads a file from an http(s) address into the cache, verified by its SHA-256.

An interrupted transfer is resumed, in this run or the next. The number and total time of attempts are limited. A file
without a pin is recorded in the lock file, and must not change later.
"""

import hashlib
import http.client
import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from seqloom.corpus.sources import http_client
from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache, mismatch
from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.files import sha256_of
from seqloom.progress import Listener, Progress

_BLOCK = 1 << 18
_HEAD_TIMEOUT = 10.0  # seconds
_FIRST_BYTE = re.compile(r"bytes ([0-9]{1,18})-")


class RetryPolicy(NamedTuple):
    """Limits on retries.

    `timeout` is in seconds, for a connection or a read. `attempts` is how many in a row may make no progress;
    `pause` is the wait in seconds before the second one, doubling up to `longest_pause`. `most_attempts` and `total`
    (seconds) limit the whole download. In every `window` seconds, at least `least` bytes must arrive.
    """

    timeout: float = 20.0
    attempts: int = 5
    pause: float = 1.0
    longest_pause: float = 30.0
    most_attempts: int = 100
    total: float = 12 * 3600.0
    least: int = http_client.TransferLimits().least
    window: float = http_client.TransferLimits().window


RETRY_POLICY = RetryPolicy()


class _TransientError(Exception):
    """The transfer was interrupted, or the server is temporarily unavailable. `wait` is its Retry-After in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class RemoteFile(NamedTuple):
    """A file to download.

    `address` identifies it in the lock file: its public address, without secrets, whatever mirror it comes from.
    `accept` says how to accept new content, with {sha256} in place of its hash; empty if params.yaml pins the file.
    """

    url: str
    name: str  # in the cache
    sha256: str | None  # as pinned in params.yaml; None: as recorded in the lock file
    max_bytes: int
    setting: str  # that the address is made from, such as corpora.mine.url
    address: str = ""
    accept: str = ""
    authorization: str = ""  # header; it is sent to the host of `url` only
    size: int | None = None  # bytes, if known


def obtain(
    corpus: str, file: RemoteFile, cache: DownloadCache, listen: Listener, policy: RetryPolicy = RETRY_POLICY
) -> Path:
    """Return the file in the cache, downloading it if needed.

    Raises:
        HashError: the file does not match its pin.
        OfflineError: the host cannot be reached.
        SourceError: the server refuses the request, sends more than `max_bytes`, redirects to an unsafe address, keeps
            interrupting the transfer or is too slow.
    """
    pinned = _pinned(file, cache)
    found = cache.find_named(corpus, file.name, pinned.sha256)
    if found is None:
        found = _Download(corpus, pinned, cache, listen, policy).finish()
    if pinned.sha256 is None and cache.lock is not None:
        cache.lock.record_file(file.address, sha256_of(found), found.stat().st_size)
    return found


def size_of(file: RemoteFile, cache: DownloadCache) -> int | None:
    """Return the size of a file for reports of progress, from the cache or by HEAD; None if it cannot be told."""
    pinned = _pinned(file, cache)
    if pinned.sha256 is not None and (kept := cache.folder_of(pinned.sha256) / file.name).is_file():
        return kept.stat().st_size
    headers = {"Authorization": file.authorization} if file.authorization else {}
    try:
        with http_client.open_url(file.url, "HEAD", headers, http_client.TransferLimits(_HEAD_TIMEOUT)) as response:
            return http_client.number(response.headers.get("Content-Length"))
    except http_client.ERRORS:
        return None  # the download itself reports what is wrong


def _pinned(file: RemoteFile, cache: DownloadCache) -> RemoteFile:
    """Return the file with the hash of the lock file, if params.yaml does not pin it."""
    if file.sha256 is not None or cache.lock is None:
        return file
    return file._replace(sha256=cache.lock.sha256_of(file.address))


class _Download:
    """A download in progress: `<file>.part` is its data so far, `<file>.part.json` identifies the file's version."""

    def __init__(
        self, corpus: str, source: RemoteFile, cache: DownloadCache, listen: Listener, policy: RetryPolicy
    ) -> None:
        self._corpus, self._source, self._cache = corpus, source, cache
        file = cache.folder_of(source.sha256 or self._address()) / source.name
        self._file = file
        self._listen, self._policy = listen, policy
        self._part = file.with_name(file.name + ".part")
        self._version = file.with_name(file.name + ".part.json")
        self._shown = http_client.without_query(source.url)
        self._until = time.monotonic() + policy.total
        self._attempts = 0
        self._farthest = self._size()  # largest size so far: fetching lost data again is no progress

    def finish(self) -> Path:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        wanted = self._source.sha256
        if wanted is None and self._validator() is None:
            self._forget()  # nothing would show that the parts are from two versions of the file
        resumed = self._size() > 0
        self._transfer_patiently()
        received = sha256_of(self._part)
        if resumed and wanted is not None and received != wanted:
            self._forget()  # without a validator, the resumed data may be from another version of the file
            self._transfer_patiently()
            received = sha256_of(self._part)
        if wanted is not None and received != wanted:
            raise self._mismatch(received, wanted)
        return self._keep(received)

    def _keep(self, sha256: str) -> Path:
        """Move the file to where it is found by its hash."""
        place = self._cache.folder_of(sha256) / self._source.name
        place.parent.mkdir(parents=True, exist_ok=True)
        self._part.replace(place)
        self._version.unlink(missing_ok=True)
        if place != self._file:
            with suppress(OSError):  # another download uses the folder
                self._file.parent.rmdir()
        return place

    def _mismatch(self, received: str, wanted: str) -> HashError:
        place, lock, accept = f"{self._corpus}: {self._shown}", self._cache.lock, self._source.accept
        described = mismatch(self._part, wanted)
        if not accept or lock is None or lock.sha256_of(self._source.address) != wanted:
            self._forget()
            return HashError(f"{place} does not match its pin in params.yaml: received {described}")
        self._keep(received)  # so that it need not be fetched again once it is accepted
        way_on = accept.format(sha256=received)
        return HashError(f"{place} has changed since it was recorded in {lock.file}: received {described}; {way_on}")

    def _transfer_patiently(self) -> None:
        fruitless = 0
        while True:
            self._attempts += 1
            try:
                return self._transfer()
            except _TransientError as reason:
                fruitless = 1 if self._size() > self._farthest else fruitless + 1
                self._farthest = max(self._farthest, self._size())
                wait = max(reason.wait, self._policy.pause * 2 ** (fruitless - 1))
                wait = min(wait, self._policy.longest_pause)
                if end := self._end(fruitless, wait):
                    raise SourceError(
                        f"{self._corpus}: {self._shown}: {reason}, {end}; "
                        f"run again to continue, or put {self._file.name} into the folder {MIRROR_VARIABLE}"
                    ) from reason
                self._report(self._size(), None, f"{reason}; retrying in {wait:.0f} s")
                time.sleep(wait)

    def _end(self, fruitless: int, wait: float) -> str:
        """Return why there are no further attempts, or an empty string."""
        if fruitless >= self._policy.attempts:
            return f"{fruitless} times in a row"
        if self._attempts >= self._policy.most_attempts:
            return f"and attempt {self._attempts} was the last"
        if time.monotonic() + wait >= self._until:
            return f"and the time limit of {self._policy.total:.0f} s is exceeded"
        return ""

    def _transfer(self) -> None:
        limits = http_client.TransferLimits(self._policy.timeout, self._policy.least, self._policy.window, self._until)
        try:
            with http_client.open_url(self._source.url, "GET", self._headers(), limits) as response:
                self._receive(response)
        except http_client.RefusedError as error:
            self._refused(error)
        except http_client.InterruptedTransferError as error:
            raise _TransientError(str(error)) from error
        except http_client.UntrustedError as error:
            raise SourceError(f"{self._corpus}: {self._shown}: {error}; see {self._source.setting}") from error
        except http_client.UnreachableError as error:
            raise OfflineError(
                f"{self._corpus}: {self._shown} cannot be reached ({error}); connect, or put {self._file.name} into a "
                f"folder and set {MIRROR_VARIABLE} to the folder"
            ) from error

    def _headers(self) -> dict[str, str]:
        size, authorization = self._size(), self._source.authorization
        always = {"Authorization": authorization} if authorization else {}
        if not size:
            return always
        # Without a validator, the final sha256 shows whether the parts belong together.
        validator = self._validator()
        return {**always, "Range": f"bytes={size}-", **({"If-Range": validator} if validator else {})}

    def _receive(self, response: http.client.HTTPResponse) -> None:
        size = self._size()
        if response.status == 206 and _first_byte(response.headers.get("Content-Range")) != size:
            self._forget()
            raise _TransientError("the server answered with another part of the file")
        if response.status != 206:
            size = 0
        length = http_client.number(response.headers.get("Content-Length"))
        total = None if length is None else size + length
        self._check_size(total or 0)
        self._remember(response)
        with self._part.open("ab" if size else "wb") as part:
            while block := http_client.read_block(response, _BLOCK):
                size += len(block)
                self._check_size(size)
                part.write(block)
                self._report(size, total)
        if total is not None and size < total:
            raise _TransientError(f"the transfer ended at {size:,} of {total:,} bytes")

    def _refused(self, error: http_client.RefusedError) -> None:
        if error.status == 416 and self._size():  # the part is complete, or from another version
            if sha256_of(self._part) == self._source.sha256:
                return  # without a pin, it is fetched again
            self._forget()
            raise _TransientError("the server has no such part of the file") from error
        if error.status in http_client.RETRYABLE:
            raise _TransientError(str(error), error.wait) from error
        raise SourceError(f"{self._corpus}: {self._shown}: {error}") from error

    def _check_size(self, size: int) -> None:
        if size > self._source.max_bytes:
            self._forget()
            raise SourceError(
                f"{self._corpus}: {self._shown} is larger than max_bytes ({self._source.max_bytes:,}); if this is "
                "expected, increase it"
            )

    def _validator(self) -> str | None:
        """Return the recorded validator of the partial file, or None if the record is missing or invalid."""
        try:
            record = json.loads(self._version.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(record, dict) or record.get("address") != self._address():
            return None
        validator = record.get("validator")
        return validator if isinstance(validator, str) and validator.isascii() and validator.isprintable() else None

    def _remember(self, response: http.client.HTTPResponse) -> None:
        tag = response.headers.get("ETag", "")
        validator = tag if tag.startswith('"') else response.headers.get("Last-Modified")  # not a weak ETag
        self._version.write_text(json.dumps({"address": self._address(), "validator": validator}), encoding="utf-8")

    def _address(self) -> str:
        """Return a hash of the address, because its query may contain a token."""
        return hashlib.sha256(self._source.url.encode()).hexdigest()

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def _report(self, done: int, total: int | None, note: str = "") -> None:
        self._listen(Progress(f"download {self._corpus}", done, total, "bytes", note))


def _first_byte(content_range: str | None) -> int | None:
    match = _FIRST_BYTE.match(content_range or "")
    return int(match[1]) if match else None
