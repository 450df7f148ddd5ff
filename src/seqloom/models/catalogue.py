"""Build networks by name, and save and load their files.

A model folder holds `model.json` (the architecture with all sizes, and the vocabulary sizes) and `model.safetensors`
(the weights). A pretrained model also has `config.json`, Hugging Face's description of the network. No code is stored,
and loading runs none.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seqloom.errors import ModelError
from seqloom.files import read_object, replacing, write_bytes
from seqloom.models.attention_lstm import AttentionLstm
from seqloom.models.lstm import Lstm
from seqloom.models.pretrained import Pretrained
from seqloom.models.pretrained_folder import from_config, from_folder
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import (
    ARCHITECTURE,
    Architecture,
    AttentionLstmArchitecture,
    LstmArchitecture,
    PretrainedArchitecture,
    TransformerArchitecture,
)
from seqloom.models.transformer import Transformer

FORMAT = 2
_LARGEST_VOCABULARY = 10_000_000
_PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}
# Raised for a file that is not safetensors, or has tensors of a type that torch does not support.
_UNREADABLE = (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)


class _Planning(TorchFunctionMode):
    """Draws no normal numbers: on the device meta, that would import torch's compiler (85 MB, and 2.5 s)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (nn.init.normal_, Tensor.normal_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


Shapes = dict[str, tuple[int, ...]]
"""The shape of each weight, by its name."""


def build_model(
    architecture: Architecture, source_vocab_size: int, target_vocab_size: int, base: Path | None = None
) -> Seq2Seq:
    """Return a network with initial weights.

    They are drawn from torch's global generator; those of a pretrained network are read from its folder `base`.

    Raises:
        ModelError: `base` holds no pretrained model, or one with other vocabulary sizes or an unsupported architecture.
    """
    _limit_primitive_cache()
    match architecture:
        case PretrainedArchitecture():
            if base is None:
                raise ModelError("a pretrained model is read from a folder, but none is given")
            model = from_folder(architecture, base)
            if (model.source_vocab_size, model.target_vocab_size) != (source_vocab_size, target_vocab_size):
                raise ModelError(
                    f"{base}: the network has {model.source_vocab_size} source and {model.target_vocab_size} target "
                    f"ids, but its tokenizer {source_vocab_size} and {target_vocab_size}: they do not match"
                )
            return model
        case LstmArchitecture():
            return Lstm(architecture, source_vocab_size, target_vocab_size)
        case AttentionLstmArchitecture():
            return AttentionLstm(architecture, source_vocab_size, target_vocab_size)
        case TransformerArchitecture():
            return Transformer(architecture, source_vocab_size, target_vocab_size)


def _limit_primitive_cache() -> None:
    """Let oneDNN, torch's library of CPU kernels, cache 16 primitives instead of 1,024.

    It keeps a primitive for each shape of a batch. For a recurrent network these took up to 10 MB each in training and
    250 MB in all in a search, and saved no time. oneDNN reads the limit when it creates its first primitive.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the detached weights by name, a shared one only once; equal networks have equal names."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_model(
    model: Seq2Seq, architecture: Architecture, folder: Path, whole: Mapping[str, Tensor] | None = None
) -> None:
    """Write the files of a model into `folder`, each atomically; `whole` are its weights if it has only shards."""
    description = {
        "format": FORMAT,
        "architecture": architecture.model_dump(),
        "source_vocab_size": model.source_vocab_size,
        "target_vocab_size": model.target_vocab_size,
    }
    with replacing(folder / "model.safetensors") as beside:
        tensors = weights(model) if whole is None else whole
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, beside)
    texts = {"model.json": (json.dumps(description, indent=2) + "\n").encode()}
    if isinstance(model, Pretrained):
        texts |= model.files
    for name, content in texts.items():
        write_bytes(folder / name, content)


def load_model(folder: Path, device: torch.device | str = "cpu") -> Seq2Seq:
    """Load a stored network in evaluation mode.

    Raises:
        ModelError: a file is missing or invalid; the message names it.
    """
    _limit_primitive_cache()
    description = folder / "model.json"
    stored = _described(description)
    file = folder / "model.safetensors"
    shapes = _shapes(file)
    try:
        architecture = ARCHITECTURE.validate_python(stored["architecture"])
        sizes = _size(stored["source_vocab_size"]), _size(stored["target_vocab_size"])
    except ValidationError as error:
        fault = error.errors()[0]
        message = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        raise ModelError(f"{description}: does not describe a model: {message}") from error
    except (KeyError, ValueError) as error:
        raise ModelError(f"{description}: does not describe a model: {error}") from error
    if isinstance(architecture, PretrainedArchitecture):
        model: Seq2Seq = from_config(architecture, folder, shapes, file.stat().st_size)
    else:
        with torch.device("meta"), _Planning():  # allocates nothing, whatever sizes model.json claims
            planned = build_model(architecture, *sizes)
        _compare(file, {name: tuple(tensor.shape) for name, tensor in weights(planned).items()}, shapes)
        model = build_model(architecture, *sizes)
    load_weights(model, file)
    if isinstance(model, Pretrained):
        model.verify()
    return model.to(device).eval()


def _described(description: Path) -> dict[str, Any]:
    """Return the content of model.json. Raises `ModelError` if its format is not supported."""
    stored = read_object(description, ModelError, "check the path of the model folder")
    if stored.get("format") != FORMAT:
        given = repr(stored.get("format"))[:40]
        raise ModelError(
            f"{description}: format is {given}, but this version of seqloom reads format {FORMAT}; use the version "
            "that wrote it, or train again"
        )
    return stored


def _size(vocabulary: object) -> int:
    if not isinstance(vocabulary, int) or not 0 < vocabulary <= _LARGEST_VOCABULARY:
        raise ValueError(f"a vocabulary has {str(vocabulary)[:40]} ids; valid are 1 to {_LARGEST_VOCABULARY:,}")
    return vocabulary


def _compare(file: Path, own: Shapes, stored: Shapes) -> None:
    odd = sorted(own.keys() ^ stored.keys()) or [name for name in own if own[name] != stored[name]]
    if odd:
        raise ModelError(f"{file}: its weights belong to another network: {odd[0][:80]} differs ({len(odd)} in all)")


def load_weights(model: Seq2Seq, file: Path) -> None:
    """Copy the weights of `file` into `model`. Raises `ModelError` if they are damaged or belong to another network."""
    try:
        stored = load_file(file)
    except _UNREADABLE as error:
        raise _unreadable(file, error) from error
    own = weights(model)
    shapes = [{name: tuple(tensor.shape) for name, tensor in each.items()} for each in (own, stored)]
    _compare(file, *shapes)
    for name, tensor in own.items():
        tensor.copy_(stored[name])


def _shapes(file: Path) -> Shapes:
    """Return the names and shapes of the stored weights, reading only the header of the file."""
    try:
        with safe_open(file, "pt") as stored:
            names = stored.keys()
            return {name: tuple(stored.get_slice(name).get_shape()) for name in names}
    except FileNotFoundError as error:
        pickles = sorted(path.name for path in file.parent.iterdir() if path.suffix in _PICKLES)
        hint = f"; {pickles[0]} is not read, because a pickle can run arbitrary code" if pickles else ""
        raise ModelError(f"{file}: does not exist{hint}") from error
    except _UNREADABLE as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ModelError:
    return ModelError(f"{file}: cannot be read as safetensors: {' '.join(str(error).split())[:200]}")
