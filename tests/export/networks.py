"""Small Transformers with random weights, and a tokenizer with slots and bytes."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqloom.decoding.model_folder import LANGUAGES_FILE, TOKENIZER_FOLDER
from seqloom.models.catalogue import build_model, save_model
from seqloom.models.transformer import Transformer
from seqloom.symbols import SPECIAL_IDS
from seqloom.text import FORMS, Forms
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tokenization.tokenizer import Tokenizer
from tests.records import model_settings, tokenizer_settings
from tests.tiny_pretrained import PAIRS

EVERY = Forms(list(FORMS))
TEXTS = [source for source, _ in PAIRS] + ["Open the door, then the window.", "Is it on? It is."]
LEARNT = [*PAIRS, ("Set {x} to <b>%s</b>", "Stelle {x} auf <b>%s</b>"), ("Hi {x}", "{x}!"), ("the door", "Tür €")]
_SMALL = {"width": 16, "feed_forward": 24, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}


def network(source: int, target: int | None = None, *, seed: int = 1, ties: str = "all", **section: Any) -> Transformer:
    """Return a network without neutral weights: no bias is zero and no gain is one."""
    torch.manual_seed(seed)
    architecture = model_settings("transformer", 0.3, ties, **_SMALL | section).architecture
    model = build_model(architecture, source, source if target is None else target)
    assert isinstance(model, Transformer)
    for parameter in model.parameters():
        parameter.data += 0.4 * torch.randn_like(parameter)
    return model.eval()


def trained(tokenizer: Tokenizer) -> Transformer:
    """Return a network that has learnt `LEARNT` by heart, so that its targets end and have the right slots."""
    torch.manual_seed(1)
    size = tokenizer.target_vocab_size
    section = _SMALL | {"width": 32, "feed_forward": 32}
    model = build_model(model_settings("transformer", 0.0, **section).architecture, size, size)
    assert isinstance(model, Transformer)
    sources = [tokenizer.encode_source(source) for source, _ in LEARNT]
    targets = [tokenizer.encode_target(each, source.slots) for source, (_, each) in zip(sources, LEARNT, strict=True)]
    lengths = torch.tensor([len(each.ids) for each in sources])
    source = _padded([each.ids for each in sources])
    read, written = (
        _padded([[SPECIAL_IDS.bos, *each] for each in targets]),
        _padded([[*each, SPECIAL_IDS.eos] for each in targets]),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(120):
        found = model.log_probabilities(model(source, lengths, read))
        loss = torch.nn.functional.nll_loss(found.flatten(0, 1), written.flatten(), ignore_index=SPECIAL_IDS.pad)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


def save_trained(folder: Path) -> None:
    """Write a whole model folder with the trained network."""
    own = tokenizer()
    save(trained(own), folder)
    own.save(folder / TOKENIZER_FOLDER)
    (folder / LANGUAGES_FILE).write_text(json.dumps({"source": "en", "target": "de"}))


def _padded(rows: list[list[int]]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[SPECIAL_IDS.pad] * (width - len(row))] for row in rows])


def save(model: Transformer, folder: Path) -> None:
    """Write the files of a model."""
    save_model(model, model.architecture, folder)


@cache
def tokenizer() -> Tokenizer:
    """Return a tokenizer with four slots and all bytes."""
    pairs = [*LEARNT, *zip(TEXTS, TEXTS, strict=True)]
    settings = tokenizer_settings(vocab_size=310, slots=4, max_length=64)
    return train_tokenizer(settings, lambda: pairs * 9, 1, lambda progress: None, (), EVERY)
