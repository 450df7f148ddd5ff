"""HTTP client (GET and HEAD) for servers that may be slow, broken or malicious.

Redirects never lead from https to http or to another scheme. A server slower than the minimum speed is given up, in
headers and body alike. Proxies are taken from the environment.
"""

import functools
import http.client
import io
import math
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import IO, Any, NamedTuple

RETRYABLE = {408, 425, 429, 500, 502, 503, 504}
_NUMBER = re.compile(r"[0-9]{1,18}")
_LEAST_QUOTED = "".join(chr(code) for code in range(0x21, 0x7F))  # addresses may already be percent-encoded
_LONGEST_NAME = 200  # file systems allow 255 bytes, and downloads add suffixes
_MOST_REDIRECTS = 10
# Restricted by prefix: params.yaml must not be able to send arbitrary secrets of this machine to a server.
_VARIABLE = re.compile(r"\$\{(SEQLOOM_[A-Z0-9_]+)\}")


class TransferLimits(NamedTuple):
    """Limits on how slow a server may be.

    `timeout` is in seconds, for a connection or a read. In every `window` seconds of waiting, at least `least` bytes
    must arrive. `until` is the deadline of the whole transfer, on the monotonic clock.
    """

    timeout: float = 20.0
    least: int = 10_000
    window: float = 30.0
    until: float = math.inf


class RefusedError(Exception):
    """The server answered with an error status. `wait` is its Retry-After in seconds, or 0."""

    def __init__(self, status: int, reason: str, wait: float) -> None:
        super().__init__(f"status {status} {reason}".rstrip())
        self.status, self.wait = status, wait


class InterruptedTransferError(Exception):
    """The transfer was interrupted, was too slow, or was not valid HTTP."""


class UnreachableError(Exception):
    """The server cannot be reached."""


class UntrustedError(Exception):
    """The certificate is not trusted, a redirect is not allowed, or the address is invalid."""


ERRORS = (RefusedError, InterruptedTransferError, UnreachableError, UntrustedError)


def open_url(url: str, method: str, headers: dict[str, str], limits: TransferLimits) -> http.client.HTTPResponse:
    """Send a request and return the response, which the caller closes; read its body with `read_block`.

    `${SEQLOOM_NAME}` in the query is replaced from the environment, so that no file needs to contain a token.

    Raises:
        RefusedError: the status is an error.
        InterruptedTransferError: the connection ended or stalled.
        UnreachableError: no connection could be made.
        UntrustedError: the server or a redirect is not trusted, the address is invalid, or a variable in it is not set.
    """
    sent = {"Accept-Encoding": "identity", **headers}
    url = _filled(url)
    try:
        request = _Request(urllib.parse.quote(url, safe=_LEAST_QUOTED), method=method, headers=sent)
        response: http.client.HTTPResponse = _opener(limits).open(request, timeout=limits.timeout)
    except urllib.error.HTTPError as error:
        with error:
            raise RefusedError(error.code, str(error.reason), number(error.headers.get("Retry-After")) or 0) from error
    except urllib.error.URLError as error:
        raise _failed(error.reason) from error
    except (http.client.InvalidURL, ValueError) as error:  # raised for the address, or for a proxy's in the environment
        raise UntrustedError("the address, or that of the proxy, is invalid") from error
    except _BROKEN as error:
        raise InterruptedTransferError(_why(error)) from error
    return response


def read_block(response: http.client.HTTPResponse, size: int) -> bytes:
    """Return up to `size` bytes of the body when available, b"" at the end. Raises `InterruptedTransferError`."""
    try:
        return response.read1(size)
    except (*_BROKEN, ValueError) as error:  # ValueError: invalid chunk size
        raise InterruptedTransferError(_why(error)) from error


def number(header: str | None) -> int | None:
    """Return a header's value as a number, or None if it is missing or not a number."""
    return int(header) if header and _NUMBER.fullmatch(header) else None


def file_name(url: str) -> str:
    """Return the last part of an address with safe characters only, or `download` if it is empty."""
    last = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._+-]", "_", last).lstrip(".")[-_LONGEST_NAME:] or "download"


def without_query(url: str) -> str:
    """Return an address without its query, which may contain a token."""
    split = urllib.parse.urlsplit(url)
    return f"{split.scheme}://{split.netloc}{split.path}"


def _filled(url: str) -> str:
    path, mark, query = url.partition("?")
    if absent := [name for name in _VARIABLE.findall(query) if name not in os.environ]:
        raise UntrustedError(f"the address contains {absent[0]}, but this environment variable is not set")
    return path + mark + _VARIABLE.sub(lambda found: urllib.parse.quote(os.environ[found[1]], safe=""), query)


