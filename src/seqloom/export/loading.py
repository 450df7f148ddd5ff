"""Load a translator with the fastest engine that gives the guarantees of our search."""

from collections.abc import Sequence
from pathlib import Path

import torch

from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translator
from seqloom.errors import ModelError
from seqloom.export.fast_search import FastSearch
from seqloom.export.folder import find_export
from seqloom.export.library import is_installed
from seqloom.export.settings import EXPORTS, Engine


def load_translator(
    folder: Path,
    device: torch.device | str = "auto",
    search: SearchSettings | None = None,
    others: Sequence[Path] = (),
    engine: Engine = "auto",
) -> Translator:
    """Load a model folder or an ensemble: see `Translator.load`.

    With the engine "auto", the folder's export is used on a CPU if CTranslate2 is installed, and torch otherwise, also
    for an ensemble. "ctranslate2" raises an error instead of using torch.

    Raises:
        ModelError: a folder has no model, an invalid one or a damaged export, or the engine cannot be used.
        TokenizerError: a tokenizer cannot be loaded.
    """
    translator = Translator.load(folder, device, search, others)
    if engine != "torch":
        translator.engine = fast_search(folder, translator.device, len(others), required=engine == "ctranslate2")
    return translator


def fast_search(folder: Path, device: torch.device, others: int = 0, *, required: bool = False) -> FastSearch | None:
    """Return the search of the folder's export for a model with `others` beside it in an ensemble.

    It is None if the export cannot be used, unless it is `required`. Raises `ModelError` as `load_translator` does.
    """
    if others or device.type != "cpu":
        fault = f"engine ctranslate2 searches with one model on the CPU, but the device is {device}"
        fault = "engine ctranslate2 searches with one model, not with an ensemble" if others else fault
    elif not (folder / EXPORTS).is_dir():
        fault = f"{folder}: has no folder {EXPORTS}, so the engine ctranslate2 cannot be used; use torch"
    elif (required or is_installed()) and (export := find_export(folder)) is not None:
        return FastSearch.load(export)
    else:
        fault = f"{folder / EXPORTS}: holds no export"
    if required:
        raise ModelError(fault)
    return None
