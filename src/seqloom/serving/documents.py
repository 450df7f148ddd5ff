"""Translate uploaded documents in the background: one after the other, and beside the texts of other requests.

Documents and results are kept in memory only, until they are fetched or an hour has passed. The texts of a document go
to the service in small queries, so they wait in the same queue as those of other clients, and a full queue only delays
them.
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from seqloom.documents.document import DocumentOptions, format_for, translate_document
from seqloom.errors import BusyError, RequestError, SeqloomError
from seqloom.formats.catalogue import document_suffixes
from seqloom.languages import Direction
from seqloom.serving.matching import find_detected, find_direction
from seqloom.serving.service import Query, Service
from seqloom.translation.results import Result

KEPT = 3600.0  # seconds after which a document is forgotten
MOST = 50  # documents at a time
MOST_OF_CLIENT = 10
_PART = 4_000  # characters of a query
_LOOKED_AT = 20_000  # bytes in which the language is detected
_TAG = re.compile(r"<[^<>]*>")

_logger = logging.getLogger(__name__)


class State(StrEnum):
    """How far a document is."""

    QUEUED = "queued"
    TRANSLATING = "translating"
    DONE = "done"
    ERROR = "error"


class Upload(NamedTuple):
    """A document as a client sent it."""

    name: str  # its suffix says the format
    content: bytes
    source: str | None  # None: detect the language
    target: str
    client: str


@dataclass(eq=False)
class Job:
    """A document that is being translated."""

    name: str
    direction: Direction
    client: str
    begun: float
    state: State = State.QUEUED
    content: bytes = b""  # the result, once it is done
    characters: int = 0  # translated so far
    fault: str = ""  # why it could not be translated
    version: str = ""  # of the model
    running: asyncio.Future[None] | None = None


def suffixes() -> list[str]:
    """Return the suffixes of names that are accepted."""
    return document_suffixes()


class Documents:
    """The documents of all clients. Its methods belong to the event loop."""

    def __init__(self, service: Service, clock: Callable[[], float] = time.monotonic) -> None:
        self._service, self._clock = service, clock
        self._jobs: dict[str, Job] = {}
        self._worker = ThreadPoolExecutor(1, "document")

    def submit(self, upload: Upload) -> str:
        """Begin to translate a document, and return its id, which is a secret.

        Raises:
            RequestError: the format is not known, or the document is compressed.
            DirectionError: no model translates in that direction.
            BusyError: too many documents are kept.
        """
        if upload.content.startswith(b"\x1f\x8b"):
            raise RequestError(f"{upload.name}: is compressed; send the document itself")
        try:
            format_for(upload.name)
        except SeqloomError as error:
            raise RequestError(str(error)) from error
        direction = self._direction(upload)
        self._make_room(upload.client)
        job = Job(upload.name, direction, upload.client, self._clock())
        id = secrets.token_hex(24)
        self._jobs[id] = job
        loop = asyncio.get_running_loop()
        job.running = loop.run_in_executor(self._worker, self._translate, job, upload.content, loop)
        return id

    async def finished(self, id: str) -> Job:
        """Wait until a document that was just submitted is done or has failed, and return it."""
        job = self._jobs[id]
        assert job.running is not None
        await asyncio.shield(job.running)
        return job

    def find(self, id: str) -> Job | None:
        """Return a document, or None if it is not known any more."""
        self._forget_old()
        return self._jobs.get(id)

    def take(self, id: str) -> bytes:
        """Return the result of a document that is done, and forget it."""
        return self._jobs.pop(id).content

    def _direction(self, upload: Upload) -> Direction:
        served = self._service.directions()
        if upload.source is not None:
            return find_direction(served, upload.source, upload.target)
        head = _TAG.sub(" ", upload.content[:_LOOKED_AT].decode("utf-8", "ignore"))
        return find_detected(served, self._service.detect(head), upload.target)[0]

    def _make_room(self, client: str) -> None:
        self._forget_old()
        of_client = sum(job.client == client for job in self._jobs.values())
        if of_client >= MOST_OF_CLIENT or len(self._jobs) >= MOST:
            raise BusyError("too many documents are waiting; fetch those that are done, or try again later", 30.0)

    def _forget_old(self) -> None:
        oldest = self._clock() - KEPT
        for id in [id for id, job in self._jobs.items() if job.begun < oldest]:
            del self._jobs[id]

    def _translate(self, job: Job, content: bytes, loop: asyncio.AbstractEventLoop) -> None:
        """Translate a document in a thread; `loop` is that of the service."""

        def translate(texts: Sequence[str]) -> list[Result]:
            results: list[Result] = []
            for part in _parts(texts, self._service.limits.texts):
                if loop.is_closed():
                    raise CancelledError
                found = asyncio.run_coroutine_threadsafe(self._patiently(job, part), loop).result()
                job.characters += sum(map(len, part))
                results += found
            return results

        job.state = State.TRANSLATING
        try:
            job.content = translate_document(content, job.name, translate, DocumentOptions(job.direction)).content
            job.state = State.DONE
        except SeqloomError as error:
            job.fault, job.state = str(error), State.ERROR
        except CancelledError:
            job.fault, job.state = "the server is stopping", State.ERROR
        except Exception:
            _logger.exception("unexpected error in a document")
            job.fault, job.state = "internal error; the log of the server has the details", State.ERROR

    async def _patiently(self, job: Job, texts: tuple[str, ...]) -> list[Result]:
        while True:
            try:
                answer = await self._service.translate(Query(texts, job.direction, client=job.client))
            except BusyError as error:
                await asyncio.sleep(error.retry_after)
            else:
                job.version = answer.version
                return [best for best, *_ in answer.results]


def _parts(texts: Sequence[str], most: int) -> Iterator[tuple[str, ...]]:
    """Yield the texts in parts of about `_PART` characters."""
    part: list[str] = []
    size = 0
    for text in texts:
        if part and (size + len(text) > _PART or len(part) == most):
            yield tuple(part)
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield tuple(part)
