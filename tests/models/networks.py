"""A small network of every family and option, for the tests that all networks must pass."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqloom.models.catalogue import build_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import PretrainedArchitecture
from seqloom.symbols import Symbols
from tests.records import model_settings

VOCABULARY = 40
TRANSFORMER = {"width": 16, "feed_forward": 24, "heads": 2, "encoder_layers": 2, "decoder_layers": 2}
LSTM = {"embedding": 6, "hidden": 8, "layers": 2}
ATTENTION_LSTM = {"embedding": 6, "hidden": 8, "encoder_layers": 1, "decoder_layers": 2}

# Maps a name to the family and its settings; a pretrained network is named by its kind in `tiny_pretrained`.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "transformer": ("transformer", TRANSFORMER),
    "transformer-post-learned-gelu": (
        "transformer", TRANSFORMER | {"norm_order": "post", "positions": "learned", "activation": "gelu"},
    ),
    "transformer-rms-rotary-swiglu": (
        "transformer", TRANSFORMER | {"norm": "rms_norm", "positions": "rotary", "activation": "swiglu"},
    ),
    "transformer-post-rms-rotary": (
        "transformer", TRANSFORMER | {"norm_order": "post", "norm": "rms_norm", "positions": "rotary"},
    ),
    "lstm": ("lstm", LSTM),
    "lstm-gru": ("lstm", LSTM | {"cell": "gru"}),
    "lstm-one-way-reversed": ("lstm", LSTM | {"bidirectional": False, "reverse_source": True}),
    "attention_lstm-general": ("attention_lstm", ATTENTION_LSTM | {"attention": "general"}),
    "attention_lstm-dot": ("attention_lstm", ATTENTION_LSTM | {"attention": "dot"}),
    "attention_lstm-additive": ("attention_lstm", ATTENTION_LSTM | {"attention": "additive"}),
    "attention_lstm-gru-one-way": ("attention_lstm", ATTENTION_LSTM | {"cell": "gru", "bidirectional": False}),
    "attention_lstm-deep-encoder": ("attention_lstm", ATTENTION_LSTM | {"encoder_layers": 2, "decoder_layers": 1}),
    "attention_lstm-fed": ("attention_lstm", ATTENTION_LSTM | {"input_feeding": True}),
    "attention_lstm-gru-fed-additive": (
        "attention_lstm", ATTENTION_LSTM | {"cell": "gru", "input_feeding": True, "attention": "additive"},
    ),
    **{kind: ("pretrained", {}) for kind in ("marian", "t5", "bart", "mbart")},
}  # fmt: skip
SYMBOLS = {
    "marian": Symbols(pad=VOCABULARY - 1, unk=1, bos=VOCABULARY - 1, eos=0),
    "t5": Symbols(pad=0, unk=2, bos=0, eos=1),
    "bart": Symbols(pad=1, unk=3, bos=2, eos=2),
    "mbart": Symbols(pad=1, unk=3, bos=30, eos=2),
}
PRETRAINED = [name for name, (family, _) in NETWORKS.items() if family == "pretrained"]
TRAINABLE = [name for name, (family, _) in NETWORKS.items() if family != "pretrained"]
ATTENTIVE = [name for name, (family, _) in NETWORKS.items() if family != "lstm"]
TIED = [(name, ties) for ties in ("all", "target", "none") for name in NETWORKS if name in TRAINABLE or ties == "none"]


def make(name: str, folders: dict[str, Path], *, ties: str = "none", dropout: float = 0.0) -> Seq2Seq:
    """Return the named network in evaluation mode; pretrained ones are read from `folders`.

    No bias is zero and no gain is one, because those would hide errors.
    """
    if NETWORKS[name][0] == "pretrained":
        return copy.deepcopy(_read(folders[name], dropout))
    model, generator = _build(name, ties, dropout)
    torch.set_rng_state(generator)
    return copy.deepcopy(model)


@cache
def _build(name: str, ties: str, dropout: float) -> tuple[Seq2Seq, Tensor]:
    """Return a network, and the state of the random generator after it was made."""
    family, section = NETWORKS[name]
    torch.manual_seed(7)
    model = build_model(model_settings(family, dropout, ties, **section).architecture, VOCABULARY, VOCABULARY)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model.eval(), torch.get_rng_state()


@cache
def _read(folder: Path, dropout: float) -> Seq2Seq:
    architecture = PretrainedArchitecture(name="pretrained", dropout=dropout)
    with torch.random.fork_rng(devices=[]):  # the first reading leaves the generator as it is, like the others
        return build_model(architecture, VOCABULARY, VOCABULARY, folder).eval()


def random_ids(*size: int) -> Tensor:
    """Random ids that are not special in any of the networks."""
    return torch.randint(4, VOCABULARY - 1, size)
