"""How much faster torch searches if it multiplies by int8 instead of float32 matrices.

    python -m benchmarks.dynamic_int8 attention_lstm:tiny attention_lstm:small marian:opus --threads 2

Torch serves these families, since only Transformers of our own are exported. Each matrix that a network passes to
`torch.nn.functional.linear` is stored as int8 with a scale per row, and its input is quantised at each call ("dynamic
quantisation"), with the operators of `torch.ops.quantized`. Both networks search the same sources in turns within one
process, with the same beam. The weights are random, so no target ends before its limit, and the quality cannot be
measured. `marian:opus` is a Marian network of the size of the published opus-mt models, as Hugging Face builds it.

A line of JSON is printed for each network: sentences_per_s of both, `ratio`, the rate with int8 over that with float32,
and `linear_share`, the share of the time with float32 that `linear` takes, which bounds what int8 can gain.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.model_folder import DEFAULT_SEARCH
from seqloom.huggingface import library
from seqloom.models.catalogue import build_model
from seqloom.models.pretrained import Pretrained
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import ModelSettings
from seqloom.params import load_params
from seqloom.symbols import SPECIAL_IDS

VOCABULARY = 8000
OPUS_VOCABULARY = 60_000
Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Int8:
    """Multiplies by int8 copies of the matrices that it has seen."""

    def __init__(self) -> None:
        self._packed: dict[int, Any] = {}  # by the address of the matrix

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return x W^T + b, with W in int8 and x quantised by its own range."""
        key = weight.data_ptr()
        if key not in self._packed:
            scales = weight.detach().abs().amax(dim=1).clamp(min=1e-12) / 127
            zeros = torch.zeros(len(scales), dtype=torch.int64)
            rows = torch.quantize_per_channel(weight.detach(), scales, zeros, 0, torch.qint8)
            self._packed[key] = torch.ops.quantized.linear_prepack(rows, None)
        found: Tensor = torch.ops.quantized.linear_dynamic(x, self._packed[key])
        return found if bias is None else found.add_(bias)


class Timed:
    """Multiplies as torch does, and adds up the time."""

    def __init__(self, linear: Linear) -> None:
        self._linear, self.seconds = linear, 0.0

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return x W^T + b."""
        began = time.perf_counter()
        found = self._linear(x, weight, bias)
        self.seconds += time.perf_counter() - began
        return found


def main() -> None:
    """Search and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", help="FAMILY:PRESET, or marian:opus")
    parser.add_argument("--sentences", type=int, default=64, help="searched together")
    parser.add_argument("--length", type=int, default=20, help="tokens of a source, and of a target")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.networks:
        print(json.dumps({"network": name, **measure(network(name), options)}), flush=True)


def network(name: str) -> Seq2Seq:
    """Return a network with random weights."""
    torch.manual_seed(1)
    family, _, preset = name.partition(":")
    if family == "marian":
        return marian()
    content = load_params().model.model_dump()
    sizes = {key: None for key, value in content[family].items() if type(value) is int}
    content[family] |= sizes | {"preset": preset}
    architecture = ModelSettings(**content | {"name": family, "tied_embeddings": "all"}).architecture
    return build_model(architecture, VOCABULARY, VOCABULARY).eval()


def marian() -> Pretrained:
    """Return a Marian network with the size of opus-mt's models."""
    hf = library("transformers")
    config = hf.MarianConfig(
        vocab_size=OPUS_VOCABULARY, decoder_vocab_size=OPUS_VOCABULARY, d_model=512, encoder_layers=6, decoder_layers=6,
        encoder_attention_heads=8, decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048,
        activation_function="swish", scale_embedding=True, max_position_embeddings=512, pad_token_id=SPECIAL_IDS.pad,
        eos_token_id=SPECIAL_IDS.eos, bos_token_id=SPECIAL_IDS.bos, decoder_start_token_id=SPECIAL_IDS.bos,
    )  # fmt: skip
    return Pretrained(hf.MarianMTModel(config), {}).eval()


@torch.inference_mode()
def measure(model: Seq2Seq, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of a network."""
    first = max(SPECIAL_IDS) + 1
    sources = torch.randint(first, model.source_vocab_size, (options.sentences, options.length))
    lengths = torch.full((options.sentences,), options.length)
    search = DEFAULT_SEARCH.model_copy(update={"beam": options.beam})
    timed, seconds = Timed(F.linear), {"float32": 0.0, "int8": 0.0}
    ways: dict[str, Linear] = {"float32": timed, "int8": Int8()}
    for round_ in range(options.rounds + 1):
        for name, linear in ways.items():
            began = time.perf_counter()
            with replaced(linear):
                rules = Constraints.build(SPECIAL_IDS, lengths, min_lengths=lengths)
                beam_search(model.step, model.start(sources, lengths), rules, search)
            if round_:  # the first one is slower
                seconds[name] += time.perf_counter() - began
            else:
                timed.seconds = 0.0
    sentences = options.rounds * options.sentences
    return {
        **{name: {"sentences_per_s": round(sentences / spent, 2)} for name, spent in seconds.items()},
        "ratio": round(seconds["float32"] / seconds["int8"], 2),
        "linear_share": round(timed.seconds / seconds["float32"], 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "settings": {"sentences": options.sentences, "length": options.length, "beam": options.beam}
        | {"threads": options.threads, "engine": torch.backends.quantized.engine},
    }


@contextmanager
def replaced(linear: Linear) -> Iterator[None]:
    """Let torch's modules and ours call `linear` for products with matrices."""
    with patch.object(F, "linear", linear):
        yield


if __name__ == "__main__":
    main()
