"""What is done with a shard, and how one worker does it, whichever launcher started the worker.

A result is a folder. It is written beside its place and renamed, so it is there whole or not at all, and its
fingerprint says what it was made from. Two workers may do the same shard at the same time, as after a pre-emption that
was not noticed: the first to rename wins, and both results are equal.
"""

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from seqloom.errors import SeqloomError
from seqloom.files import sha256_of, write_json
from seqloom.import_closure import closure

_DONE = "done.json"  # the sidecar of a result

Function = Callable[[Path, Path], int]
"""Reads the shard at the first path, writes files into the folder at the second, and returns the number of rows."""


class Step(Protocol):
    """A piece of work that is the same for every shard. It must be picklable: a frozen dataclass of plain values."""

    @property
    def name(self) -> str:
        """What the step does, as in progress and messages: `clean pairs`."""

    def identity(self) -> dict[str, Any]:
        """Return, as plain data, everything but the shard and the code that the result depends on.

        That includes the SHA-256 of files that the step reads, such as the weights of a model.
        """

    def start(self) -> Function:
        """Load what every shard needs, once per worker, and return the function that is called for each shard."""


class Input(NamedTuple):
    """A shard to work on. `identity` is a hash of its content, or the fingerprint of the result it belongs to."""

    path: Path
    identity: str


class Task(NamedTuple):
    """One shard for a worker; `folder` is where the result will be."""

    number: int
    input: Input
    folder: Path
    fingerprint: str


class Outcome(NamedTuple):
    """What became of a task. `fault` is a message, empty if the task succeeded; `final` if it would fail again."""

    task: Task
    rows: int = 0
    seconds: float = 0.0
    fault: str = ""
    final: bool = False


def input_of(path: Path) -> Input:
    """Return a file as the input of a task, with the SHA-256 of its content."""
    return Input(path, sha256_of(path))


def fingerprint_of(step: Step, identity: str) -> str:
    """Return the fingerprint of a step's result for the input with this identity."""
    kind = type(step)
    made_from = {
        "step": f"{kind.__module__}.{kind.__qualname__}",
        "code": _code(kind.__module__),
        "identity": step.identity(),
        "input": identity,
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=64)
def _code(module: str) -> dict[str, str]:
    return {name: sha256_of(file) for name, file in sorted(closure(module).items())}


def rows_of(folder: Path, fingerprint: str) -> int | None:
    """Return the number of rows of the result in a folder, or None if it is not there or of another fingerprint."""
    try:
        record = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        return int(record["rows"]) if record["fingerprint"] == fingerprint else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


class Worker:
    """Does tasks in this process; it starts the step before the first one that is not done yet."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._function: Function | None = None
        self._fault: tuple[str, bool] | None = None

    def perform(self, task: Task) -> Outcome:
        """Do a task, unless its result is there. Never raises for a fault of the task or of the step's start."""
        if (rows := rows_of(task.folder, task.fingerprint)) is not None:
            return Outcome(task, rows)
        if self._function is None and self._fault is None:
            try:
                self._function = self._step.start()
            except Exception as error:
                self._fault = _told(error)
        if self._function is None:
            assert self._fault
            return Outcome(task, 0, 0.0, *self._fault)
        return _perform(self._function, task)


def _told(error: Exception) -> tuple[str, bool]:
    """Return the message of an error, and whether trying again is useless."""
    if isinstance(error, SeqloomError):
        return str(error), True
    return f"{type(error).__name__}: {error}", False


def _perform(function: Function, task: Task) -> Outcome:
    started = time.monotonic()
    beside = task.folder.with_name(f".{task.folder.name}.{socket.gethostname()}-{os.getpid()}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        rows = function(task.input.path, beside)
        write_json(beside / _DONE, {"fingerprint": task.fingerprint, "rows": rows})
        _put_in_place(beside, task)
    except Exception as error:
        return Outcome(task, 0, 0.0, *_told(error))
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Outcome(task, rows, time.monotonic() - started)


def _put_in_place(beside: Path, task: Task) -> None:
    """Rename a result to its place, unless another worker was faster with the same one."""
    while True:
        try:
            beside.rename(task.folder)
            return
        except OSError:  # there is a folder already
            if not task.folder.is_dir():
                raise
            if rows_of(task.folder, task.fingerprint) is not None:
                return
            shutil.rmtree(task.folder, ignore_errors=True)
