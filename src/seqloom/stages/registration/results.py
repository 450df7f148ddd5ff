"""Reads and checks the metrics of the stages before register_model."""

from pathlib import Path
from typing import Any, NamedTuple

from seqloom import places
from seqloom.errors import RegistryError
from seqloom.files import read_object

SPLITS = ("train", "valid", "test")


class Results(NamedTuple):
    """The metrics of the earlier stages."""

    corpus: dict[str, Any]
    tokens: dict[str, Any]
    training: dict[str, Any]
    evaluation: dict[str, Any]
    pairs: dict[str, int]  # of each split
    leading: str  # the score that decides which of two versions is better
    score: float
    test_sha256: str


def read_results() -> Results:
    """Return the metrics of the earlier stages.

    Raises:
        RegistryError: one is missing or invalid; the message names the file and the stage that writes it.
    """
    corpus = _read(places.CORPUS_METRICS, "prepare_corpus")
    tokens = _read(places.TOKENS / "counts.json", "train_tokenizer")
    training = _read(places.TRAINING_METRICS, "train_model")
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
    return Results(corpus, tokens, training, evaluation, pairs, leading, score, test_sha256)


def _read(path: Path, stage: str) -> dict[str, Any]:
    return read_object(path, RegistryError, f"`dvc repro {stage}` writes it")
