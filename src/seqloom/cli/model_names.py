"""Resolve the models and versions named on the command line; the default model is that of params.yaml."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from seqloom.errors import ParamsError, RegistryError

if TYPE_CHECKING:
    from seqloom.tracking.versions import Reference

PARAMS = Path("params.yaml")


def default_model() -> str:
    """Return the registered name of the model in params.yaml; sections that do not affect the name may be invalid.

    Raises:
        ParamsError: there is no params.yaml, or a section that affects the name is invalid.
    """
    from seqloom.params import load_purpose
    from seqloom.tracking.names import model_name

    if not PARAMS.exists():
        raise ParamsError("there is no params.yaml here to take the model from; give one with --model (see --help)")
    purpose = load_purpose(PARAMS)
    return model_name(purpose.task, purpose.languages.sources, purpose.languages.targets)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the option --model to a command."""
    parser.add_argument("--model", metavar="NAME", help="a registered model; default: that of params.yaml")


def version_of(text: str, model: str | None) -> "Reference":
    """Return the version named by a number (`3`), an alias (`@candidate`) or a URI (`models:/seqloom-en-de/3`).

    Raises:
        ParamsError: no model is given, and there is no params.yaml.
        RegistryError: `text` does not name a version.
    """
    from seqloom.tracking.versions import parse

    if text.startswith("models:"):
        found = parse(text)
    else:
        found = parse(f"models:/{model or default_model()}{text if text.startswith('@') else f'/{text}'}")
    if found.number is None and found.alias is None:
        raise RegistryError(f"{text} does not name a version; valid are a number, @ALIAS and models:/NAME/NUMBER")
    return found
