"""train_model: the tokens and params.yaml in, the best checkpoint as a self-contained model folder out.

Checkpoints live in `scratch/<fingerprint>/`, which DVC does not track: killed, the stage goes on where it was; with
other params, data, code or another machine type the fingerprint is another one and training starts from nothing.
Durations go to `scratch/<fingerprint>/journal.jsonl` alone: no cached output may depend on the clock.
"""

import csv
import hashlib
import importlib.metadata
import io
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import torch

import seqloom
from seqloom.batching.batches import BatchOrder, in_order
from seqloom.batching.store import TokenStore
from seqloom.corpus.splits import read_split
from seqloom.decoding.translator import Direction, Translator
from seqloom.evaluation.metrics import corpus_bleu
from seqloom.models.catalogue import build_model, save_model
from seqloom.models.pretrained import Pretrained
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side
from seqloom.models.vectors import Coverage, start_embeddings
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.stages import places
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.tokenization.tokenizer import Tokenizer
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement, be_deterministic, keep_freed_memory, place
from seqloom.training.engine import Engine, HistoryRow, InterruptError, Outcome
from seqloom.training.reports import CheckpointReport, Report, SkippedReport, StepReport, ValidationReport

# What the weights depend on besides params and data; a change in any of these rooms starts training anew.
ROOMS = ("text.py", "tokenization", "batching", "models", "training", "decoding", "evaluation/metrics.py")


def run(params: Params, listen: Listener) -> None:
    """Train, or go on training, and write models/candidate, metrics/training.json and plots/training.csv."""
    settings = params.train
    keep_freed_memory()
    placement = place(settings)
    be_deterministic(settings.seed)
    tokenizer = load_tokenizer(places.TOKENIZER)
    training = TokenStore.open(places.TOKENS / "train")
    validation = TokenStore.open(places.TOKENS / "valid")
    pairs = list(islice(read_split(places.CORPUS / "valid.tsv"), settings.validation_segments))
    sources, references = [pair.source for pair in pairs], [pair.target for pair in pairs]
    direction = Direction(params.languages.source, params.languages.target)
    greedy = params.search.model_copy(update={"beam": 1})

    def quality(model: Seq2Seq) -> float:
        return validation_bleu(Translator(model, tokenizer, greedy, direction, placement.device), sources, references)

    identity = fingerprint(params, placement)
    scratch = places.SCRATCH / identity
    checkpoints = Checkpoints(scratch, keep=settings.keep_checkpoints)
    model, coverage = starting_point(params, tokenizer, training, listen)
    with (
        checkpoints.lock(),
        stop_requests() as should_stop,
        Journal(scratch / "journal.jsonl", settings.max_steps, listen) as journal,
    ):
        engine = Engine(
            model,
            BatchOrder(training, settings.tokens_per_batch, settings.seed),
            list(in_order(validation, settings.tokens_per_batch)),
            settings,
            placement,
            quality=quality,
            checkpoints=checkpoints,
            listen=journal,
            should_stop=should_stop,
            frozen_steps=params.model.embeddings.frozen_steps,
            frozen_sides=list(coverage),
        )
        outcome = engine.run()
    write_outputs(engine.model, params, outcome, identity, placement, coverage)


def starting_point(
    params: Params, tokenizer: Tokenizer, training: TokenStore, listen: Listener
) -> tuple[Seq2Seq, dict[Side, Coverage]]:
    """The network before the first update, and which of its embeddings start from vectors.

    Raises:
        ModelError: models/pretrained is not what it should be, or training has pairs that are too long for it.
    """
    base = places.PRETRAINED / "model"
    model = build_model(params.model.architecture, tokenizer.source_vocab_size, tokenizer.target_vocab_size, base)
    if isinstance(model, Pretrained):
        model.fit("source", int(training.source_lengths.max()))
        model.fit("target", 1 + int(training.target_lengths.max()))
    files = {side: places.PRETRAINED / "embeddings" / side for side in params.model.embeddings.files}
    if not files:
        return model, {}
    pieces: dict[Side, list[str]] = {
        "source": tokenizer.source_pieces(range(tokenizer.source_vocab_size)),
        "target": tokenizer.target_pieces(range(tokenizer.target_vocab_size)),
    }
    counts = {side: torch.from_numpy(store.counts()) for side, store in zip(SIDES, training.sides, strict=True)}
    coverage = start_embeddings(model, files, pieces, counts, project=params.model.embeddings.project)
    for side, found in coverage.items():
        note = f"from vectors, {found.covered_tokens:.1%} of the training tokens"
        listen(Progress(f"start {side} embeddings", found.pieces - found.unmatched, found.pieces, "pieces", note))
    return model, coverage


