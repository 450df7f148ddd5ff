"""The source `url`: a file at an http(s) address, pinned by sha256; archives are extracted.

An interrupted transfer is resumed, in this run or the next. The number and total time of attempts are limited.
"""

import hashlib
import http.client
import json
import re
import time
from pathlib import Path
from typing import NamedTuple

from seqloom.corpus.source_settings import UrlPlace
from seqloom.corpus.sources import http_client
from seqloom.corpus.sources.archives import Limits, unpack
from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache, copy, mismatch
from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.files import sha256_of
from seqloom.progress import Listener, Progress

_BLOCK = 1 << 18
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


def fetch_url(
    corpus: str,
    source: UrlPlace,
    into: Path,
    cache: DownloadCache,
    listen: Listener,
    policy: RetryPolicy = RETRY_POLICY,
) -> None:
    """Put the file, or the contents of the archive, into the folder `into`.

    Raises:
        HashError: the file does not match its pin in params.yaml.
        OfflineError: the host cannot be reached.
        SourceError: the server refuses the request, sends more than `max_bytes`, redirects to an unsafe address, keeps
            interrupting the transfer or is too slow.
        ArchiveError: see `archives.unpack`.
    """
    name = http_client.file_name(source.url)
    file = cache.find(corpus, source.sha256, lambda found: found == name)
    if file is None:
        file = _Download(corpus, source, cache.folder_of(source.sha256) / name, listen, policy).finish()
    copied = into / name
    copy(file, copied, f"copy {corpus}", listen)
    unpack(copied, Limits(bytes=source.max_bytes), f"unpack {corpus}", listen)


class _Download:
    """A download in progress: `<file>.part` is its data so far, `<file>.part.json` identifies the file's version."""

    def __init__(self, corpus: str, source: UrlPlace, file: Path, listen: Listener, policy: RetryPolicy) -> None:
        self._corpus, self._source, self._file = corpus, source, file
        self._listen, self._policy = listen, policy
        self._part = file.with_name(file.name + ".part")
        self._version = file.with_name(file.name + ".part.json")
        self._shown = http_client.without_query(source.url)
        self._until = time.monotonic() + policy.total
        self._attempts = 0
        self._farthest = self._size()  # largest size so far: fetching lost data again is no progress

    def finish(self) -> Path:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        resumed = self._size() > 0
        self._transfer_patiently()
        if resumed and sha256_of(self._part) != self._source.sha256:
            self._forget()  # without a validator, the resumed data may be from another version of the file
            self._transfer_patiently()
        if sha256_of(self._part) != self._source.sha256:
            received = mismatch(self._part, self._source.sha256)
            self._forget()
            raise HashError(f"{self._corpus}: {self._shown} does not match its pin in params.yaml: received {received}")
        self._part.replace(self._file)
        self._version.unlink(missing_ok=True)
        return self._file

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
            raise SourceError(f"{self._corpus}: {self._shown}: {error}; see corpora.{self._corpus}.url") from error
        except http_client.UnreachableError as error:
            raise OfflineError(
                f"{self._corpus}: {self._shown} cannot be reached ({error}); connect, or put {self._file.name} into a "
                f"folder and set {MIRROR_VARIABLE} to the folder"
            ) from error

    def _headers(self) -> dict[str, str]:
        size = self._size()
        if not size:
            return {}
        # Without a validator, the final sha256 shows whether the parts belong together.
        validator = self._validator()
        return {"Range": f"bytes={size}-", **({"If-Range": validator} if validator else {})}

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
                return
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
