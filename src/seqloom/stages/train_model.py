"""train_model: train on data/tokens and write the best weights as a self-contained model folder.

Checkpoints are in `scratch/<fingerprint>/`, which DVC does not track; after a kill the stage resumes from the last one.
With other params, data, code, libraries or another kind of machine the fingerprint differs, and training starts from
the beginning; if there is an unfinished run, the differences are logged. Durations are written only to
`scratch/<fingerprint>/journal.jsonl`, because outputs that DVC caches must not depend on the clock.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from seqloom import places
from seqloom.decoding.translator import Translator
from seqloom.models.catalogue import weights
from seqloom.models.seq2seq import Seq2Seq
from seqloom.params import Params
from seqloom.progress import Listener, ignore
from seqloom.stages.training import preflight
from seqloom.stages.training.agreement import load_alike
from seqloom.stages.training.identity import (
    FINISHED,
    Identity,
    check_unchanged,
    differences,
    fingerprint,
    write_identity,
)
from seqloom.stages.training.inputs import Inputs, make_data
from seqloom.stages.training.launch import (
    automatic_processes,
    launch,
    launched,
    local_processes,
    started_elsewhere,
    stop_requests,
)
from seqloom.stages.training.outputs import write_curve, write_metrics, write_model
from seqloom.stages.training.starting_point import starting_point
from seqloom.stages.training.validation import SAMPLES_FILE, Samples, search_settings, validation_bleu
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement, be_deterministic, manage_memory, place
from seqloom.training.energy import measure_energy
from seqloom.training.engine import Engine
from seqloom.training.job import Freezing, Hooks, Job
from seqloom.training.journal import Journal
from seqloom.training.processes import Processes, joined
from seqloom.training.profiler import Profiler
from seqloom.training.reports import ReportListener
from seqloom.training.sharding import wholes

_LOG = logging.getLogger(__name__)


def run(params: Params, listen: Listener, *, profile: bool = False) -> None:
    """Train or resume, and write models/candidate, metrics/training.json and plots/training.csv.

    With `profile`, some updates are profiled; the results are in `scratch/<fingerprint>/profile`.
    """
    settings = params.train
    if not launched() and started_elsewhere(profile=profile):
        return
    shares = settings.processes if isinstance(settings.processes, int) else automatic_processes()
    if shares > 1 and not launched():
        launch(shares, ["train_model", *["--profile"] * profile])
        return
    manage_memory()
    here = local_processes()
    placement = place(settings, local_rank=here.rank, here=here.size, processes=shares)
    with joined(placement.device, sharded=settings.sharded, shares=shares) as together:
        train(params, placement, together, listen if together.first else ignore, profile=profile)


def train(params: Params, placement: Placement, processes: Processes, listen: Listener, *, profile: bool) -> None:
    """Load, assemble, run, write. Each process does this, but only the first one writes."""
    be_deterministic(params.train.seed)
    inputs, identity = load_alike(params, placement, processes)
    scratch = places.SCRATCH / fingerprint(identity)
    checkpoints = Checkpoints(scratch, keep=params.train.keep_checkpoints)
    samples = Samples(scratch / SAMPLES_FILE)
    model, coverage = starting_point(params, inputs.tokenizer, inputs.training, listen)

    with ExitStack() as stack:
        listeners: list[ReportListener] = []
        if processes.first:
            stack.enter_context(checkpoints.lock())
            # Samples come first, so that a validation is in the journal only when its translations are in their file.
            listeners += [samples, stack.enter_context(_journal(scratch, listen, placement, processes))]
            _start_run(identity, scratch)
            preflight.warn(params, inputs.training, sum(map(len, inputs.segments.values())), placement)
        if profile:
            listeners.append(stack.enter_context(Profiler(scratch / "profile")))
        settings = preflight.with_batch_size(params.train, model, inputs.training, placement, processes, scratch)
        should_stop = stack.enter_context(stop_requests(insist=processes.size == 1))
        job = Job(
            model,
            make_data(inputs, settings, processes),
            settings,
            placement,
            checkpoints,
            Hooks(_quality(inputs, params, placement, samples), should_stop, listeners),
            Freezing(params.model.embeddings.frozen_steps, list(coverage)),
            processes,
        )
        result = Engine(job).run()
        whole = wholes(weights(model))

    if processes.first:
        check_unchanged(identity, params, placement)
        write_model(model, whole, params, inputs.longest)
        write_metrics(result, job, coverage, scratch.name)
        write_curve(result.history)
        (scratch / FINISHED).touch()


def _journal(scratch: Path, listen: Listener, placement: Placement, processes: Processes) -> Journal:
    energy = measure_energy(placement.gpus())
    return Journal(
        scratch / "journal.jsonl",
        listen,
        device=placement.summary(),
        processes=processes.size,
        used=energy.used,
    )


def _start_run(identity: Identity, scratch: Path) -> None:
    if others := differences(identity, scratch):
        _LOG.warning("training starts from the beginning: the unfinished run had other inputs (%s)", "; ".join(others))
    write_identity(identity, scratch)


def _quality(inputs: Inputs, params: Params, placement: Placement, samples: Samples) -> Callable[[Seq2Seq], float]:
    search = search_settings(params.train.validation_search)

    def quality(model: Seq2Seq) -> float:
        translator = Translator(model, inputs.tokenizer, search, inputs.languages, placement.device)
        return validation_bleu(translator, inputs.segments, samples.note)

    return quality
