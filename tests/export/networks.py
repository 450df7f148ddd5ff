"""Small Transformers with random weights, and a tokenizer with slots and bytes."""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from seqloom.models.catalogue import build_model, save_model
from seqloom.models.transformer import Transformer
from seqloom.text import FORMS, Forms
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tokenization.tokenizer import Tokenizer
from tests.records import model_settings, tokenizer_settings
from tests.tiny_pretrained import PAIRS

EVERY = Forms(list(FORMS))
TEXTS = [source for source, _ in PAIRS] + ["Open the door, then the window.", "Is it on? It is."]
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


def save(model: Transformer, folder: Path) -> None:
    """Write the files of a model."""
    save_model(model, model.architecture, folder)


@cache
def tokenizer() -> Tokenizer:
    """Return a tokenizer with four slots and all bytes."""
    pairs = [*PAIRS, *zip(TEXTS, TEXTS, strict=True), ("Set {x} to <b>%s</b>", "Stelle {x} auf <b>%s</b>")]
    settings = tokenizer_settings(vocab_size=310, slots=4, max_length=64)
    return train_tokenizer(settings, lambda: pairs * 9, 1, lambda progress: None, (), EVERY)
