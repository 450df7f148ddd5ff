"""Load the models that `seqloom translate` is told to use, and the options of their search."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqloom.cli.model_names import default_model
from seqloom.errors import ParamsError, SeqloomError

if TYPE_CHECKING:
    from seqloom.decoding.settings import SearchSettings
    from seqloom.translation.texts import TextTranslator

# Option, its type, the search setting that it overrides, and its help text.
_SEARCH: tuple[tuple[str, type[str] | type[int] | type[float], str, str], ...] = (
    ("--method", str, "method", "beam, sampling, mbr (minimum Bayes risk) or generate (only for pretrained models)"),
    ("--beam", int, "beam", "beam width; 1 is greedy search, the fastest"),
    ("--length-penalty", float, "length_penalty", "exponent; higher values prefer longer translations"),
    ("--no-repeat-ngram", int, "no_repeat_ngram", "do not repeat n-grams of this size; 0 is off"),
    ("--temperature", float, "temperature", "sampling temperature; below 1 is less random"),
    ("--top-k", int, "top_k", "sample from the K most likely pieces"),
    ("--top-p", float, "top_p", "sample from the most likely pieces with total probability P"),
    ("--samples", int, "samples", "number of samples for minimum Bayes risk"),
    ("--seed", int, "seed", "random seed for sampling"),
)


def add_search(parser: argparse.ArgumentParser) -> None:
    """Define the options of the search."""
    search = parser.add_argument_group("search")
    for option, kind, setting, help_text in _SEARCH:
        search.add_argument(
            option, type=kind, dest=setting, metavar=option.strip("-").split("-")[-1].upper(), help=help_text
        )
    faster = "stop when no open hypothesis would win if it ended now: faster, but can change a translation"
    search.add_argument("--early-stopping", action=argparse.BooleanOptionalAction, help=faster)


class Loaded(NamedTuple):
    """A translator, the folders that it was loaded from, and what to call it."""

    translator: "TextTranslator"
    folders: list[Path]
    name: str


def load(options: argparse.Namespace) -> Loaded:
    """Load the models that the options name, with their search settings.

    Raises:
        RegistryError: a version does not exist.
        ModelError: a folder holds no model, or the models do not fit together.
        ParamsError: a search setting is invalid, or no model is given and there is no params.yaml.
    """
    found = [_folder(name) for name in options.model or [f"models:/{default_model()}@champion"]]
    folders, names = [folder for folder, _ in found], [name for _, name in found]
    from seqloom.translation.texts import TextTranslator

    translator = TextTranslator.load(folders[0], options.device, others=folders[1:], engine="auto")
    searching = translator.with_search(_search_settings(translator.search, options))
    return Loaded(searching, folders, " + ".join(names))


def _folder(name: str) -> tuple[Path, str]:
    """Return the model folder, and what to call it: the version's URI with its number, or the folder's name."""
    if name.startswith("models:"):
        from seqloom.tracking.client.store import connect
        from seqloom.tracking.registry.versions import fetch_model, get_version, parse_reference

        store, wanted = connect(Path.cwd(), create=False), parse_reference(name)
        version = get_version(store, wanted)
        return fetch_model(store, wanted), f"models:/{version.name}/{version.version}"
    if not Path(name).is_dir():
        raise SeqloomError(f"{name}: is neither a model folder nor a registered model (models:/NAME@ALIAS)")
    return Path(name), Path(name).resolve().name  # a whole path would be private


def _search_settings(search: "SearchSettings", options: argparse.Namespace) -> "SearchSettings":
    """Return the model's search settings, overridden by the options. Raises `ParamsError` if the result is invalid."""
    from pydantic import ValidationError

    given: dict[str, Any] = {setting: getattr(options, setting) for _, _, setting, _ in _SEARCH}
    given["early_stopping"] = options.early_stopping
    asked = {setting: value for setting, value in given.items() if value is not None}
    if asked.get("method") == "generate":
        asked["normalization"] = "average"  # the only one that `generate` supports
    try:
        return type(search).model_validate(search.model_dump() | asked)
    except ValidationError as error:
        fault = error.errors()[0]
        if fault["type"] == "value_error":  # from a check of several settings
            raise ParamsError(f"search.{fault['loc'][0]} {fault['ctx']['error']}") from error
        named = "".join(option for option, _, setting, _ in _SEARCH if (setting,) == fault["loc"])
        raise ParamsError(f"{named}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {fault['input']!r}") from error
