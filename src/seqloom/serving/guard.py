"""What happens to every request, whatever its protocol: the host check, the largest body, headers, metrics and logs."""

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seqloom.serving.interface import Fault
from seqloom.serving.metrics import Metrics
from seqloom.serving.settings import ServingSettings

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""The defaults of response headers; a route that sets one of them keeps its own."""

_logger = logging.getLogger(__name__)


class Guard:
    """Wraps the application. `error_response` returns a fault in the form of the protocol that owns a path."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServingSettings,
        metrics: Metrics,
        owner: Callable[[str], str],
        error_response: Callable[[str, Fault], Response],
    ) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._owner, self._error_response = owner, error_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if (fault := self._fault(Headers(scope=scope))) is not None:
                await self._error_response(scope["path"], fault)(scope, receive, sending)
            else:
                await self._app(scope, self._limited(receive), sending)
        except asyncio.CancelledError:
            status = status or 499  # as others log a client that has gone
            raise
        except Exception as error:
            _logger.exception("unexpected error in %s", scope["path"])
            if not status:
                fault = Fault(500, "internal error; the log of the server has the details", error)
                await self._error_response(scope["path"], fault)(scope, receive, sending)
        finally:
            self._record(scope, status, time.perf_counter() - start)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.request(self._owner(scope["path"]), route, status, seconds)
        _logger.info("%s %s %d %.0f ms", scope["method"], route, status, seconds * 1000)

    def _fault(self, headers: Headers) -> Fault | None:
        allowed = self._settings.allowed_hosts
        if "*" not in allowed and _name(headers.get("host", "")) not in allowed:
            message = "the header Host does not name this server; `seqloom serve --allow-host NAME` adds names"
            return Fault(400, message, HTTPException(400))
        size = headers.get("content-length", "0")
        if size.isascii() and size.isdigit() and int(size) > self._settings.body_bytes:
            return self._too_large()
        return None

    def _too_large(self) -> Fault:
        message = f"the request is larger than {self._settings.body_bytes:,} bytes"
        return Fault(413, message, HTTPException(413, message))

    def _limited(self, receive: Receive) -> Receive:
        """Return a `receive` that raises as soon as the body is too large."""
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._settings.body_bytes:
                raise self._too_large().error
            return message

        return limited


def _name(host: str) -> str:
    """Return a header Host without the port: `localhost`, `[::1]`."""
    host = host.lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
