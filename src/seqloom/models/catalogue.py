"""Every network by its name, and the two files that a stored one consists of.

A model folder holds `model.json` (the architecture with every size filled in, vocabulary sizes) and
`model.safetensors` (the weights). No code is stored and none is run on loading.
"""

import json
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from seqloom.errors import ModelError
from seqloom.models.attention_lstm import AttentionLstm
from seqloom.models.lstm import Lstm
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import (
    Architecture,
    AttentionLstmArchitecture,
    LstmArchitecture,
    TransformerArchitecture,
)
from seqloom.models.transformer import Transformer

FORMAT = 2
_ARCHITECTURE: TypeAdapter[Architecture] = TypeAdapter(Architecture)


def build_model(architecture: Architecture, source_vocab_size: int, target_vocab_size: int) -> Seq2Seq:
    """A network with fresh weights, drawn from torch's global generator."""
    match architecture:
        case LstmArchitecture():
            return Lstm(architecture, source_vocab_size, target_vocab_size)
        case AttentionLstmArchitecture():
            return AttentionLstm(architecture, source_vocab_size, target_vocab_size)
        case TransformerArchitecture():
            return Transformer(architecture, source_vocab_size, target_vocab_size)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights by name, a shared one once, detached; the same names for the same network."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def save_model(model: Seq2Seq, architecture: Architecture, folder: Path) -> None:
    """Write `model.json` and `model.safetensors` into `folder`, each beside and renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT,
        "architecture": architecture.model_dump(),
        "source_vocab_size": model.source_vocab_size,
        "target_vocab_size": model.target_vocab_size,
    }
    beside = folder / "model.safetensors.part"
    save_file({name: tensor.cpu().contiguous() for name, tensor in weights(model).items()}, beside)
    beside.replace(folder / "model.safetensors")
    beside = folder / "model.json.part"
    beside.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    beside.replace(folder / "model.json")


def load_model(folder: Path, device: torch.device | str = "cpu") -> Seq2Seq:
    """Read a stored network, in evaluation mode. Raises `ModelError` naming the file and what is wrong with it."""
    description = folder / "model.json"
    try:
        stored = json.loads(description.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is not a model folder: it has no model.json") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{description}: cannot be read: {error}") from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        given = stored.get("format") if isinstance(stored, dict) else stored
        raise ModelError(f"{description}: format is {given!r}; this seqloom reads format {FORMAT}")
    try:
        architecture = _ARCHITECTURE.validate_python(stored["architecture"])
        model = build_model(architecture, int(stored["source_vocab_size"]), int(stored["target_vocab_size"]))
    except (KeyError, ValidationError, ValueError) as error:
        raise ModelError(f"{description}: does not describe a model: {error}") from error
    load_weights(model, folder / "model.safetensors")
    return model.to(device).eval()


def load_weights(model: Seq2Seq, file: Path) -> None:
    """Copy the weights of `file` into `model`. Raises `ModelError` where they are broken or of another network."""
    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file}: cannot be read as safetensors: {error}") from error
    own = weights(model)
    odd = sorted(own.keys() ^ stored.keys()) or [n for n in own if own[n].shape != stored[n].shape]
    if odd:
        raise ModelError(f"{file}: its weights are of another network: {odd[0]} differs ({len(odd)} in all)")
    for name, tensor in own.items():
        tensor.copy_(stored[name])
