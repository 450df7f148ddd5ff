"""What a training has written down so far, as points of curves: the same ones that its table will hold at the end.

It reads a folder of scratch while another process writes to it: the journal, samples of translations, and what kind of
training it is. It knows no MLflow, and nothing of what was done with the points before.
"""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil

JOURNAL, SAMPLES, IDENTITY, FINISHED = "journal.jsonl", "samples.jsonl", "identity.json", "finished"
_CLOCKS = 5.0  # seconds by which a process may seem to be younger than the first line that it wrote
_SILENCE = 600.0  # seconds without a line after which a process of another machine is taken to be dead


class Observation(NamedTuple):
    """A value that was measured at a time of day."""

    metric: str
    step: int
    value: float
    at: float


class TrainingProcess(NamedTuple):
    """The process that trains, or has trained."""

    pid: int
    host: str
    device: str
    at: float  # when it began
    because: str | None = None  # the error that ended it, where it was able to say so


class _Update(NamedTuple):
    loss: float
    tokens: float
    norm: float
    seconds: float
    lr: float


class JournalReader:
    """Reads a journal as it grows. Updates become one point per `every` of them, as in plots/training.csv."""

    def __init__(self, file: Path, every: int) -> None:
        self._file, self._every = file, every
        self._offset = 0
        self._updates: dict[int, _Update] = {}  # since the last point
        self.process: TrainingProcess | None = None  # the last one

    def read(self) -> list[Observation]:
        """What is new since the last call. A step that is done again after a resumption is given again."""
        found: list[Observation] = []
        for record in self._new():
            try:
                found += self._points(record)
            except (KeyError, TypeError, ValueError):
                continue  # a line that was cut off by a kill, or is of another version
        return found

    def alive(self) -> bool:
        """Whether the process that writes is there."""
        if self.process is None:
            return False
        if self.process.host != socket.gethostname():
            # A time ahead of ours is of before the clock was set back, and says as little as one long past.
            return abs(time.time() - self._file.stat().st_mtime) < _SILENCE
        try:
            process = psutil.Process(self.process.pid)
            return bool(
                process.create_time() <= self.process.at + _CLOCKS  # or a younger process has its number
                and process.status() != psutil.STATUS_ZOMBIE
                and self._is_here(self.process.pid)
            )
        except psutil.Error:
            return False

    def _is_here(self, pid: int) -> bool:
        """Whether a process works in this clone: one that works in the original is in the journal of a copy, too."""
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
        whole = content[: content.rfind(b"\n") + 1]  # the last line may be half written
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
    """What a training is of, as train_model has written it; empty where that cannot be read."""
    try:
        content = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read_translations(folder: Path) -> list[tuple[int, str, str, str]]:
    """Step, source, reference and translation of the sentences that are watched, by sentence and then by step."""
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
