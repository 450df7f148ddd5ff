"""The engine: update, report, validate, checkpoint, stop; exact from wherever it was interrupted.

It trains any `Seq2Seq` on any `BatchOrder`. What a hypothesis is worth is asked of a function (`quality`), what happens
is told to a listener; it knows no text, no DVC, no MLflow. All that changes over time is in `RunState`, which every
checkpoint holds, so that an interrupted run ends with the same bytes as an undisturbed one.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import NamedTuple

import torch
from torch import nn

from seqloom.batching.batches import Batch, BatchOrder
from seqloom.errors import TrainingError
from seqloom.models.catalogue import weights
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side
from seqloom.training.averaging import MovingAverage, Snapshots, load_into
from seqloom.training.checkpoint import Checkpoint, Checkpoints
from seqloom.training.device import Placement
from seqloom.training.loss import Loss, fused_cross_entropy, fused_r_drop
from seqloom.training.noise import drop_words, twice
from seqloom.training.optimizer import build_optimizers
from seqloom.training.reports import (
    CheckpointReport,
    ReportListener,
    SkippedReport,
    StepReport,
    ValidationReport,
)
from seqloom.training.schedule import learning_rate
from seqloom.training.settings import TrainSettings
from seqloom.training.state import HistoryRow, RunState

SKIPPED_AT_MOST = 10  # updates in a row without a finite gradient before training gives up


class Outcome(NamedTuple):
    """How a run ended. The model holds the weights that it recommends."""

    reason: str
    steps: int
    best_step: int
    best_bleu: float
    averaged: list[int]  # the steps whose weights were averaged; only the best one's where that scored higher
    final_bleu: float  # of the weights that were kept, on the same validation segments
    skipped: int
    history: list[HistoryRow]


class InterruptError(Exception):
    """Training was asked to stop; everything needed to go on is in the newest checkpoint."""


class Engine:
    """Trains one model.

    `quality` returns the validation BLEU of the model as it is; `should_stop` is asked after every update and ends the
    run with `InterruptError`, checkpoint written. During the first `frozen_steps` updates the tables of embeddings of
    the `frozen_sides` stay as they are, an output layer tied to them included. Word dropout leaves special ids and
    those in `kept` alone.
    """

    def __init__(
        self,
        model: Seq2Seq,
        training: BatchOrder,
        validation: list[Batch],
        settings: TrainSettings,
        placement: Placement,
        *,
        quality: Callable[[Seq2Seq], float],
        checkpoints: Checkpoints,
        listen: ReportListener,
        should_stop: Callable[[], bool],
        frozen_steps: int = 0,
        frozen_sides: Sequence[Side] = SIDES,
        kept: Sequence[int] = (),
    ) -> None:
        self.model = model.to(placement.device)
        self.training = training
        self.validation = validation
        self.settings = settings
        self.placement = placement
        self.quality = quality
        self.checkpoints = checkpoints
        self.listen = listen
        self.should_stop = should_stop
        self.frozen_steps = frozen_steps
        self.frozen = [getattr(model, f"{side}_embedding") for side in frozen_sides]
        self.kept = torch.tensor([*training.symbols, *kept])
        self.state = RunState()
        self.optimizers = build_optimizers(model, settings)
        self.moving = None if settings.ema_decay is None else MovingAverage(model, settings.ema_decay)
        self.snapshots = Snapshots(checkpoints.folder, settings.average)

    def run(self) -> Outcome:
        """Train until a bound is reached, resuming where a checkpoint is found.

        Raises:
            InterruptError: `should_stop` said so; a rerun goes on from here.
            TrainingError: gradients are no longer finite.
        """
        self._resume()
        before = self.state.minutes
        started = time.monotonic()
        while (reason := self._reason_to_stop()) is None:
            self._update()
            self.state.minutes = before + (time.monotonic() - started) / 60
            step = self.state.step
            if step % self.settings.report_every == 0 or step == self.settings.max_steps:
                self.state.note_report(learning_rate(self.settings, step))
            if step % self.settings.validate_every == 0 or step == self.settings.max_steps:
                self._validate()
            stopping = self.should_stop()
            if stopping or step % self.settings.checkpoint_every == 0:
                self._checkpoint()
            if stopping:
                raise InterruptError
        if self.state.step not in self.state.snapshots:
            self.state.note_report(learning_rate(self.settings, self.state.step))
            self._validate()
        self._checkpoint()
        return self._finish(reason)

    def _reason_to_stop(self) -> str | None:
        settings, state = self.settings, self.state
        if settings.max_steps is not None and state.step >= settings.max_steps:
            return f"max_steps ({settings.max_steps}) reached"
        if settings.max_epochs is not None and state.epoch >= settings.max_epochs:
            return f"max_epochs ({settings.max_epochs}) reached"
        if settings.patience is not None and state.stale >= settings.patience:
            return f"no better validation BLEU in {state.stale} validations"
        if settings.max_minutes is not None and state.minutes >= settings.max_minutes:
            return f"max_minutes ({settings.max_minutes:g}) reached"
        return None

    def _update(self) -> None:
        """One step of the optimiser over `accumulate` batches, weighted by their tokens as one large batch would be."""
        started = time.monotonic()
        batches = [self._next_batch() for _ in range(self.settings.accumulate)]
        tokens = sum(batch.tokens for batch in batches)
        epoch = self.state.epoch
        self.model.train()
        smoothed = 0.0
        for batch in batches:
            with self.placement.autocast():
                loss = self._training_loss(batch)
            torch.autograd.backward(loss.smoothed / tokens)
            smoothed += float(loss.smoothed.detach())
        if self.state.step < self.frozen_steps:
            for embedding in self.frozen:
                embedding.weight.grad = None  # and so no update, no decay and no moments
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm or math.inf))
        rate = learning_rate(self.settings, self.state.step + 1)
        self.state.step += 1
        if math.isfinite(norm) and math.isfinite(smoothed):
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
            if self.moving is not None:
                self.moving.update(self.state.step - self.state.skipped - 1)
            self.state.count(smoothed, tokens, norm)
            seconds = time.monotonic() - started
            self.listen(StepReport(self.state.step, epoch, smoothed / tokens, rate, norm, tokens, seconds))
        else:
            self._skip()
        self.model.zero_grad(set_to_none=True)

    def _next_batch(self) -> Batch:
        epoch = self.training.epoch(self.state.epoch)
        batch = epoch[self.state.position]
        self.state.position += 1
        if self.state.position == len(epoch):
            self.state.epoch, self.state.position = self.state.epoch + 1, 0
        return batch

    def _training_loss(self, batch: Batch) -> Loss:
        """The loss of a batch with every recipe that changes what is read or compared."""
        settings = self.settings
        if settings.r_drop:
            batch = twice(batch)
        if settings.word_dropout:
            batch = drop_words(batch, settings.word_dropout, self.training.symbols.unk, self.kept)
        return self._loss(batch, settings.label_smoothing, settings.r_drop)

    def _loss(self, batch: Batch, smoothing: float, r_drop: float = 0.0) -> Loss:
        """Summed over the real target tokens of the batch, which with `r_drop` comes `twice`, and counts once."""
        device = self.placement.device
        hidden_BTD = self.model(batch.source.to(device), batch.source_lengths.to(device), batch.target_in.to(device))
        length = batch.target_out.shape[1]
        real = torch.arange(length).unsqueeze(0) < batch.target_lengths.unsqueeze(1)
        rows = real.flatten().nonzero().squeeze(1)
        labels = batch.target_out.flatten()[rows].to(device)
        hidden = hidden_BTD.flatten(0, 1)
        if len(rows) != len(hidden):
            hidden = hidden.index_select(0, rows.to(device))
        weight, bias = self.model.output_weight, self.model.output_bias
        if r_drop:
            return fused_r_drop(hidden.unflatten(0, (2, -1)), weight, bias, labels[: len(rows) // 2], smoothing, r_drop)
        return fused_cross_entropy(hidden, weight, bias, labels, smoothing)

    def _skip(self) -> None:
        state = self.state
        state.skipped += 1
        state.skipped_in_a_row += 1
        self.listen(SkippedReport(state.step, state.skipped_in_a_row))
        if state.skipped_in_a_row >= SKIPPED_AT_MOST:
            raise TrainingError(
                f"the gradient was not finite in {SKIPPED_AT_MOST} updates in a row, up to step {state.step}; lower "
                f"train.lr ({self.settings.lr:g}) or lengthen train.warmup_steps ({self.settings.warmup_steps})"
            )

    def _averaged(self) -> AbstractContextManager[None]:
        """Where the model holds the weights that are validated and kept: the moving average, if there is one."""
        return nullcontext() if self.moving is None else self.moving.in_place()

    def _validate(self) -> None:
        started = time.monotonic()
        state = self.state
        with self._averaged():
            loss, bleu = self.validation_loss(), self._quality()
            best = state.note_validation(loss, bleu)
            state.snapshots = self.snapshots.keep(self.model, state.step, state.snapshots, state.best_step)
        self.listen(ValidationReport(state.step, loss, bleu, best, time.monotonic() - started))

    @torch.inference_mode()
    def validation_loss(self) -> float:
        """Nats per target token of the validation batches, without label smoothing."""
        self.model.eval()
        total, tokens = 0.0, 0
        for batch in self.validation:
            with self.placement.autocast():
                total += float(self._loss(batch, 0.0).nll)
            tokens += batch.tokens
        return total / tokens

    def _quality(self) -> float:
        self.model.eval()
        with torch.inference_mode(), self.placement.autocast():
            return self.quality(self.model)

    def _finish(self, reason: str) -> Outcome:
        """Put the averaged weights into the model, or the best ones where averaging did not help."""
        state = self.state
        steps = self.snapshots.up_to(state.best_step, state.snapshots)
        load_into(self.model, self.snapshots.mean(steps))
        bleu = self._quality() if len(steps) > 1 else state.best_bleu
        if bleu < state.best_bleu:
            steps, bleu = [state.best_step], state.best_bleu
            load_into(self.model, self.snapshots.mean(steps))
        self.model.eval()
        return Outcome(
            reason, state.step, state.best_step, state.best_bleu, steps, bleu, state.skipped, list(state.history)
        )

    def _checkpoint(self) -> None:
        generators = {"cpu": torch.get_rng_state()}
        if self.placement.device.type == "cuda":
            generators["cuda"] = torch.cuda.get_rng_state()
        moments = {
            f"{number}.{index}.{key}": value
            for number, optimizer in enumerate(self.optimizers)
            for index, slots in optimizer.state_dict()["state"].items()
            for key, value in slots.items()
        }
        average = {} if self.moving is None else self.moving.tensors
        self.checkpoints.write(
            self.state.step, Checkpoint(weights(self.model), average, moments, generators, asdict(self.state))
        )
        self.listen(CheckpointReport(self.state.step, resumed=False))

    def _resume(self) -> None:
        checkpoint = self.checkpoints.newest()
        if checkpoint is None:
            return
        load_into(self.model, checkpoint.weights)
        if self.moving is not None:
            self.moving.restore(checkpoint.average)
        described = [optimizer.state_dict() | {"state": {}} for optimizer in self.optimizers]
        for name, tensor in checkpoint.optimizer.items():
            number, index, key = name.split(".", 2)
            described[int(number)]["state"].setdefault(int(index), {})[key] = tensor
        for optimizer, state in zip(self.optimizers, described, strict=True):
            optimizer.load_state_dict(state)
        torch.set_rng_state(checkpoint.generators["cpu"])
        if "cuda" in checkpoint.generators:
            torch.cuda.set_rng_state(checkpoint.generators["cuda"])
        self.state = RunState(**checkpoint.state)
        self.state.history = [HistoryRow(*row) for row in self.state.history]
        self.listen(CheckpointReport(self.state.step, resumed=True))
