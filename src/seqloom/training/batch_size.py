"""How large a batch memory holds, found by training on it with a copy of the network, which is then forgotten."""

import copy
import os
import resource
import sys
from collections.abc import Callable
from typing import Never

import torch

from seqloom.batching.batches import in_order
from seqloom.batching.store import TokenStore
from seqloom.errors import TrainingError
from seqloom.models.seq2seq import Seq2Seq
from seqloom.training.device import Placement
from seqloom.training.gradients import Gradients
from seqloom.training.objective import Objective
from seqloom.training.optimizer import build_optimizers
from seqloom.training.processes import ALONE
from seqloom.training.settings import TrainSettings

START = 1024  # tokens
UPDATES = 100  # that an epoch has at the least: larger batches learn less from the same data
FINENESS = 16  # the answer is at most one part in so many below the largest batch that fits
FILLED = {"cuda": 0.9, "cpu": 0.5}  # share of the memory that may be used; that of the CPU has other uses too


def tokens_that_fit(model: Seq2Seq, training: TokenStore, settings: TrainSettings, placement: Placement) -> int:
    """The largest `tokens_per_batch` whose updates fit into memory and leave `UPDATES` of them to an epoch.

    Draws from torch's generators. Raises `TrainingError` where not even one pair fits.
    """
    tokens = int(training.source_lengths.sum() + training.target_lengths.sum()) // 2
    trial = _Trial(model, training, settings, placement)
    return largest_batch(trial.fits, start=START, most=max(START, tokens // UPDATES))


def largest_batch(fits: Callable[[int], bool], *, start: int, most: int) -> int:
    """The largest number of tokens up to `most` that fits, about, where whatever is below a batch that fits fits too.

    From `start` it doubles, or halves, until it knows a batch that fits beside one twice as large that does not, and
    bisects between them. The answer was tried itself.

    Raises:
        TrainingError: not even one token fits.
    """
    size = min(start, most)
    if fits(size):
        low, high = size, most + 1
        while low < most:
            size = min(2 * low, most)
            if not fits(size):
                high = size
                break
            low = size
    else:
        low, high = 0, size
        while not low and high > 1:
            size = high // 2
            if fits(size):
                low = size
            else:
                high = size
    if not low:
        raise TrainingError("not even a batch of one pair fits into memory; make the model smaller")
    while high - low > max(1, low // FINENESS):
        size = (low + high) // 2
        if fits(size):
            low = size
        else:
            high = size
    return low


class _TooLargeError(Exception):
    pass


class _Trial:
    def __init__(self, model: Seq2Seq, training: TokenStore, settings: TrainSettings, placement: Placement) -> None:
        self._model, self._training = model, training
        self._settings, self._placement = settings, placement
        self._before, self._per_token = _peak(), 0.0

    def fits(self, tokens: int) -> bool:
        if self._placement.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        elif tokens * self._per_token > FILLED["cpu"] * _free():
            return False  # not tried: what a CPU lacks is taken from others, or ends the process
        try:
            self._update(tokens)
        except _TooLargeError:
            return False
        finally:
            if self._placement.device.type == "cuda":
                torch.cuda.empty_cache()
        if self._placement.device.type == "cuda":
            whole = torch.cuda.get_device_properties(self._placement.device).total_memory
            return torch.cuda.max_memory_reserved() <= FILLED["cuda"] * whole
        self._per_token = max(self._per_token, (_peak() - self._before) / tokens)
        return True

    def _update(self, tokens: int) -> None:
        settings = self._settings
        model = copy.deepcopy(self._model).to(self._placement.device)
        objective = Objective(
            model,
            label_smoothing=settings.label_smoothing,
            r_drop=settings.r_drop,
            word_dropout=0.0,
            unk=self._training.symbols.unk,
            kept=torch.empty(0, dtype=torch.int64),
        )
        gradients = Gradients(objective, self._placement, ALONE, clip_norm=settings.clip_norm, split=_refuse)
        optimizers = build_optimizers(model, settings)
        batches = in_order(self._training, tokens)
        for position in (0, len(batches) // 2, len(batches) - 1):  # many short pairs, and few long ones
            gradients.of([batches[position]], 1.0)
            for optimizer in optimizers:
                optimizer.step()
            model.zero_grad(set_to_none=True)


def _refuse(parts: int) -> Never:
    raise _TooLargeError


def _peak() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _free() -> int:
    """Bytes of memory that nobody uses."""
    return (
        os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if "SC_AVPHYS_PAGES" in os.sysconf_names
        else sys.maxsize
    )
