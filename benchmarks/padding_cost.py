"""Measure the cost of padding with length buckets, and of packed sequences as the alternative.

    python -m benchmarks.padding_cost --data DIR --model attention_lstm --shape tiny --threads 2

DIR contains train.en, train.de, val.en and val.de, plain or `.gz`. Some batches of an epoch are trained on (forward and
backward, without an update), each followed by a batch without padding that has about as many tokens: all of its sources
and targets have the mean length. `update` is the time per token of the former divided by that of the latter, the median
over the batches. `encoder` is the same ratio for a single recurrent layer as seqloom runs it, and `packed` for torch's
packed sequences. The output is one line of JSON.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks.token_stores import find_or_make
from benchmarks.train_throughput import SEED, model_settings, padding_share
from benchmarks.workspace import ROOT
from seqloom.batching.batches import Batch, BatchOrder
from seqloom.batching.store import TokenStore
from seqloom.models.attention import source_mask
from seqloom.models.catalogue import build_model
from seqloom.models.recurrent_layer import RecurrentLayer
from seqloom.models.settings import LSTM_PRESETS
from seqloom.params import load_params
from seqloom.training.device import manage_memory
from seqloom.training.objective import Objective


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train and val, .en and .de")
    parser.add_argument("--model", choices=["transformer", "attention_lstm", "lstm"], default="attention_lstm")
    parser.add_argument(
        "--shape",
        choices=["tiny", "small", "base", "big"],
        default="tiny",
        help="preset with the sizes (default: tiny)",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens-per-batch", type=int, default=1024)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--batches", type=int, default=30)
    parser.set_defaults(attention="general", input_feeding=False)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    manage_memory()
    store = TokenStore.open(find_or_make(options.data)[0] / "train")
    order = BatchOrder(store, options.tokens_per_batch, SEED)
    architecture = model_settings(load_params(ROOT / "params.yaml"), options).architecture
    model = build_model(architecture, store.source_vocab_size, store.target_vocab_size)
    objective = Objective(
        model, label_smoothing=0.1, r_drop=0.0, word_dropout=0.0, unk=store.symbols.unk, kept=torch.empty(0)
    )
    size = LSTM_PRESETS[options.shape]
    layer = RecurrentLayer("lstm", size["embedding"], size["hidden"] // 2, bidirectional=True)

    def update(batch: Batch) -> None:
        torch.autograd.backward(objective(batch).smoothed)

    def read(batch: Batch) -> None:
        x_BSE = torch.randn(*batch.source.shape, size["embedding"], requires_grad=True)
        mask = source_mask(batch.source_lengths, batch.source.shape[1])
        out, _ = layer.read(x_BSE, None if mask is None else mask.flatten(1))
        torch.autograd.backward(out.sum())

    def read_packed(batch: Batch) -> None:
        x_BSE = torch.randn(*batch.source.shape, size["embedding"], requires_grad=True)
        packed = pack_padded_sequence(x_BSE, batch.source_lengths, batch_first=True, enforce_sorted=False)
        out, _ = layer.kernel(packed)
        torch.autograd.backward(out.data.sum())

    epoch = order.epoch(0)
    ratios: dict[str, list[float]] = {"update": [], "encoder": [], "packed": []}
    for position in range(min(options.batches, len(epoch))):
        ragged = epoch[position]
        full = without_padding(ragged)
        for name, run, plain in (("update", update, update), ("encoder", read, read), ("packed", read_packed, read)):
            ratios[name].append(seconds_per_token(run, ragged) / seconds_per_token(plain, full))
    figures = {
        "model": options.model,
        "shape": options.shape,
        "tokens_per_batch": options.tokens_per_batch,
        "padding_share": round(padding_share(store, order), 4),
        **{name: round(statistics.median(of), 3) for name, of in ratios.items()},
    }
    print(json.dumps(figures), flush=True)


def without_padding(batch: Batch) -> Batch:
    """Return a batch with as many pairs and about as many tokens, all of one length."""
    pairs = len(batch.source)

    def even(ids: Tensor, lengths: Tensor) -> Tensor:
        real = ids[torch.arange(ids.shape[1]) < lengths[:, None]]
        length = max(1, round(len(real) / pairs))
        return real[torch.arange(pairs * length) % len(real)].view(pairs, length)

    source, targets = even(batch.source, batch.source_lengths), even(batch.target_out, batch.target_lengths)
    lengths, target_lengths = (torch.full((pairs,), each.shape[1]) for each in (source, targets))
    return Batch(source, lengths, targets, targets, target_lengths)


def seconds_per_token(run: Callable[[Batch], None], batch: Batch, repeats: int = 5) -> float:
    """Return the shortest of several times, divided by the number of real tokens of both sides."""
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        run(batch)
        best = min(best, time.perf_counter() - began)
    return best / float(batch.source_lengths.sum() + batch.target_lengths.sum())


if __name__ == "__main__":
    main()
