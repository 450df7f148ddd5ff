"""The settings of params.yaml as records, with some of them changed: tests name only what matters to them."""

from functools import cache
from pathlib import Path
from typing import Any

from seqloom.corpus.settings import PrepareSettings
from seqloom.decoding.settings import SearchSettings
from seqloom.evaluation.settings import EvaluateSettings
from seqloom.models.settings import ModelSettings
from seqloom.params import Params, load_params
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.training.settings import TrainSettings

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"


@cache
def _params() -> Params:
    return load_params(PARAMS)


def tree() -> dict[str, Any]:
    """params.yaml as plain data, to be changed, and to be checked or written."""
    return _params().model_dump(mode="json", by_alias=True)  # not as PyYAML reads it, for which 4e-3 is a word


def train_settings(**changes: Any) -> TrainSettings:
    """The section train."""
    return TrainSettings(**_params().train.model_dump() | changes)


def search_settings(**changes: Any) -> SearchSettings:
    """The section search."""
    return SearchSettings(**_params().search.model_dump() | changes)


def tokenizer_settings(**changes: Any) -> TokenizerSettings:
    """The section tokenizer."""
    return TokenizerSettings(**_params().tokenizer.model_dump() | changes)


def evaluate_settings(**changes: Any) -> EvaluateSettings:
    """The section evaluate."""
    return EvaluateSettings(**_params().evaluate.model_dump() | changes)


def prepare_settings(**changes: Any) -> PrepareSettings:
    """The section prepare."""
    return PrepareSettings(**_params().prepare.model_dump() | changes)


def model_settings(name: str = "transformer", dropout: float = 0.1, ties: str = "all", **section: Any) -> ModelSettings:
    """The section model, of one family; `section` changes the settings of that family."""
    content = _params().model.model_dump()
    content |= {"name": name, "dropout": dropout, "tied_embeddings": ties}
    content[name] |= section
    return ModelSettings(**content)


def merge(content: dict[str, Any], changes: dict[str, Any]) -> None:
    """Put nested settings over others."""
    for key, change in changes.items():
        if isinstance(change, dict):
            merge(content[key], change)
        else:
            content[key] = change