def validation_bleu(translator: Translator, sources: list[str], references: list[str]) -> float:
    """BLEU of detokenised text against one reference, counted as the test's is."""
    return corpus_bleu(translator.translate(sources), references, translator.languages.target)


def fingerprint(params: Params, placement: Placement) -> str:
    """SHA-256 of everything that the trained weights depend on."""
    digest = hashlib.sha256()
    for part in (params.languages, params.tokenizer, params.model, params.train, params.search):
        digest.update(part.model_dump_json().encode())
    digest.update(placement.describe().encode())
    libraries = ["sentencepiece"] + ["transformers", "tokenizers"] * (params.model.name == "pretrained")
    for library in libraries:
        digest.update(f"{library} {importlib.metadata.version(library)}".encode())
    package = Path(seqloom.__file__).parent
    data = [places.TOKENS, places.TOKENIZER, places.CORPUS / "valid.tsv", places.PRETRAINED / "manifest.json"]
    inputs = [*data, *(package / room for room in ROOMS)]
    for root in inputs:
        for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"\n{file.relative_to(root.parent)} ".encode())
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def write_outputs(
    model: Seq2Seq,
    params: Params,
    outcome: Outcome,
    identity: str,
    placement: Placement,
    coverage: dict[Side, Coverage],
) -> None:
    """Write the model folder, the metrics and the learning curve."""
    folder = places.CANDIDATE
    shutil.rmtree(folder, ignore_errors=True)
    save_model(model, params.model.architecture, folder)
    shutil.copytree(places.TOKENIZER, folder / "tokenizer")
    (folder / "languages.json").write_text(params.languages.model_dump_json(indent=2) + "\n", encoding="utf-8")
    metrics: dict[str, Any] = {
        "valid_bleu": outcome.final_bleu,
        "best_step": outcome.best_step,
        "best_bleu": outcome.best_bleu,
        "steps": outcome.steps,
        "averaged": len(outcome.averaged),
        "skipped_updates": outcome.skipped,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "stopped_because": outcome.reason,
        "device": placement.describe(),
        "fingerprint": identity,
    }
    if coverage:
        metrics["embeddings"] = {side: found._asdict() for side, found in coverage.items()}
    places.write_text(places.TRAINING_METRICS, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    curve = io.StringIO()
    writer = csv.writer(curve, lineterminator="\n")
    writer.writerow(HistoryRow._fields)
    writer.writerows([_cell(value) for value in row] for row in outcome.history)
    places.write_text(places.TRAINING_PLOT, curve.getvalue())


class Journal:
    """Listens to the engine: every report becomes a line of the journal, and progress for a person to see."""

    def __init__(self, file: Path, steps: int, listen: Listener) -> None:
        self._path, self._steps, self._listen = file, steps, listen
        self._note = ""
        self._rate = 0.0  # target tokens per second, smoothed over about 20 updates

    def __enter__(self) -> "Journal":
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def __call__(self, report: Report) -> None:
        """Write the report down and show it."""
        match report:
            case StepReport(step, _, loss, _, _, tokens, seconds):
                rate = tokens / seconds
                self._rate = 0.95 * self._rate + 0.05 * rate if self._rate else rate
                note = f"loss {loss:.3f}  {self._rate:,.0f} tokens/s{self._note}"
                self._listen(Progress("train", step, self._steps, "steps", note))
            case ValidationReport(step, loss, bleu, best, _):
                self._note = f"  validation BLEU {bleu:.1f}{' (best)' if best else ''}"
                self._listen(Progress("train", step, self._steps, "steps", f"validation loss {loss:.3f}{self._note}"))
            case SkippedReport(step, in_a_row):
                note = f"gradient not finite, update left out ({in_a_row} in a row)"
                self._listen(Progress("train", step, self._steps, "steps", note))
            case CheckpointReport(step, resumed) if resumed:
                self._listen(Progress("train", step, self._steps, "steps", "going on from a checkpoint"))
        kind = type(report).__name__.removesuffix("Report").lower()
        self._file.write(json.dumps({"kind": kind, **report._asdict()}) + "\n")


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a question that is asked between two updates; a second one is obeyed at once."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(received)
    except InterruptError:
        restore()
        signal.raise_signal(received[0])  # the checkpoint is written: end as the signal asked
    finally:
        restore()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
