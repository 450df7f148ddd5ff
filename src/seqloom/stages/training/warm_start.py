"""Starts a network from the weights of a registered version, where its settings are those of that version."""

import json
from pathlib import Path
from typing import Any

from seqloom.errors import ModelError
from seqloom.models.catalogue import load_weights
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import Architecture

_FREE = ("dropout",)  # shapes no weight


def start_from(model: Seq2Seq, architecture: Architecture, folder: Path, version: str) -> None:
    """Copy the weights of a model folder, which was fetched for `train.start: version`, into a network.

    Raises:
        ModelError: the network is another one (saying which settings differ), or the folder is broken.
    """
    stored = _description(folder / "model.json")
    wanted = architecture.model_dump(mode="json")
    there = stored["architecture"]
    if wanted.get("name") != there.get("name"):
        raise ModelError(_differ(version, [f"model.name is {wanted.get('name')!r}, there {there.get('name')!r}"]))
    section = f"model.{wanted['name']}"
    places = {"tied_embeddings": "model.tied_embeddings"}
    odd = [
        f"{places.get(field, f'{section}.{field}')} is {wanted.get(field)!r}, there {there.get(field)!r}"
        for field in wanted | there
        if field not in _FREE and wanted.get(field) != there.get(field)
    ]
    for side, size in (("source", model.source_vocab_size), ("target", model.target_vocab_size)):
        if size != stored[f"{side}_vocab_size"]:
            odd.append(f"the {side} vocabulary has {size} pieces, there {stored[f'{side}_vocab_size']}")
    if odd:
        raise ModelError(_differ(version, odd))
    load_weights(model, folder / "model.safetensors")


def _differ(version: str, odd: list[str]) -> str:
    return f"train.start: {version} is another network: {'; '.join(odd)}. Set what differs as it was, or start to null"


def _description(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content["architecture"], dict):
            return {name: content[name] for name in ("architecture", "source_vocab_size", "target_vocab_size")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file}: cannot be read: {error}; run download_pretrained again") from error
    raise ModelError(f"{file}: does not describe a model; run download_pretrained again")
