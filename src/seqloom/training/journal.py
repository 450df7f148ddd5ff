"""Listens to the engine for a person: every report becomes a line of a file, and progress to be shown."""

import json
from pathlib import Path
from typing import Self

from seqloom.progress import Listener, Progress
from seqloom.training.reports import CheckpointReport, Report, SkippedReport, StepReport, ValidationReport


class Journal:
    """Adds a line of JSON per report to `file` and tells `listen`; a context manager. `steps` are those planned."""

    def __init__(self, file: Path, steps: int | None, listen: Listener) -> None:
        self._path, self._steps, self._listen = file, steps, listen
        self._note = ""
        self._rate = 0.0  # target tokens per second, smoothed over about 20 updates

    def __enter__(self) -> Self:
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __call__(self, report: Report) -> None:
        """Write the report down and show it."""
        match report:
            case StepReport(step, _, loss, _, _, tokens, seconds):
                rate = tokens / seconds
                self._rate = 0.95 * self._rate + 0.05 * rate if self._rate else rate
                note = f"loss {loss:.3f}  {self._rate:,.0f} tokens/s{self._note}"
                self._listen(Progress("train", step, self._steps, "steps", note))
            case ValidationReport(step, loss, bleu, best, _):
                self._note = f"  validation BLEU {bleu:.1f}{' (best)' if best else ''}"
                self._listen(Progress("train", step, self._steps, "steps", f"validation loss {loss:.3f}{self._note}"))
            case SkippedReport(step, in_a_row):
                note = f"gradient not finite, update left out ({in_a_row} in a row)"
                self._listen(Progress("train", step, self._steps, "steps", note))
            case CheckpointReport(step, resumed) if resumed:
                self._listen(Progress("train", step, self._steps, "steps", "going on from a checkpoint"))
        kind = type(report).__name__.removesuffix("Report").lower()
        self._file.write(json.dumps({"kind": kind, **report._asdict()}) + "\n")
