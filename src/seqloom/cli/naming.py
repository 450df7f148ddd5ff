"""The model that params.yaml trains, for commands that were given no other, and versions by their number."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.errors import ParamsError, RegistryError

if TYPE_CHECKING:
    from seqloom.tracking.registry.versions import Reference

PARAMS = Path("params.yaml")


def default_model() -> str:
    """The registered name of the model of params.yaml, whose other sections may be wrong.

    Raises:
        ParamsError: there is no such file, or a section that names the model is wrong.
    """
    from seqloom.params import load_purpose
    from seqloom.tracking.client.names import model_name

    if not PARAMS.exists():
        raise ParamsError("there is no params.yaml here that says which model; name one with --model (see --help)")
    purpose = load_purpose(PARAMS)
    return model_name(purpose.task, purpose.languages.sources, purpose.languages.targets)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Let a command take --model."""
    parser.add_argument("--model", metavar="NAME", help="the registered model; default: that of params.yaml")


def version_of(text: str, model: str | None) -> "Reference":
    """A version by its number (`3`), by an alias (`@candidate`) or whole (`models:/seqloom-en-de/3`).

    Raises:
        ParamsError: no model is named, and there is no params.yaml.
        RegistryError: it names no version.
    """
    from seqloom.tracking.registry.versions import parse_reference

    if text.startswith("models:"):
        found = parse_reference(text)
    else:
        found = parse_reference(f"models:/{model or default_model()}{text if text.startswith('@') else f'/{text}'}")
    if found.number is None and found.alias is None:
        raise RegistryError(f"{text} names no version; valid are a number, @ALIAS and models:/NAME/NUMBER")
    return found
