"""Measure the speed of the training engine on a model of a preset's size, with all features of a real training.

    python -m benchmarks.train_throughput --data DIR --model transformer --shape tiny --threads 2 --seconds 45

DIR contains train.en, train.de, val.en and val.de, plain or `.gz`. The tokens (a joint unigram vocabulary of 10,000)
are made once and reused. The engine runs as in the stage train_model: AdamW, label smoothing 0.1, clipping, a journal,
validation with greedy search, checkpoints on the disk. The output is one line of JSON:

- target_tokens_per_s: target tokens per second of an update, without padding and with EOS; the median of the updates
  after the warm-up. An update lasts from one report to the next, so everything between two updates is included.
- start_up_s: from the start of the process to the start of the first update, if the token stores exist.
- padding_share: padding as a share of the computed target positions. peak_rss_mb: peak memory, validation included.
- validation_share, checkpoint_share: share of the time, if validations and checkpoints are as frequent as in
  params.yaml; validation_s and checkpoint_s are the seconds for one. The model is hardly trained, so greedy search
  takes longer than it does later in a training.
- mfu, for a transformer: the time that all its matrix products would take at the speed of a large one, as a share.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.token_stores import SIDES, find_or_make, texts
from benchmarks.workspace import ROOT
from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.store import TokenStore
from seqloom.decoding.translator import Translator
from seqloom.evaluation.metrics import corpus_bleu
from seqloom.languages import Direction
from seqloom.models.catalogue import build_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import ModelSettings
from seqloom.params import Params, load_params
from seqloom.progress import ignore
from seqloom.stages.training.validation import search_settings
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import LOWER, Placement, be_deterministic, manage_memory, place
from seqloom.training.engine import Engine
from seqloom.training.job import Data, Hooks, Job
from seqloom.training.journal import Journal
from seqloom.training.reports import CheckpointReport, Report, StepReport, ValidationReport
from seqloom.training.settings import TrainSettings

SEED = 1
WARM_UP = 5  # updates, or a third of them if there are few


def main() -> None:
    """Train for the given time and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train and val, .en and .de")
    parser.add_argument("--model", choices=["transformer", "attention_lstm", "lstm"], default="transformer")
    parser.add_argument(
        "--shape",
        choices=["tiny", "small", "base", "big"],
        default="tiny",
        help="preset with the sizes (default: tiny)",
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=45.0, help="seconds of updates (default: 45)")
    parser.add_argument("--tokens-per-batch", type=int, default=4096)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--input-feeding", action="store_true", help="switch on the input feeding of attention_lstm")
    parser.add_argument("--attention", choices=["additive", "dot", "general"], default="general")
    parser.add_argument("--validate-every", type=int, default=100, help="updates between validations (default: 100)")
    parser.add_argument("--segments", type=int, default=200, help="segments per validation (default: 200)")
    print(json.dumps(measure(parser.parse_args())), flush=True)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one training."""
    torch.set_num_threads(options.threads)
    tokens, preparing = find_or_make(options.data)
    manage_memory()
    params = load_params(ROOT / "params.yaml")
    settings = train_settings(params, options)
    placement = place(settings)
    be_deterministic(SEED)
    tokenizer = load_tokenizer(tokens / "tokenizer")
    training, validation = TokenStore.open(tokens / "train"), TokenStore.open(tokens / "valid")
    sources, references = zip(*texts(options.data, "valid")[: options.segments], strict=True)
    search = search_settings(settings.validation_search)

    def quality(model: Seq2Seq) -> float:
        translator = Translator(model, tokenizer, search, Direction(*SIDES), placement.device)
        return corpus_bleu(translator.translate(sources), references, SIDES[1])

    architecture = model_settings(params, options).architecture
    model = build_model(architecture, tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    order = BatchOrder(training, options.tokens_per_batch, SEED)
    with tempfile.TemporaryDirectory(dir=tokens.parent) as scratch:
        watch = Stopwatch()
        with Journal(Path(scratch) / "journal.jsonl", ignore) as journal:
            data = Data(order, list(in_order(validation, options.tokens_per_batch)))
            checkpoints = Checkpoints(Path(scratch), keep=settings.keep_checkpoints)
            hooks = Hooks(quality, listeners=[journal, watch])
            engine = Engine(Job(model, data, settings, placement, checkpoints, hooks))
            engine.run()
    figures = {
        "model": options.model,
        "shape": options.shape,
        "device": placement.summary(),
        **watch.figures(params.train, start_up=watch.started - process_start() - preparing),
        "padding_share": round(padding_share(training, order), 4),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if placement.device.type == "cuda":
        figures["peak_gpu_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
    if options.model == "transformer":
        figures["mfu"] = round(matrix_share(engine.model, order, placement, figures["target_tokens_per_s"]), 4)
    figures["parameters"] = sum(parameter.numel() for parameter in engine.model.parameters())
    figures["versions"] = {name: version(name) for name in ("seqloom", "torch", "numpy")}
    figures["versions"]["python"] = platform.python_version()
    figures["settings"] = {
        "threads": options.threads,
        "model": architecture.model_dump(exclude={"name"}),
        "train": settings.model_dump(mode="json"),
    }
    return figures


def train_settings(params: Params, options: argparse.Namespace) -> TrainSettings:
    """Return the settings of params.yaml, except those that all compared engines have in common."""
    changes = {
        "seed": SEED,
        "device": options.device,
        "optimizer": "adamw",
        "lr": 1e-3,
        "schedule": "inverse_sqrt",
        "warmup_steps": 100,
        "label_smoothing": 0.1,
        "clip_norm": 1.0,
        "tokens_per_batch": options.tokens_per_batch,
        "accumulate": 1,
        "max_steps": None,
        "max_epochs": None,
        "max_minutes": options.seconds / 60,
        "validate_every": options.validate_every,
        "checkpoint_every": options.validate_every,
        "patience": None,
    }
    return TrainSettings(**params.train.model_dump() | changes)


def model_settings(params: Params, options: argparse.Namespace) -> ModelSettings:
    """Return the family at the preset's size, with all other settings from params.yaml."""
    content = params.model.model_dump()
    section = content[options.model]
    section |= {name: None for name, value in section.items() if type(value) is int} | {"preset": options.shape}
    if options.model == "attention_lstm":
        section |= {"input_feeding": options.input_feeding, "attention": options.attention}
    return ModelSettings(**content | {"name": options.model, "dropout": options.dropout, "tied_embeddings": "all"})


