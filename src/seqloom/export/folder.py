"""The folder of an export: a CTranslate2 model, and `export.json`, which binds it to the weights that it is made from.

A model folder holds the exports of its network as `ctranslate2/float32` and `ctranslate2/int8`. No code is stored, and
loading runs none.
"""

from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch

from seqloom.errors import ModelError
from seqloom.export.library import ctranslate2
from seqloom.export.quantisation import quantise
from seqloom.export.settings import EXPORTS, Precision
from seqloom.export.specification import most_positions, specify
from seqloom.files import read_object, replacing_folder, sha256_of, write_json
from seqloom.models.catalogue import load_model
from seqloom.models.transformer import Transformer
from seqloom.symbols import Symbols

WEIGHTS = "model.safetensors"
_FORMAT = 1
_MOST_SIDE_BY_SIDE = 4
_DESCRIPTION = "export.json"


class Export(NamedTuple):
    """A stored export: its folder, and what a search needs to know about it."""

    folder: Path
    precision: Precision
    weights: str  # SHA-256 of the model.safetensors that it is made from
    positions: int | None  # the longest source, and the longest target with EOS; None if any
    symbols: Symbols
    source_vocab_size: int
    target_vocab_size: int


def write_export(model_folder: Path, symbols: Symbols, precision: Precision, folder: Path) -> Export:
    """Convert the network of a model folder, and write the export into `folder`, which it replaces.

    Raises:
        ModelError: the network cannot be loaded or represented exactly, or CTranslate2 is not installed.
    """
    model = load_model(model_folder)
    spec = specify(model, symbols)
    assert isinstance(model, Transformer)
    if precision == "int8":
        quantise(spec)
    spec.validate()
    spec.optimize()  # stores equal matrices, such as tied ones, only once
    export = Export(
        folder,
        precision,
        sha256_of(model_folder / WEIGHTS),
        most_positions(model),
        symbols,
        model.source_vocab_size,
        model.target_vocab_size,
    )
    with replacing_folder(folder) as beside:
        spec.save(str(beside))
        description: dict[str, Any] = export._asdict() | {"symbols": symbols._asdict()}
        del description["folder"]
        write_json(beside / _DESCRIPTION, {"format": _FORMAT} | description)
    return export


def read_export(folder: Path) -> Export:
    """Read the description of an export.

    Raises:
        ModelError: there is none, or an invalid one.
    """
    path = folder / _DESCRIPTION
    stored = read_object(path, ModelError)
    if stored.pop("format", None) != _FORMAT:
        raise ModelError(
            f"{path}: has another format than {_FORMAT}, which this version of seqloom reads; export again"
        )
    try:
        export = Export(folder, **stored | {"symbols": Symbols(**stored["symbols"])})
    except (KeyError, TypeError) as error:
        raise ModelError(f"{path}: does not describe an export: {error}") from error
    sizes = (*export.symbols, export.source_vocab_size, export.target_vocab_size)
    if export.precision not in get_args(Precision) or not all(isinstance(each, int) for each in sizes):
        raise ModelError(f"{path}: does not describe an export: {stored}")
    if export.positions is not None and not isinstance(export.positions, int):
        raise ModelError(f"{path}: positions is {export.positions!r}, but must be a number or null")
    return export


def find_export(model_folder: Path, precision: Precision | None = None) -> Export | None:
    """Return the export of a model folder: of that precision, or else int8 before float32; None if there is none.

    Raises:
        ModelError: the export is invalid, or it was made from other weights than those in the folder.
    """
    wanted: tuple[Precision, ...] = ("int8", "float32") if precision is None else (precision,)
    found = next((path for each in wanted if (path := model_folder / EXPORTS / each).is_dir()), None)
    if found is None:
        return None
    export = read_export(found)
    if export.weights != sha256_of(model_folder / WEIGHTS):
        raise ModelError(f"{found}: was made from other weights than those in {model_folder}; export again")
    return export


def open_export(export: Export, threads: int) -> Any:
    """Return a `ctranslate2.Translator` of an export that searches up to four batches at a time, on `threads` cores.

    Small matrices take more CPU time if several cores share each of them, but a single sentence has one batch only, and
    must not be left to one core of many.

    Raises:
        ModelError: a file is missing or damaged, or CTranslate2 is not installed.
    """
    library, of_torch = ctranslate2(), torch.get_num_threads()
    kind = "float32" if export.precision == "float32" else "int8_float32"
    side_by_side = min(threads, _MOST_SIDE_BY_SIDE)
    each = threads // side_by_side
    try:
        return library.Translator(
            str(export.folder), device="cpu", compute_type=kind, inter_threads=side_by_side, intra_threads=each
        )
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"{export.folder}: CTranslate2 cannot read it: {' '.join(str(error).split())[:200]}"
        ) from error
    finally:
        torch.set_num_threads(of_torch)  # both use one OpenMP, and CTranslate2 sets its number of threads
