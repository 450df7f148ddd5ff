"""A training job: everything that one run of the engine needs, assembled by the caller."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from seqloom.batching.batches import Batch, BatchOrder
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side
from seqloom.training.checkpoint import Checkpoints
from seqloom.training.device import Placement
from seqloom.training.processes import ALONE, Processes
from seqloom.training.reports import ReportListener
from seqloom.training.settings import TrainSettings


class Data(NamedTuple):
    """The batches of a run. In a run of several processes, each has its share of `training` and all of `validation`."""

    training: BatchOrder
    validation: Sequence[Batch]
    never_dropped: Sequence[int] = ()  # ids that word dropout never replaces, besides the special ones


class Hooks(NamedTuple):
    """The functions that the engine calls."""

    quality: Callable[[Seq2Seq], float]  # the validation BLEU of a model; it picks the best checkpoint
    # Called after every update. If it returns true, the engine writes a checkpoint and raises `InterruptError`.
    should_stop: Callable[[], bool] = lambda: False
    listeners: Sequence[ReportListener] = ()


class Freezing(NamedTuple):
    """During the first `steps` updates the embedding tables of `sides` stay fixed, and output layers tied to them."""

    steps: int = 0
    sides: Sequence[Side] = SIDES


class Job(NamedTuple):
    """What to train, on what, how, and where. In a run of several processes each has a job of its own."""

    model: Seq2Seq
    data: Data
    settings: TrainSettings
    placement: Placement
    checkpoints: Checkpoints  # written by the first process only
    hooks: Hooks
    freezing: Freezing = Freezing()
    processes: Processes = ALONE
