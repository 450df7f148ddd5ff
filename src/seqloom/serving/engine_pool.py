"""Translate in several processes. The server itself loads neither torch nor a model; see `engine_process`.

A worker that was killed is replaced, and what it had is translated by the new one, so no request fails. Only texts that
end two workers in a row fail. If the host was killed, too, it is started again.
"""

import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seqloom import errors
from seqloom.errors import ModelError
from seqloom.languages import Direction
from seqloom.serving.channel import Message, ask, receive
from seqloom.serving.service import Picture
from seqloom.translation.results import Flag, Result

_ATTEMPTS = 2  # at texts whose worker ends
_NUMBER = 20  # bytes of a process id


class Workers(NamedTuple):
    """How many processes translate, with how many threads each."""

    processes: int
    threads: int


@dataclass(eq=False)
class _Host:
    """A process that has a model, and forks workers."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    directions: tuple[Direction, ...]

    def close(self) -> None:
        """End the process."""
        self.control.close()
        self.process.wait()


class _Worker(NamedTuple):
    """A process that translates."""

    number: int  # of the process
    channel: socket.socket


class EnginePool:
    """Translates with processes; as many threads may call `translate` at the same time as there are processes."""

    def __init__(self, folder: Path, workers: Workers, background: bool, lost: Callable[[], None]) -> None:
        """Load the model in a folder, with low priority if `background`. `lost` is called when a worker has ended.

        Raises:
            ModelError: it cannot be loaded.
        """
        self._folder, self._workers, self._lost = folder, workers, lost
        self._started, self._forking = 0, threading.Lock()
        self._host = self._start(background)
        self.lanes, self.directions = workers.processes, self._host.directions
        self._free: queue.Queue[_Worker | None] = queue.Queue()  # None: closed
        try:
            for _ in range(workers.processes):
                self._free.put(self._fork())
                self._started += 1
        except ModelError:
            self.close()
            raise

    @property
    def processes(self) -> list[int]:
        """The process ids of the workers that are idle now."""
        return [each.number for each in list(self._free.queue) if each is not None]

    def translate(self, texts: Sequence[str], direction: Direction, n_best: int) -> list[list[Result]]:
        """Return for each text up to `n_best` distinct translations, best first.

        Raises:
            ModelError: two workers ended at these texts.
            SeqloomError: what the model raised.
        """
        answer = self._answer({"texts": list(texts), "direction": list(direction), "n_best": n_best})
        return [
            [Result(text, tuple(map(Flag, flags)), *rest) for text, flags, *rest in found]
            for found in answer["results"]
        ]

    def attention(self, text: str, translation: str, direction: Direction) -> Picture:
        """Return the attention to `text` while `translation` is written.

        Raises:
            ModelError: two workers ended at it.
            RequestError: the model has no attention, or the text is empty.
            TooLongError: one of them has too many pieces.
        """
        return Picture(
            *self._answer({"text": text, "translation": translation, "direction": list(direction)})["picture"]
        )

    def close(self) -> None:
        """Wait for calls in progress, and end all processes; later calls raise `ModelError`."""
        for _ in range(self._started):
            if (worker := self._free.get()) is not None:
                worker.channel.close()
        self._free.put(None)
        self._host.close()

    def _answer(self, request: Message) -> Message:
        """Return the answer of a worker. Raises what the model raised."""
        for _ in range(_ATTEMPTS):
            with self._borrowed() as (worker, broken):
                try:
                    answer = ask(worker.channel, request)
                except OSError:
                    broken.set()
                else:
                    return _checked(answer)
        raise ModelError(f"a process that translates ended {_ATTEMPTS} times at the same request")

    @contextmanager
    def _borrowed(self) -> Iterator[tuple[_Worker, threading.Event]]:
        """Take a worker, and give it back; another one if it has ended before, or is `broken` then."""
        worker, broken = self._free.get(), threading.Event()
        if worker is None:
            self._free.put(None)  # for others that wait
            raise ModelError("this version was replaced by another one; try again")
        try:
            if _has_ended(worker):
                worker = self._replaced(worker)
            yield worker, broken
            if broken.is_set():
                worker = self._replaced(worker)
        finally:
            self._free.put(worker)

    def _replaced(self, worker: _Worker) -> _Worker:
        self._lost()
        worker.channel.close()
        return self._fork()

    def _fork(self) -> _Worker:
        """Return a new worker that has warmed up. Raises `ModelError` if it cannot, or is killed again and again."""
        for _ in range(_ATTEMPTS):
            with self._forking:
                try:
                    worker = self._forked()
                except OSError:
                    self._host.close()
                    self._host = self._start(background=False)
                    worker = self._forked()
            answer = receive(worker.channel)
            if answer is not None and "error" not in answer:
                return worker
            worker.channel.close()
            if answer is not None:
                raise ModelError(answer["error"])
        raise ModelError(f"a process that translates ended {_ATTEMPTS} times while it warmed up")

    def _forked(self) -> _Worker:
        self._host.control.sendall(b"\0\0\0\2{}")
        number, handles, _, _ = socket.recv_fds(self._host.control, _NUMBER, 1)
        if not handles:
            raise ConnectionError("the host has ended")
        return _Worker(int(number), socket.socket(fileno=handles[0]))

    def _start(self, background: bool) -> _Host:
        own, theirs = socket.socketpair()
        options = [str(self._folder), str(self._workers.threads), "1" if background else ""]
        line = [sys.executable, "-m", "seqloom.serving.engine_process", *options]
        with theirs:
            process = subprocess.Popen(line, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
        answer = receive(own)
        if answer is None or "error" in answer:
            own.close()
            status = process.wait()
            raise ModelError((answer or {}).get("error", f"the process that loads {self._folder} ended ({status})"))
        return _Host(process, own, tuple(Direction(*each) for each in answer["directions"]))


def _has_ended(worker: _Worker) -> bool:
    """Return whether an idle worker has ended: it says nothing of its own accord."""
    try:
        return not worker.channel.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _checked(answer: Message) -> Message:
    if "error" not in answer:
        return answer
    kind = getattr(errors, answer["kind"], RuntimeError)  # of another kind is only a bug
    raise kind(answer["error"])