_BROKEN = (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


def _failed(reason: object) -> Exception:
    """Return the error for the reason that urllib gives for a failed request."""
    match reason:
        case _BadRedirectError():
            return UntrustedError(str(reason))
        case ssl.SSLCertVerificationError():
            return UntrustedError(f"certificate not trusted: {reason.verify_message}")
        case ConnectionResetError() | BrokenPipeError():
            return InterruptedTransferError(_why(reason))
        case OSError() if reason.strerror:
            return UnreachableError(reason.strerror)
    return UnreachableError(str(reason))


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, _TooSlowError) else f"the transfer was interrupted ({type(error).__name__})"


class _BadRedirectError(Exception):
    """A redirect that is not allowed."""


class _TooSlowError(TimeoutError):
    """The transfer is below the minimum speed, or past its deadline."""


class _Request(urllib.request.Request):
    """A request that counts the redirects leading to it."""

    hops = 0


class _Redirects(urllib.request.BaseHandler):
    """Follows redirects between http and https addresses, except from https to http, without reading their bodies."""

    parent: urllib.request.OpenerDirector

    def http_error_302(self, request: _Request, fp: IO[bytes], code: int, msg: str, headers: Message) -> Any:
        """Follow a redirect; without a Location, leave the status to the error handler."""
        location = headers.get("Location")
        if location is None:
            return None
        fp.close()
        try:
            url = urllib.parse.quote(location, safe=_LEAST_QUOTED, encoding="iso-8859-1")
            target = urllib.parse.urlsplit(urllib.parse.urljoin(request.full_url, url))
            wrong = target.scheme not in ("http", "https") or not target.hostname or "@" in target.netloc
            _ = target.port  # raises ValueError for 70000
        except ValueError as error:
            reason = _BadRedirectError("it redirects to an invalid address")
            raise urllib.error.URLError(reason) from error
        if wrong:
            raise urllib.error.URLError(_BadRedirectError("it redirects to an address that is not plain http(s)"))
        if request.type == "https" and target.scheme == "http":
            raise urllib.error.URLError(_BadRedirectError("it redirects from https to http"))
        if request.hops >= _MOST_REDIRECTS:
            raise urllib.error.URLError(_BadRedirectError(f"it redirects more than {_MOST_REDIRECTS} times"))
        kept = dict(request.headers)
        if _origin(request.full_url) != _origin(target.geturl()):
            kept.pop("Authorization", None)  # the other host must not get our token
        further = _Request(target.geturl(), method=request.get_method(), headers=kept)
        further.hops = request.hops + 1
        return self.parent.open(further, timeout=request.timeout)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


class _PacedReader(io.RawIOBase):
    """Reads a connection, and gives up if it is too slow."""

    def __init__(self, connection: io.RawIOBase, limits: TransferLimits) -> None:
        self._connection, self._limits = connection, limits
        self._waited, self._got = 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        began = time.monotonic()
        got = self._connection.readinto(buffer)
        now = time.monotonic()
        self._waited += now - began
        self._got += got
        if got and now >= self._limits.until:
            raise _TooSlowError("the whole transfer took too long")
        if got and self._waited >= self._limits.window:
            if self._got < self._limits.least:
                raise _TooSlowError(f"the transfer is too slow: {self._got:,} bytes in {self._waited:.0f} s")
            self._waited, self._got = 0.0, 0
        return got

    def close(self) -> None:
        self._connection.close()
        super().close()


class _PacedSocket:
    """The part of a socket that http.client.HTTPResponse needs: a buffered reader."""

    def __init__(self, connection: Any, limits: TransferLimits) -> None:
        self._connection, self._limits = connection, limits

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_PacedReader(self._connection.makefile(mode, buffering=0), self._limits))


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, limits: TransferLimits) -> None:
        super().__init__()
        self._limits = limits

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_connection, http.client.HTTPConnection, self._limits), req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, limits: TransferLimits) -> None:
        super().__init__()
        self._limits = limits

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(functools.partial(_connection, http.client.HTTPSConnection, self._limits), req)


def _connection(kind: Any, limits: TransferLimits, host: str, **given: Any) -> http.client.HTTPConnection:
    connection: Any = kind(host, **given)
    connection.response_class = functools.partial(_response, limits)
    return connection  # type: ignore[no-any-return]


def _response(limits: TransferLimits, connection: Any, *given: Any, **named: Any) -> http.client.HTTPResponse:
    paced: Any = _PacedSocket(connection, limits)
    return http.client.HTTPResponse(paced, *given, **named)


def _opener(limits: TransferLimits) -> urllib.request.OpenerDirector:
    """Return an opener for http and https only; urllib's default also opens ftp, file and data."""
    opener = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), _HttpHandler(limits), _HttpsHandler(limits),
        urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor(), _Redirects(),
    ]  # fmt: skip
    for handler in handlers:
        opener.add_handler(handler)
    return opener
