"""Reads the folder of a training while another process writes to it: journal, sample translations, identity.

The points of curves are the same as those in plots/training.csv, which train_model writes at the end.
"""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil

JOURNAL, SAMPLES, IDENTITY, FINISHED = "journal.jsonl", "samples.jsonl", "identity.json", "finished"
_CLOCKS = 5.0  # tolerance in seconds when the start of a process is compared with its first line
_SILENCE = 600.0  # seconds without a new line until a process on another machine counts as dead


class Observation(NamedTuple):
    """A point of a curve; `at` is in seconds since the epoch."""

    metric: str
    step: int
    value: float
    at: float


class TrainingProcess(NamedTuple):
    """The process that trains or trained."""

    pid: int
    host: str
    device: str
    at: float  # its start, in seconds since the epoch
    because: str | None = None  # the error that ended it, if it recorded one


class _Update(NamedTuple):
    loss: float
    tokens: float
    norm: float
    seconds: float
    lr: float


class JournalReader:
    """Reads a journal as it grows. Every `every` updates become one point, as in plots/training.csv."""

    def __init__(self, file: Path, every: int) -> None:
        self._file, self._every = file, every
        self._offset = 0
        self._updates: dict[int, _Update] = {}  # since the last point
        self.process: TrainingProcess | None = None  # the last one; None if the journal names none

    def read(self) -> list[Observation]:
        """Return the points since the last call. A step that is repeated after a resumption is returned again."""
        found: list[Observation] = []
        for record in self._new():
            try:
                found += self._points(record)
            except (KeyError, TypeError, ValueError):
                continue  # cut off by a kill, or of another version
        return found

    def alive(self) -> bool:
        """Return whether the training process is running."""
        if self.process is None:
            return False
        if self.process.host != socket.gethostname():
            # abs: after a clock was set back, a time in the future is as stale as one in the past.
            return abs(time.time() - self._file.stat().st_mtime) < _SILENCE
        try:
            process = psutil.Process(self.process.pid)
            return bool(
                process.create_time() <= self.process.at + _CLOCKS  # a younger process would have reused the pid
                and process.status() != psutil.STATUS_ZOMBIE
                and self._is_here(self.process.pid)
            )
        except psutil.Error:
            return False

    def _is_here(self, pid: int) -> bool:
        """Return whether a process works in this clone: the copy of a clone has the journal of the original, too."""
        try:
            return Path(f"/proc/{pid}/cwd").samefile(self._file.absolute().parents[2])
        except PermissionError:
            return True
        except OSError:
            return False

    def _new(self) -> Iterator[Mapping[str, Any]]:
        try:
            with self._file.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return
        whole = content[: content.rfind(b"\n") + 1]  # the last line may be incomplete
        self._offset += len(whole)
        yield from _records(whole)

    def _points(self, record: Mapping[str, Any]) -> list[Observation]:
        at = float(record.get("at", 0))
        match record.get("kind"):
            case "begin":
                self.process = TrainingProcess(int(record["pid"]), str(record["host"]), str(record["device"]), at)
            case "end" if self.process is not None:
                self.process = self.process._replace(because=record["because"])
            case "validation":
                step = int(record["step"])
                return [Observation(f"valid/{name}", step, float(record[name]), at) for name in ("loss", "bleu")]
            case "step":
                return self._update(int(record["step"]), record, at)
        return []

    def _update(self, step: int, record: Mapping[str, Any], at: float) -> list[Observation]:
        self._updates = {before: update for before, update in self._updates.items() if before < step}
        names = ("loss", "tokens", "grad_norm", "seconds", "lr")
        self._updates[step] = _Update(*(float(record[name]) for name in names))
        if step % self._every:
            return []
        updates, self._updates = [u for before, u in self._updates.items() if before > step - self._every], {}
        tokens = sum(update.tokens for update in updates)
        values = {
            "loss": sum(update.loss * update.tokens for update in updates) / tokens,
            "lr": updates[-1].lr,
            "grad_norm": sum(update.norm for update in updates) / len(updates),
            "tokens_per_s": round(tokens / sum(update.seconds for update in updates), 1),
        }
        return [Observation(f"train/{name}", step, value, at) for name, value in values.items()]


def read_identity(folder: Path) -> Mapping[str, Any]:
    """Return the content of identity.json, or an empty mapping if it cannot be read."""
    try:
        content = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read_translations(folder: Path) -> list[tuple[int, str, str, str]]:
    """Return step, source, reference and translation of each sample, sorted by sentence and then by step."""
    try:
        content = (folder / SAMPLES).read_bytes()
    except OSError:
        return []
    found: dict[tuple[str, str, str, int], str] = {}
    for line in _records(content):
        try:
            key = (str(line["direction"]), str(line["source"]), str(line["reference"]), int(line["step"]))
            found[key] = str(line["hypothesis"])
        except (KeyError, TypeError, ValueError):
            continue
    return [(step, source, reference, text) for (_, source, reference, step), text in sorted(found.items())]


def _records(content: bytes) -> Iterator[Mapping[str, Any]]:
    for line in content.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record
