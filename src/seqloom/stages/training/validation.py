"""Validation during training: the segments, how they are translated and scored, and samples for people to read."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from seqloom import places
from seqloom.corpus import splits
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translator
from seqloom.errors import CorpusError
from seqloom.evaluation.metrics import corpus_bleu
from seqloom.languages import Direction
from seqloom.training.reports import Report, ValidationReport
from seqloom.training.settings import ValidationSearch

SAMPLES_FILE = "samples.jsonl"
MOST_SAMPLES = 8  # sentences of all directions together

Translated = Mapping[Direction, tuple[Sequence[splits.Pair], Sequence[str]]]


def search_settings(settings: ValidationSearch) -> SearchSettings:
    """Return the beam search that validations use, with the settings of `train.validation_search`."""
    return SearchSettings(
        **settings.model_dump(), method="beam", normalization="wu", early_stopping=False, min_length_ratio=0.0,
        temperature=1.0, top_k=None, top_p=1.0, samples=2, seed=0,
    )  # fmt: skip


def validation_segments(directions: list[Direction], most: int) -> dict[Direction, list[splits.Pair]]:
    """Return the first pairs of each direction in the validation split, equally many, at most about `most` in all.

    Raises:
        CorpusError: a direction has no pairs.
    """
    file = places.CORPUS / splits.Split.valid.file_name
    share = max(1, most // len(directions))
    named = {str(direction): direction for direction in directions}
    found: dict[Direction, list[splits.Pair]] = {direction: [] for direction in directions}
    for pair in splits.read_split(file):
        if (direction := named.get(pair.direction)) is not None and len(found[direction]) < share:
            found[direction].append(pair)
    if empty := [str(direction) for direction, pairs in found.items() if not pairs]:
        raise CorpusError(
            f"{file}: has no pair of {', '.join(empty)} to validate with; raise prepare.split.valid, or remove the "
            "language from languages"
        )
    return found


def validation_bleu(
    translator: Translator, segments: dict[Direction, list[splits.Pair]], show: Callable[[Translated], None]
) -> float:
    """Return BLEU of the detokenised translations, computed as for the test split; the mean over the directions.

    It selects the best checkpoint in every task, including those with ROUGE, so that the curves of all runs are
    comparable. `show` is called with the translations.
    """
    translated = {
        direction: (pairs, translator.translate([pair.source for pair in pairs], language=direction.target))
        for direction, pairs in segments.items()
    }
    show(translated)
    return mean(
        corpus_bleu(texts, [pair.target for pair in pairs], direction.target)
        for direction, (pairs, texts) in translated.items()
    )


class Samples:
    """Appends some translations of every validation to a file.

    `note` keeps the translations; the validation report that follows, which this gets as a listener, has the step.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._heard: list[dict[str, str]] = []

    def note(self, translated: Translated) -> None:
        """Keep the translations of some sentences, the same ones each time, until the report of the validation."""
        share = max(1, MOST_SAMPLES // len(translated))
        self._heard = [
            {
                "direction": str(direction), "source": pairs[place].source, "reference": pairs[place].target,
                "hypothesis": texts[place],
            }
            for direction, (pairs, texts) in translated.items()
            for place in range(0, len(pairs), -(-len(pairs) // share))
        ]  # fmt: skip

    def __call__(self, report: Report) -> None:
        """Write the kept translations if the report is that of a validation."""
        if not isinstance(report, ValidationReport):
            return
        with self._file.open("a", encoding="utf-8") as file:
            for sample in self._heard:
                file.write(json.dumps({"step": report.step, **sample}, ensure_ascii=False) + "\n")
