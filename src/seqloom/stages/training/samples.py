"""A few sentences of the validation split as each validation translates them, for whoever watches a model learn."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqloom.corpus.splits import Pair
from seqloom.languages import Direction
from seqloom.training.reports import Report, ValidationReport

FILE = "samples.jsonl"
MOST = 8  # sentences, of all directions together


class Samples:
    """Hears what a validation translated and then, as a listener of the engine, at which step; adds lines to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._heard: list[dict[str, str]] = []

    def note(self, translated: Mapping[Direction, tuple[Sequence[Pair], Sequence[str]]]) -> None:
        """Keep some of what was translated, the same sentences each time, until the step is known."""
        share = max(1, MOST // len(translated))
        self._heard = [
            {
                "direction": str(direction), "source": pairs[place].source, "reference": pairs[place].target,
                "hypothesis": texts[place],
            }
            for direction, (pairs, texts) in translated.items()
            for place in range(0, len(pairs), -(-len(pairs) // share))
        ]  # fmt: skip

    def __call__(self, report: Report) -> None:
        """Write down what was heard last, where the report is that of a validation."""
        if not isinstance(report, ValidationReport):
            return
        with self._file.open("a", encoding="utf-8") as file:
            for sample in self._heard:
                file.write(json.dumps({"step": report.step, **sample}, ensure_ascii=False) + "\n")
