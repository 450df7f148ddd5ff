"""The network before the first update: initialised, pretrained, or with the weights of a registered version."""

import json
from pathlib import Path
from typing import Any

import torch

from seqloom import places
from seqloom.batching.store import TokenStore
from seqloom.errors import ModelError
from seqloom.models.catalogue import build_model, load_model, load_weights
from seqloom.models.depth import copy_layers
from seqloom.models.pretrained import Pretrained
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Architecture, Side
from seqloom.models.transformer import Transformer
from seqloom.models.word_vectors import Coverage, start_embeddings
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.tokenization.tokenizer import Tokenizer

_FREE = ("dropout",)  # may differ: it does not change the weights' shapes
_DEPTH = ("encoder_layers", "decoder_layers")  # of a Transformer, which may start from one with more or fewer layers


def starting_point(
    params: Params, tokenizer: Tokenizer, training: TokenStore, listen: Listener
) -> tuple[Seq2Seq, dict[Side, Coverage]]:
    """Return the network before the first update, and for each side with word vectors how many pieces they cover.

    Raises:
        ModelError: models/pretrained is invalid, or training has pairs that are too long for it.
    """
    base = places.PRETRAINED / "model"
    model = build_model(params.model.architecture, tokenizer.source_vocab_size, tokenizer.target_vocab_size, base)
    if isinstance(model, Pretrained):
        model.fit("source", int(training.source_lengths.max()))
        model.fit("target", 1 + int(training.target_lengths.max()))
    if params.train.start is not None:
        start_from(model, params.model.architecture, places.PRETRAINED / "start", params.train.start)
    files = {side: places.PRETRAINED / "embeddings" / side for side in params.model.embeddings.files}
    if not files:
        return model, {}
    pieces: dict[Side, list[str]] = {
        "source": tokenizer.source_pieces(range(tokenizer.source_vocab_size)),
        "target": tokenizer.target_pieces(range(tokenizer.target_vocab_size)),
    }
    counts = {side: torch.from_numpy(store.counts()) for side, store in zip(SIDES, training.columns, strict=True)}
    coverage = start_embeddings(model, files, pieces, counts, project=params.model.embeddings.project)
    for side, found in coverage.items():
        note = f"from vectors, {found.covered_tokens:.1%} of the training tokens"
        listen(Progress(f"start {side} embeddings", found.pieces - found.unmatched, found.pieces, "pieces", note))
    return model, coverage


def start_from(model: Seq2Seq, architecture: Architecture, folder: Path, version: str) -> None:
    """Copy the weights of a model folder, which was fetched for `train.start: version`, into a network.

    A Transformer takes the layers that it has in common with one of another depth: see `models.depth`.

    Raises:
        ModelError: the networks differ (the message lists the settings), or the folder is damaged.
    """
    stored = _description(folder / "model.json")
    wanted = architecture.model_dump(mode="json")
    there = stored["architecture"]
    if wanted.get("name") != there.get("name"):
        other = f"model.name is {wanted.get('name')!r}, in the version {there.get('name')!r}"
        raise ModelError(_differ(version, [other]))
    section = f"model.{wanted['name']}"
    free = _FREE + _DEPTH if isinstance(model, Transformer) else _FREE
    places = {"tied_embeddings": "model.tied_embeddings"}
    odd = [
        f"{places.get(field, f'{section}.{field}')} is {wanted.get(field)!r}, in the version {there.get(field)!r}"
        for field in wanted | there
        if field not in free and wanted.get(field) != there.get(field)
    ]
    for side, size in (("source", model.source_vocab_size), ("target", model.target_vocab_size)):
        if size != stored[f"{side}_vocab_size"]:
            there_size = stored[f"{side}_vocab_size"]
            odd.append(f"the {side} vocabulary has {size} pieces, in the version {there_size}")
    if odd:
        raise ModelError(_differ(version, odd))
    if isinstance(model, Transformer) and any(wanted[field] != there[field] for field in _DEPTH):
        teacher = load_model(folder)
        assert isinstance(teacher, Transformer)
        copy_layers(teacher, model)
    else:
        load_weights(model, folder / "model.safetensors")


def _differ(version: str, odd: list[str]) -> str:
    fix = "Set these as in the version, or train.start to null"
    return f"train.start: {version} is another network: {'; '.join(odd)}. {fix}"


def _description(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content["architecture"], dict):
            return {name: content[name] for name in ("architecture", "source_vocab_size", "target_vocab_size")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file}: cannot be read: {error}; run download_pretrained again") from error
    raise ModelError(f"{file}: does not describe a model; run download_pretrained again")
