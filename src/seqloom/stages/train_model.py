"""train_model: the tokens and params.yaml in, the best checkpoint as a self-contained model folder out.

Checkpoints live in `scratch/<fingerprint>/`, which DVC does not track. Killed, the stage resumes from the last one.
With other params, data, code, libraries or another kind of machine the fingerprint differs and training starts from
nothing; if an unfinished run lies beside, the log says what differs. Durations go only to
`scratch/<fingerprint>/journal.jsonl`: no cached output may depend on the clock.
"""

import csv
import io
import json
import logging
import os
import shutil
from contextlib import ExitStack
from random import Random
from typing import Any

import torch

from seqloom.batching.batches import BatchOrder, Pair, Share, Vary, in_order
from seqloom.batching.store import TokenStore
from seqloom.decoding.model_folder import LENGTHS_FILE, Languages
from seqloom.decoding.translator import Translator
from seqloom.models.catalogue import build_model, save_model
from seqloom.models.pretrained import Pretrained
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side
from seqloom.models.word_vectors import Coverage, start_embeddings
from seqloom.params import Params
from seqloom.progress import Listener, Progress, ignore
from seqloom.stages import places
from seqloom.stages.training import preflight
from seqloom.stages.training.identity import (
    FINISHED,
    check_unchanged,
    differences,
    fingerprint,
    identify,
    write_identity,
)
from seqloom.stages.training.launch import launch, launched
from seqloom.stages.training.samples import FILE, Samples
from seqloom.stages.training.stopping import stop_requests
from seqloom.stages.training.validation import search_settings, validation_bleu, validation_segments
from seqloom.stages.training.warm_start import start_from
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.tokenization.tokenizer import Tokenizer
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement, be_deterministic, manage_memory, place
from seqloom.training.energy import of_this_machine
from seqloom.training.engine import Engine, Outcome
from seqloom.training.journal import Journal
from seqloom.training.processes import Processes, joined
from seqloom.training.profiler import Profiler
from seqloom.training.reports import ReportListener
from seqloom.training.settings import TrainSettings
from seqloom.training.state import HistoryRow

_LOG = logging.getLogger(__name__)


def run(params: Params, listen: Listener, *, profile: bool = False) -> None:
    """Train, or go on training, and write models/candidate, metrics/training.json and plots/training.csv.

    With `profile` some updates are looked at closely: what they spent their time on is in the run's folder in scratch.
    """
    settings = params.train
    processes = settings.processes if isinstance(settings.processes, int) else max(1, torch.cuda.device_count())
    if processes > 1 and not launched():
        launch(processes, ["train_model", *["--profile"] * profile])
        return
    manage_memory()
    placement = place(
        settings, local_rank=int(os.environ.get("LOCAL_RANK", "0")), processes=int(os.environ.get("WORLD_SIZE", "1"))
    )
    with joined(placement.device, sharded=settings.sharded) as together:
        train(params, placement, together, listen if together.first else ignore, profile=profile)


def train(params: Params, placement: Placement, processes: Processes, listen: Listener, *, profile: bool) -> None:
    """What each process does; the first one writes."""
    settings = params.train
    be_deterministic(settings.seed)
    tokenizer = load_tokenizer(places.TOKENIZER)
    training, validation = (TokenStore.open(places.TOKENS / name) for name in ("train", "valid"))
    preflight.check([training, validation], tokenizer)
    segments = validation_segments(params.languages.directions, settings.validation_segments)
    languages = Languages(tuple(params.languages.sources), tuple(params.languages.targets))
    search = search_settings(settings.validation_search)

    identity = identify(params, placement)
    scratch = places.SCRATCH / fingerprint(identity)
    checkpoints = Checkpoints(scratch, keep=settings.keep_checkpoints)
    samples = Samples(scratch / FILE)

    def quality(model: Seq2Seq) -> float:
        translator = Translator(model, tokenizer, search, languages, placement.device)
        return validation_bleu(translator, segments, samples.note)

    model, coverage = starting_point(params, tokenizer, training, listen)
    with ExitStack() as stack:
        listeners: list[ReportListener] = []
        if processes.first:
            stack.enter_context(checkpoints.lock())
            journal = Journal(
                scratch / "journal.jsonl",
                listen,
                device=placement.describe(),
                processes=processes.size,
                used=of_this_machine(placement.gpus()).used,
            )
            # Samples come first: whoever sees a validation in the journal finds its translations.
            listeners += [samples, stack.enter_context(journal)]
            if others := differences(identity, scratch):
                _LOG.warning("training starts anew: the unfinished run was of something else (%s)", "; ".join(others))
            write_identity(identity, scratch)
            preflight.warn(params, training, sum(map(len, segments.values())), placement)
        if profile:
            listeners.append(stack.enter_context(Profiler(scratch / "profile")))
        settings = preflight.with_batch_size(settings, model, training, placement, processes, scratch)
        torch.manual_seed(settings.seed + processes.rank)  # each process draws a dropout of its own
        engine = Engine(
            model,
            batch_order(training, tokenizer, settings, processes),
            list(in_order(validation, int(settings.tokens_per_batch))),
            settings,
            placement,
            quality=quality,
            checkpoints=checkpoints,
            listeners=listeners,
            should_stop=stack.enter_context(stop_requests(insist=processes.size == 1)),
            frozen_steps=params.model.embeddings.frozen_steps,
            frozen_sides=list(coverage),
            kept=[
                *(tokenizer.encode_source("a", language).ids[0] for language in tokenizer.languages),
                *tokenizer.prefix(),  # what a pretrained decoder is told, such as a language
            ],
            processes=processes,
        )
        outcome = engine.run()
    if processes.first:
        check_unchanged(identity, params, placement)
        write_outputs(engine.model, params, outcome, scratch.name, placement, coverage, int(settings.tokens_per_batch))
        longest = {"source": int(training.source_lengths.max()), "target": int(training.target_lengths.max())}
        places.write_text(places.CANDIDATE / LENGTHS_FILE, json.dumps(longest, indent=2) + "\n")
        (scratch / FINISHED).touch()


def batch_order(
    training: TokenStore, tokenizer: Tokenizer, settings: TrainSettings, processes: Processes
) -> BatchOrder:
    """The batches of all processes together, of which this one reads its share."""
    return BatchOrder(
        training,
        int(settings.tokens_per_batch) * processes.size,
        settings.seed,
        temperature=settings.direction_temperature,
        vary=None if settings.subword_sampling is None else resampling(tokenizer, settings.subword_sampling),
        share=Share(processes.rank, processes.size),
    )


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


def resampling(tokenizer: Tokenizer, alpha: float) -> Vary:
    """Subword regularisation (Kudo 2018; Provilkov et al. 2020): each time a pair is read, its words are split anew."""
    of_source, of_target = tokenizer.subword_sampler("source", alpha), tokenizer.subword_sampler("target", alpha)

    def vary(seed: int, pairs: list[Pair]) -> list[Pair]:
        random = Random(seed)
        return [(of_source(source, random), of_target(target, random)) for source, target in pairs]

    return vary


def write_outputs(
    model: Seq2Seq,
    params: Params,
    outcome: Outcome,
    identity: str,
    placement: Placement,
    coverage: dict[Side, Coverage],
    tokens_per_batch: int,
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
        "tokens_per_batch": tokens_per_batch,
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


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
