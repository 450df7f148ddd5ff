"""Measures what the export of a new version loses to torch, for the gate.

Both have translated the test split: export_model wrote the translations of the exports, and evaluate_model those of
torch. They are resampled only if the export lost more than the gate allows.
"""

import csv
from collections.abc import Iterator, Sequence

from seqloom import places
from seqloom.corpus.splits import read_split
from seqloom.errors import RegistryError
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.significance import compare
from seqloom.export.settings import TRANSLATIONS, Precision
from seqloom.files import read_object
from seqloom.gate.rules import Rule, export_rule
from seqloom.languages import Direction
from seqloom.params import Params
from seqloom.stages.registration.results import export_score, read_results
from seqloom.text import normalise


def export_rules(params: Params) -> Iterator[Rule]:
    """Yield the rule on the export, if the new version has one and the gate bounds what it may lose.

    Raises:
        RegistryError: a score or the translations of the export are missing.
    """
    most, results, precision = params.gate.max_export_drop, read_results(), params.export.precision
    scores = export_score(results, precision)
    if most is None or scores is None:
        return
    lost = scores.torch - scores.export
    p = None if lost <= most else _significance(params, results.leading, precision)
    yield export_rule(results.leading, scores.export, scores.torch, p, params.gate)


def _significance(params: Params, metric: str, precision: Precision) -> float:
    """Return how probable a difference as large is between equal systems, by paired bootstrap resampling."""
    pairs = list(read_split(places.CORPUS / "test.tsv"))
    known: dict[str, Direction] = {str(direction): direction for direction in params.languages.directions}
    texts = [pair.source for pair in pairs], [pair.target for pair in pairs]
    directions = [known[pair.direction] for pair in pairs]
    exported, torch = (
        Segments(*texts, found, directions, params.placeholders.build())
        for found in (_of_export(precision, len(pairs)), _of_torch(len(pairs)))
    )
    return compare(exported, torch, [metric], params.evaluate)[metric].p


def _of_export(precision: Precision, count: int) -> Sequence[str]:
    path = places.EXPORT / TRANSLATIONS
    found = read_object(path, RegistryError, "`dvc repro export_model` writes it").get(precision)
    if not isinstance(found, list) or len(found) != count:
        raise RegistryError(
            f"{path}: must have {count:,} translations of {precision}, one per test pair; "
            "`dvc repro --force export_model` writes them"
        )
    return [normalise(str(text)) for text in found]


def _of_torch(count: int) -> Sequence[str]:
    try:
        with places.HYPOTHESES.open(encoding="utf-8", newline="") as file:
            found = [row["hypothesis"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    except (OSError, UnicodeDecodeError, KeyError) as error:
        raise RegistryError(
            f"{places.HYPOTHESES}: cannot be read ({error}); `dvc repro --force evaluate_model` writes it"
        ) from error
    if len(found) != count:
        raise RegistryError(
            f"{places.HYPOTHESES}: has {len(found):,} translations, but the test split has {count:,} pairs; "
            "`dvc repro --force evaluate_model` writes it"
        )
    return found
