"""What a protocol module gives to the application: its routes, and its form of errors."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from seqloom.errors import (
    AccessError,
    BusyError,
    DirectionError,
    RateError,
    RequestError,
    SeqloomError,
    TooLongError,
)
from seqloom.serving.access import Access
from seqloom.serving.documents import Documents
from seqloom.serving.metrics import Metrics
from seqloom.serving.service import Answer, Query, Service
from seqloom.serving.settings import ServingSettings

VERSION_HEADER = "X-Model-Version"
"""The header of every response with a translation: `Answer.version`."""

_logger = logging.getLogger(__name__)

_STATUS: dict[type[SeqloomError], int] = {
    RequestError: 400,
    DirectionError: 400,
    TooLongError: 400,
    AccessError: 403,
    RateError: 429,
    BusyError: 429,
}


class Fault(NamedTuple):
    """Why a request fails. A protocol may answer with another status than the usual one."""

    status: int
    message: str  # one line, for the caller
    error: Exception  # its type tells protocols with finer statuses what happened
    retry_after: float | None = None  # seconds; the application sets the header


class Context(NamedTuple):
    """What the routes of a protocol use."""

    service: Service
    access: Access
    settings: ServingSettings
    metrics: Metrics
    documents: Documents

    def admit(self, request: Request, key: str | None) -> str:
        """Return the client of a request, for `Query.client`. For the errors see `Access.admit`."""
        return self.access.admit(request.client.host if request.client else "", key)

    async def translate(self, request: Request, *queries: Query) -> list[Answer]:
        """Translate with the service. If the client disconnects meanwhile, its texts leave the queue.

        The body of the request must have been read. For the errors see `Service.translate`.

        Raises:
            HTTPException: the client has gone; nobody gets the response.
        """
        answers = [asyncio.ensure_future(self.service.translate(query)) for query in queries]
        every: asyncio.Future[list[Answer]] = asyncio.gather(*answers)
        gone = asyncio.ensure_future(_disconnected(request))
        both: list[asyncio.Future[Any]] = [every, gone]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if every.done():
                if self.settings.log_texts:
                    _log_texts(queries, every.result())
                return every.result()
            raise HTTPException(499, "the client closed the connection")
        finally:
            for task in (*answers, gone):
                task.cancel()


def _log_texts(queries: Sequence[Query], answers: Sequence[Answer]) -> None:
    for query, answer in zip(queries, answers, strict=True):
        for text, (best, *_) in zip(query.texts, answer.results, strict=True):
            _logger.info("%s: %r -> %r", answer.version, text, best.text)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Interface(NamedTuple):
    """The routes of a protocol, and its form of errors.

    Errors of a path go to the interface with the longest prefix of that path; the prefix "/" takes all others. The
    routes raise `ServingError` (or let those of the service pass) and never build error responses themselves.
    """

    name: str  # the label of its requests in the metrics
    prefixes: tuple[str, ...]
    router: APIRouter
    error_response: Callable[[Fault], Response]


def fault_of(error: SeqloomError) -> Fault:
    """Return the fault for an error of ours: 400, 403 or 429, or 500 if the model failed."""
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    message = str(error) if status < 500 else "the text could not be translated; the log of the server says why"
    return Fault(status, message, error, getattr(error, "retry_after", None))
