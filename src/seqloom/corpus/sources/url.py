"""The source `url`: a file behind http or https, pinned by its sha256; an archive is extracted.

A broken transfer goes on where it stopped, now or in the next run. Proxies are those of the environment.
"""

import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import NamedTuple

from seqloom.corpus.settings import UrlSource
from seqloom.corpus.sources.archives import Limits, unpack
from seqloom.corpus.sources.depot import MIRROR_VARIABLE, Depot, copy, mismatch, sha256_of
from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.progress import Listener, Progress

_BLOCK = 1 << 18
TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class Patience(NamedTuple):
    """How long to try: seconds for a connection or a read; fruitless attempts; seconds before the second, doubling."""

    timeout: float = 20.0
    attempts: int = 5
    pause: float = 1.0
    longest_pause: float = 30.0


PATIENCE = Patience()


class _TransientError(Exception):
    """The transfer broke or the server asked for patience: worth another attempt. `wait` is what the server asks."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def fetch_url(
    corpus: str, source: UrlSource, into: Path, depot: Depot, listen: Listener, patience: Patience = PATIENCE
) -> None:
    """Put the file, or what the archive holds, into the folder `into`.

    Raises:
        HashError: what the server sent is not what params.yaml pins.
        OfflineError: the host cannot be reached.
        SourceError: the server refuses (with the status), sends more than `max_bytes` or keeps breaking off.
        ArchiveError: see `archives.unpack`.
    """
    name = file_name(source.url)
    file = depot.find(corpus, source.sha256, lambda found: found == name)
    if file is None:
        file = _Download(corpus, source, depot.shelf(source.sha256) / name, listen, patience).finish()
    copied = into / name
    copy(file, copied, f"copy {corpus}", listen)
    unpack(copied, Limits(bytes=source.max_bytes), f"unpack {corpus}", listen)


def file_name(url: str) -> str:
    """Return the file name that an address ends in, made of harmless characters; `download` where there is none."""
    last = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._+-]", "_", last).lstrip(".") or "download"


def shown(url: str) -> str:
    """Return an address without its query, which may hold a signature."""
    split = urllib.parse.urlsplit(url)
    return f"{split.scheme}://{split.netloc}{split.path}"


class _Download:
    """One file on its way: `<file>.part` grows, `<file>.part.json` says which version of the file it is part of."""

    def __init__(self, corpus: str, source: UrlSource, file: Path, listen: Listener, patience: Patience) -> None:
        self._corpus, self._source, self._file = corpus, source, file
        self._listen, self._patience = listen, patience
        self._part = file.with_name(file.name + ".part")
        self._version = file.with_name(file.name + ".part.json")
        self._shown = shown(source.url)

    def finish(self) -> Path:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        resumed = self._size() > 0
        self._transfer_patiently()
        if resumed and sha256_of(self._part) != self._source.sha256:
            self._forget()  # the beginning may stem from another version of the file, which no validator told
            self._transfer_patiently()
        if sha256_of(self._part) != self._source.sha256:
            said = mismatch(self._part, self._source.sha256)
            self._forget()
            raise HashError(f"{self._corpus}: {self._shown} is not what params.yaml pins: it sent {said}")
        self._part.replace(self._file)
        self._version.unlink(missing_ok=True)
        return self._file

    def _transfer_patiently(self) -> None:
        fruitless = 0
        while True:
            before = self._size()
            try:
                return self._transfer()
            except _TransientError as reason:
                fruitless = 1 if self._size() > before else fruitless + 1
                if fruitless >= self._patience.attempts:
                    raise SourceError(
                        f"{self._corpus}: {self._shown}: {reason}, {fruitless} times on end; "
                        f"run again to go on, or put {self._file.name} into a folder named in {MIRROR_VARIABLE}"
                    ) from reason
                wait = max(reason.wait, self._patience.pause * 2 ** (fruitless - 1))
                wait = min(wait, self._patience.longest_pause)
                self._tell(self._size(), None, f"{reason}; again in {wait:.0f} s")
                time.sleep(wait)

    def _transfer(self) -> None:
        try:
            with urllib.request.urlopen(self._request(), timeout=self._patience.timeout) as response:
                self._receive(response)
        except urllib.error.HTTPError as error:
            with error:
                self._refused(error)
        except urllib.error.URLError as error:
            raise self._unreachable(error.reason) from error
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            raise _TransientError(f"the transfer broke off ({type(error).__name__})") from error

    def _request(self) -> urllib.request.Request:
        request = urllib.request.Request(self._source.url, headers={"Accept-Encoding": "identity"})
        size = self._size()
        if size:
            request.add_header("Range", f"bytes={size}-")
            # Without a validator the sha256 tells in the end whether the two parts fit.
            if validator := self._validator():
                request.add_header("If-Range", validator)
        return request

    def _receive(self, response: http.client.HTTPResponse) -> None:
        size = self._size()
        if response.status == 206 and _first_byte(response.headers.get("Content-Range")) != size:
            self._forget()
            raise _TransientError("the server answered with another part of the file")
        if response.status != 206:
            size = 0
        length = response.headers.get("Content-Length")
        total = size + int(length) if length and length.isdigit() else None
        self._check_size(total or 0)
        self._remember(response)
        with self._part.open("ab" if size else "wb") as part:
            while block := response.read(_BLOCK):
                size += len(block)
                self._check_size(size)
                part.write(block)
                self._tell(size, total)
        if total is not None and size < total:
            raise _TransientError(f"the transfer broke off at {size:,} of {total:,} bytes")

    def _refused(self, error: urllib.error.HTTPError) -> None:
        if error.code == 416 and self._size():  # nothing is left to send, or the part is of another file
            if sha256_of(self._part) == self._source.sha256:
                return
            self._forget()
            raise _TransientError("the server has no such part of the file") from error
        if error.code in TRY_AGAIN:
            asked = error.headers.get("Retry-After", "")
            raise _TransientError(
                f"status {error.code} {error.reason}", float(asked) if asked.isdigit() else 0
            ) from error
        raise SourceError(f"{self._corpus}: {self._shown}: status {error.code} {error.reason}") from error

    def _unreachable(self, reason: object) -> Exception:
        if isinstance(reason, ConnectionResetError):
            return _TransientError(f"the connection broke off ({type(reason).__name__})")
        if isinstance(reason, ssl.SSLCertVerificationError):
            return SourceError(f"{self._corpus}: {self._shown}: certificate not trusted: {reason.verify_message}")
        said = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
        return OfflineError(
            f"{self._corpus}: {self._shown} cannot be reached ({said}); connect, or put {self._file.name} into a "
            f"folder and name the folder in {MIRROR_VARIABLE}"
        )

    def _check_size(self, size: int) -> None:
        if size > self._source.max_bytes:
            self._forget()
            raise SourceError(
                f"{self._corpus}: {self._shown} is larger than max_bytes ({self._source.max_bytes:,}); raise it if "
                "that is right"
            )

    def _validator(self) -> str | None:
        try:
            record = json.loads(self._version.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record["validator"] if record.get("url") == self._source.url else None

    def _remember(self, response: http.client.HTTPResponse) -> None:
        tag = response.headers.get("ETag", "")
        validator = tag if tag.startswith('"') else response.headers.get("Last-Modified")  # a weak tag is no promise
        self._version.write_text(json.dumps({"url": self._source.url, "validator": validator}), encoding="utf-8")

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _forget(self) -> None:
        self._part.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def _tell(self, done: int, total: int | None, note: str = "") -> None:
        self._listen(Progress(f"download {self._corpus}", done, total, "bytes", note))


def _first_byte(content_range: str | None) -> int | None:
    match = re.match(r"bytes (\d+)-", content_range or "")
    return int(match[1]) if match else None