class Piece(NamedTuple):
    """What the engine did from one report to the next."""

    report: Report
    seconds: float


class Stopwatch:
    """A listener that measures the time between reports."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.started = 0.0  # when the first update began, on the clock of `process_start`
        self._last = 0.0

    def __call__(self, report: Report) -> None:
        """Record the time of a report."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if not self.pieces and isinstance(report, StepReport):
            self.started = self._last = now - report.seconds
        self.pieces.append(Piece(report, now - self._last))
        self._last = now

    def figures(self, usual: TrainSettings, start_up: float) -> dict[str, Any]:
        """Return the speed of the updates, and the shares of everything else at the `usual` intervals."""
        steps = [piece for piece in self.pieces if isinstance(piece.report, StepReport)]
        rates = [piece.report.tokens / piece.seconds for piece in steps if isinstance(piece.report, StepReport)]
        counted = steps[min(WARM_UP, len(steps) // 3) :]
        tokens = sum(piece.report.tokens for piece in counted if isinstance(piece.report, StepReport))
        seconds = sum(piece.seconds for piece in counted)
        update = seconds / len(counted)
        validation = self._mean(ValidationReport)
        checkpoint = self._mean(CheckpointReport)
        around = validation / usual.validate_every + checkpoint / usual.checkpoint_every
        return {
            "target_tokens_per_s": round(statistics.median(rates[-len(counted) :]), 1),
            "mean_tokens_per_s": round(tokens / seconds, 1),
            "tokens_per_update": round(tokens / len(counted)),
            "steps": len(steps),
            "seconds": round(sum(piece.seconds for piece in self.pieces), 2),
            "start_up_s": round(start_up, 2),
            "validation_s": round(validation, 3),
            "validation_share": round(validation / usual.validate_every / (update + around), 4),
            "checkpoint_s": round(checkpoint, 4),
            "checkpoint_share": round(checkpoint / usual.checkpoint_every / (update + around), 5),
        }

    def _mean(self, kind: type[Report]) -> float:
        return statistics.mean(piece.seconds for piece in self.pieces if isinstance(piece.report, kind))


def process_start() -> float:
    """Return the start of this process, in seconds since boot."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def padding_share(store: TokenStore, order: BatchOrder) -> float:
    """Return the share of an epoch's target positions that are padding."""
    epoch = order.epoch(0)
    real, computed, of_all = 0, 0, store.target_lengths
    for position in range(len(epoch)):
        lengths = of_all[epoch.pairs(position)].astype(np.int64) + 1
        real += int(lengths.sum())
        computed += len(lengths) * int(lengths.max())
    return 1 - real / computed


def matrix_share(model: Seq2Seq, order: BatchOrder, placement: Placement, tokens_per_s: float) -> float:
    """Model FLOPs utilisation: seconds that a token's matrix products need at `matrix_rate`, times tokens per second.

    The products of a forward pass are counted over a few batches, including the output layer; a backward pass has twice
    as many.
    """
    from torch.utils.flop_counter import FlopCounterMode

    epoch = order.epoch(0)
    batches = [epoch[position] for position in range(min(8, len(epoch)))]
    tokens = sum(batch.tokens for batch in batches)
    with torch.inference_mode(), placement.autocast(), FlopCounterMode(display=False) as counter:
        for batch in batches:
            model(*(each.to(placement.device) for each in (batch.source, batch.source_lengths, batch.target_in)))
    flops: float = 3 * (counter.get_total_flops() / tokens + 2 * model.output_weight.numel())
    return tokens_per_s * flops / matrix_rate(placement)


def matrix_rate(placement: Placement) -> float:
    """Return the FLOP/s of a large matrix product in the precision of the training, the best of several."""
    device, size = placement.device, 8192 if placement.device.type == "cuda" else 2048
    matrix = torch.randn(size, size, device=device, dtype=LOWER.get(placement.precision, torch.float32))
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


if __name__ == "__main__":
    main()
