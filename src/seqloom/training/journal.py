"""A listener of the engine that writes every report to a file and shows progress.

The file has one JSON object per line, with the time. A process adds a line when it begins and one when it ends; if it
is killed, the latter is missing. Lines other than those of updates have the energy used so far, if it is measured.
"""

import json
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from seqloom.progress import Listener, Progress
from seqloom.training.reports import (
    CheckpointReport,
    Report,
    SkippedReport,
    SplitReport,
    StepReport,
    ValidationReport,
    WarningReport,
)

_LOG = logging.getLogger(__name__)


class Journal:
    """Appends a JSON line per report to `file` and calls `listen` with progress; a context manager.

    Reports that need attention are also logged as warnings, so that the next progress line does not replace them.
    """

    def __init__(
        self,
        file: Path,
        listen: Listener,
        *,
        device: str = "",
        processes: int = 1,
        used: Callable[[], dict[str, float]] = dict,
    ) -> None:
        self._path, self._listen = file, listen
        self._device, self._processes = device, processes
        self._used = used  # returns joules since this process began
        self._note = ""
        self._rate = 0.0  # target tokens per second, smoothed over about 20 updates
        self._steps: int | None = None  # estimated total

    def __enter__(self) -> Self:
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        if self._file.tell() and not _ends_a_line(self._path):
            self._file.write("\n")  # a kill has truncated the last line
        self._write(
            "begin", pid=os.getpid(), host=socket.gethostname(), device=self._device, processes=self._processes
        )  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        with suppress(OSError):  # must not replace the error that ended training, such as a full disk
            self._write("end", because=None if kind is None else kind.__name__, joules=self._used())
        self._file.close()

    def __call__(self, report: Report) -> None:
        """Write and show a report."""
        kind = type(report).__name__.removesuffix("Report").lower()
        self._write(kind, **report._asdict(), **({} if kind == "step" else {"joules": self._used()}))
        match report:
            case StepReport(step, _, loss, _, _, tokens, seconds, done):
                rate = tokens / seconds
                self._rate = 0.95 * self._rate + 0.05 * rate if self._rate else rate
                self._steps = round(step / done) if done else None
                self._show(step, f"loss {loss:.3f}  {self._rate:,.0f} tokens/s{self._note}")
            case ValidationReport(step, loss, bleu, best, _):
                self._note = f"  validation BLEU {bleu:.1f}{' (best)' if best else ''}"
                self._show(step, f"validation loss {loss:.3f}{self._note}")
            case SkippedReport(step, in_a_row, saved):
                _LOG.warning(
                    "step %d: the gradient is not finite; the update is skipped (%d in a row), its batches are in %s",
                    step, in_a_row, saved,
                )  # fmt: skip
            case SplitReport(step, parts):
                _LOG.warning(
                    "step %d: out of memory; the batch is computed in %d parts, with the same result", step, parts
                )
            case WarningReport(step, message):
                _LOG.warning("step %d: %s", step, message)
            case CheckpointReport(step, resumed) if resumed:
                self._show(step, "going on from a checkpoint")

    def _write(self, kind: str, **facts: Any) -> None:
        self._file.write(json.dumps({"kind": kind, "at": round(time.time(), 3), **facts}) + "\n")

    def _show(self, step: int, note: str) -> None:
        self._listen(Progress("train", step, self._steps, "steps", note))


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"
