"""The settings of params.yaml as records; a test passes only the settings that it needs to change."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

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
    """Return params.yaml as a new tree of plain data, with a Transformer, which unlike the default can be exported."""
    content = _params().model_dump(mode="json", by_alias=True)  # PyYAML alone would read 4e-3 as a string
    content["model"]["name"], content["train"]["lr"] = "transformer", 0.004
    return content


def write_yaml(content: dict[str, Any]) -> str:
    """Return settings as YAML; libyaml, where PyYAML has it, takes a tenth of the time."""
    return yaml.dump(content, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)


def train_settings(**changes: Any) -> TrainSettings:
    """Return the section train."""
    return TrainSettings(**_params().train.model_dump() | changes)


def search_settings(**changes: Any) -> SearchSettings:
    """Return the section search."""
    return SearchSettings(**_params().search.model_dump() | changes)


def tokenizer_settings(**changes: Any) -> TokenizerSettings:
    """Return the section tokenizer."""
    return TokenizerSettings(**_params().tokenizer.model_dump() | changes)


def evaluate_settings(**changes: Any) -> EvaluateSettings:
    """Return the section evaluate."""
    return EvaluateSettings(**_params().evaluate.model_dump() | changes)


def prepare_settings(**changes: Any) -> PrepareSettings:
    """Return the section prepare."""
    return PrepareSettings(**_params().prepare.model_dump() | changes)


def model_settings(name: str = "transformer", dropout: float = 0.1, ties: str = "all", **section: Any) -> ModelSettings:
    """Return the section model for one family; `section` changes that family's settings."""
    content = _params().model.model_dump()
    content |= {"name": name, "dropout": dropout, "tied_embeddings": ties}
    content[name] |= section
    return ModelSettings(**content)


def merge(content: dict[str, Any], changes: dict[str, Any]) -> None:
    """Merge nested settings into others, in place."""
    for key, change in changes.items():
        if isinstance(change, dict):
            merge(content.setdefault(key, {}), change)
        else:
            content[key] = change
