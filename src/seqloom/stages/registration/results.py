"""Reads and checks the metrics of the stages before register_model."""

from pathlib import Path
from typing import Any, NamedTuple

from seqloom import places
from seqloom.errors import RegistryError
from seqloom.export.settings import Precision
from seqloom.files import read_object

SPLITS = ("train", "valid", "test")


class Results(NamedTuple):
    """The metrics of the earlier stages."""

    corpus: dict[str, Any]
    tokens: dict[str, Any]
    training: dict[str, Any]
    export: dict[str, Any]
    evaluation: dict[str, Any]
    pairs: dict[str, int]  # of each split
    leading: str  # the score that decides which of two versions is better
    score: float
    test_sha256: str


class ExportScore(NamedTuple):
    """The leading score of the export that is registered, and that of torch."""

    export: float
    torch: float


def export_folder(results: Results, precision: Precision) -> Path | None:
    """Return the export that becomes part of the version, or None if there is none."""
    return places.EXPORT / precision if results.export.get("exported") is True else None


def export_score(results: Results, precision: Precision) -> ExportScore | None:
    """Return the leading scores of the export and of torch on the test split, or None if there is no export.

    Raises:
        RegistryError: metrics/export.json has no such score.
    """
    if export_folder(results, precision) is None:
        return None
    try:
        score = float(results.export["quality"][precision]["scores"][results.leading])
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(
            f"{places.EXPORT_METRICS}: has no {results.leading} of {precision}; `dvc repro export_model` writes it"
        ) from error
    return ExportScore(score, results.score)


def read_results() -> Results:
    """Return the metrics of the earlier stages.

    Raises:
        RegistryError: one is missing or invalid; the message names the file and the stage that writes it.
    """
    corpus = _read(places.CORPUS_METRICS, "prepare_corpus")
    tokens = _read(places.TOKENS / "counts.json", "train_tokenizer")
    training = _read(places.TRAINING_METRICS, "train_model")
    export = _read(places.EXPORT_METRICS, "export_model")
    evaluation = _read(places.EVALUATION_METRICS, "evaluate_model")
    if not (places.CANDIDATE / "model.json").is_file():
        raise RegistryError(f"{places.CANDIDATE}: has no model; `dvc repro train_model` writes it")
    try:
        pairs = {split: int(corpus["splits"][split]) for split in SPLITS}
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(f"{places.CORPUS_METRICS}: has no splits; `dvc repro prepare_corpus` writes it") from error
    try:
        leading = str(evaluation["leading"])
        score, test_sha256 = float(evaluation[leading]["score"]), str(evaluation["test_sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(
            f"{places.EVALUATION_METRICS}: has no leading score or no test_sha256; `dvc repro evaluate_model` writes it"
        ) from error
    return Results(corpus, tokens, training, export, evaluation, pairs, leading, score, test_sha256)


def _read(path: Path, stage: str) -> dict[str, Any]:
    return read_object(path, RegistryError, f"`dvc repro {stage}` writes it")
