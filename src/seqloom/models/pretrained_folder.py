"""Read a Hugging Face model folder (config.json and safetensors) as a network. Nothing is downloaded."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from seqloom.errors import ModelError
from seqloom.huggingface import library
from seqloom.models.pretrained import Pretrained
from seqloom.models.settings import PretrainedArchitecture

CONFIG_FILES = ("config.json", "generation_config.json")  # describe a network without its weights
# Raised by transformers for an invalid folder.
_FAULTS = (OSError, ValueError, RuntimeError, KeyError, AttributeError, TypeError, SafetensorError)


def from_folder(architecture: PretrainedArchitecture, folder: Path) -> Pretrained:
    """Read a Hugging Face network with its weights, in fp32.

    Raises:
        ModelError: the folder has no such network, lacks some of its weights, or the architecture is not supported.
    """
    hf = library("transformers")
    try:
        network, loading_info = hf.AutoModelForSeq2SeqLM.from_pretrained(
            folder,
            config=_config(architecture, folder),
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except _FAULTS as error:
        raise ModelError(f"{folder}: cannot be loaded as an AutoModelForSeq2SeqLM: {_first_line(error)}") from error
    if missing := sorted(loading_info["missing_keys"]):
        raise ModelError(f"{folder}: weights of the network are missing: {missing[0]} ({len(missing)} in all)")
    with torch.device("meta"):  # loading makes Marian's sinusoids trainable; building the network does not
        made = hf.AutoModelForSeq2SeqLM.from_config(network.config, trust_remote_code=False)
    for name, parameter in made.named_parameters():
        network.get_parameter(name).requires_grad_(parameter.requires_grad)
    model = Pretrained(network, _files(folder))
    model.verify()
    return model


def from_config(architecture: PretrainedArchitecture, folder: Path, stored: Iterable[str], size: int) -> Pretrained:
    """Build the network that `folder` describes, for a file of `size` bytes with weights named `stored`.

    The names are those of `catalogue.weights`. The weights are random; the caller loads them and then calls `verify`.

    Raises:
        ModelError: the folder does not describe such a network.
    """
    hf = library("transformers")
    config = _config(architecture, folder)
    try:
        with torch.device("meta"):  # allocates nothing, whatever sizes config.json claims
            planned = hf.AutoModelForSeq2SeqLM.from_config(config, trust_remote_code=False)
        if (count := sum(parameter.numel() for parameter in planned.parameters())) > size:
            raise ValueError(f"it describes {count:,} weights, but the file of weights has only {size:,} bytes")
        network = hf.AutoModelForSeq2SeqLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except _FAULTS as error:
        raise ModelError(f"{folder}: its config.json does not describe a network: {_first_line(error)}") from error
    # A checkpoint may hold two tables although the configuration says that they are shared; follow the checkpoint.
    own = {name for name, _ in network.named_parameters()}
    for name in sorted({name.removeprefix("network.") for name in stored} - own):
        owner, _, last = name.rpartition(".")
        try:
            module = network.get_submodule(owner)
            shared = module.get_parameter(last)
        except AttributeError:
            continue  # a buffer, or not part of this network, which loading the weights reports
        setattr(module, last, nn.Parameter(shared.detach().clone()))
    return Pretrained(network, _files(folder))


def _config(architecture: PretrainedArchitecture, folder: Path) -> Any:
    hf = library("transformers")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: is not the folder of a pretrained model: it has no config.json")
    try:
        config = hf.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _FAULTS as error:
        raise ModelError(f"{folder / 'config.json'}: cannot be read: {_first_line(error)}") from error
    if not getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{folder / 'config.json'}: {config.model_type!r} is not an encoder-decoder")
    rates = [name for name in ("dropout", "dropout_rate") if hasattr(config, name)]
    if not rates:
        raise ModelError(f"{folder / 'config.json'}: {config.model_type!r} has no dropout rate that can be set")
    for name in rates:
        setattr(config, name, architecture.dropout)
    return config


def _files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in CONFIG_FILES if (folder / name).is_file()}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
