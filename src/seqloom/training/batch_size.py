"""Finds the largest batch that fits into memory, by training a copy of the network on batches of several sizes."""

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
UPDATES = 100  # per epoch at least: with larger batches a model learns less from the same data
FINENESS = 16  # the result is at most 1/16 below the largest batch that fits
FILLED = {"cuda": 0.9, "cpu": 0.5}  # usable share of the memory; other programs use the CPU's, too


def tokens_that_fit(model: Seq2Seq, training: TokenStore, settings: TrainSettings, placement: Placement) -> int:
    """Return the largest `tokens_per_batch` that fits into memory and leaves at least `UPDATES` updates per epoch.

    Draws from torch's generators.

    Raises:
        TrainingError: not even one pair fits.
    """
    tokens = int(training.source_lengths.sum() + training.target_lengths.sum()) // 2
    trial = _Trial(model, training, settings, placement)
    return largest_batch(trial.fits, start=START, most=max(START, tokens // UPDATES))


def largest_batch(fits: Callable[[int], bool], *, start: int, most: int) -> int:
    """Return approximately the largest number of tokens, `most` at the most, for which `fits` is true.

    `fits` must be monotonic. The search doubles or halves `start` until the limit lies between two sizes, then
    bisects. The result itself has been tried.

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
            return False  # not tried: on a CPU, exceeding memory makes the system swap or kill the process
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
    """Return this process's peak memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _free() -> int:
    """Return the unused memory of this machine, in bytes."""
    return (
        os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if "SC_AVPHYS_PAGES" in os.sysconf_names
        else sys.maxsize
    )
