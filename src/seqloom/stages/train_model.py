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
from pathlib import Path
from statistics import mean
from types import FrameType
from typing import Any

import torch

import seqloom
from seqloom.batching.batches import BatchOrder, Pair, Vary, in_order
from seqloom.batching.store import TokenStore
from seqloom.corpus import splits
from seqloom.decoding.folder import Languages
from seqloom.decoding.translator import Translator
from seqloom.errors import CorpusError
from seqloom.evaluation.metrics import corpus_bleu
from seqloom.languages import Direction
from seqloom.models.catalogue import build_model, save_model
from seqloom.models.pretrained import Pretrained
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side
from seqloom.models.vectors import Coverage, start_embeddings
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.stages import places
from seqloom.tokenization.catalogue import load_tokenizer, seed_sampling
from seqloom.tokenization.tokenizer import Tokenizer
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement, be_deterministic, keep_freed_memory, place
from seqloom.training.engine import Engine, InterruptError, Outcome
from seqloom.training.journal import Journal
from seqloom.training.state import HistoryRow

# What the weights depend on besides params and data; a change in any of these rooms starts training anew.
ROOMS = ("symbols.py", "text.py", "tokenization", "batching", "models", "training", "decoding", "evaluation/metrics.py")

# Validations decode greedily, whatever the search of the final scores: of its settings only limits are left.
GREEDY = {
    "method": "beam", "beam": 1, "normalization": "wu", "length_penalty": 0.0, "temperature": 1.0, "top_k": None,
    "top_p": 1.0, "samples": 2, "seed": 0,
}  # fmt: skip


def run(params: Params, listen: Listener) -> None:
    """Train, or go on training, and write models/candidate, metrics/training.json and plots/training.csv."""
    settings = params.train
    keep_freed_memory()
    placement = place(settings)
    be_deterministic(settings.seed)
    tokenizer = load_tokenizer(places.TOKENIZER)
    training = TokenStore.open(places.TOKENS / "train")
    validation = TokenStore.open(places.TOKENS / "valid")
    segments = validation_segments(params.languages.directions, settings.validation_segments)
    languages = Languages(tuple(params.languages.sources), tuple(params.languages.targets))
    greedy = params.search.model_copy(update=GREEDY)

    def quality(model: Seq2Seq) -> float:
        return validation_bleu(Translator(model, tokenizer, greedy, languages, placement.device), segments)

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
            BatchOrder(
                training,
                int(settings.tokens_per_batch),
                settings.seed,
                temperature=settings.direction_temperature,
                vary=None if settings.subword_sampling is None else resampling(tokenizer, settings.subword_sampling),
            ),
            list(in_order(validation, int(settings.tokens_per_batch))),
            settings,
            placement,
            quality=quality,
            checkpoints=checkpoints,
            listen=journal,
            should_stop=should_stop,
            frozen_steps=params.model.embeddings.frozen_steps,
            frozen_sides=list(coverage),
            kept=[
                *(tokenizer.encode_source("a", language).ids[0] for language in tokenizer.languages),
                *tokenizer.prefix(),  # what a pretrained decoder is told, such as a language
            ],
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


def resampling(tokenizer: Tokenizer, alpha: float) -> Vary:
    """Subword regularisation (Kudo 2018; Provilkov et al. 2020): each time a pair is read, its words are split anew."""

    def vary(seed: int, pairs: list[Pair]) -> list[Pair]:
        seed_sampling(seed)
        return [
            (tokenizer.resample("source", source, alpha), tokenizer.resample("target", target, alpha))
            for source, target in pairs
        ]

    return vary


def validation_segments(directions: list[Direction], most: int) -> dict[Direction, list[splits.Pair]]:
    """The first pairs of each direction in the validation split, as many of each one, about `most` in all.

    Raises:
        CorpusError: a direction has none.
    """
    file = places.CORPUS / splits.Split.valid.file_name
    share = max(1, most // len(directions))
    named = {str(direction): direction for direction in directions}
    found: dict[Direction, list[splits.Pair]] = {direction: [] for direction in directions}
    for pair in splits.read_split(file):
        if (direction := named.get(pair.direction)) is not None and len(found[direction]) < share:
            found[direction].append(pair)
    if empty := [str(direction) for direction, pairs in found.items() if not pairs]:
        raise CorpusError(
            f"{file}: has no pair of {', '.join(empty)} to validate with; raise prepare.split.valid, or leave the "
            "language out of languages"
        )
    return found


def validation_bleu(translator: Translator, segments: dict[Direction, list[splits.Pair]]) -> float:
    """BLEU of detokenised text against one reference, counted as the test's is; the mean over the directions.

    It picks the best checkpoint in every task, those with ROUGE included, so that curves of all runs compare.
    """
    return mean(
        corpus_bleu(
            translator.translate([pair.source for pair in pairs], language=direction.target),
            [pair.target for pair in pairs],
            direction.target,
        )
        for direction, pairs in segments.items()
    )


def fingerprint(params: Params, placement: Placement) -> str:
    """SHA-256 of everything that the trained weights depend on."""
    digest = hashlib.sha256()
    for part in (params.languages, params.tokenizer, params.train, params.search.model_copy(update=GREEDY)):
        digest.update(part.model_dump_json().encode())
    digest.update(json.dumps(params.model.used()).encode())
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
