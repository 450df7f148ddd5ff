"""The engine: update, report, validate, checkpoint, stop; exact from wherever it was interrupted.

It trains any `Seq2Seq` on any `BatchOrder`, in one process or several. What a hypothesis is worth is asked of a
function (`quality`), what happens is told to listeners; it knows no text, no DVC, no MLflow. All that changes over time
is in `RunState`, which every checkpoint holds, so that an interrupted run ends with the same bytes as an undisturbed
one.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import NamedTuple

import torch

from seqloom.batching.batches import Batch, BatchOrder
from seqloom.batching.prefetch import Prefetcher
from seqloom.errors import TrainingError
from seqloom.models.catalogue import weights
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side
from seqloom.training.averaging import MovingAverage, Snapshots, load_into
from seqloom.training.checkpoint import Checkpoint, Checkpoints
from seqloom.training.device import Placement
from seqloom.training.divergence import Divergence
from seqloom.training.evidence import save_batches
from seqloom.training.gradients import Gradients, random_state, restore_random_state
from seqloom.training.listening import Listeners
from seqloom.training.moments import moments, restore_moments
from seqloom.training.objective import Objective
from seqloom.training.optimizer import build_optimizers
from seqloom.training.processes import ALONE, Processes
from seqloom.training.reports import (
    CheckpointReport,
    ReportListener,
    SkippedReport,
    SplitReport,
    StepReport,
    ValidationReport,
    WarningReport,
)
from seqloom.training.schedule import learning_rate, share_done
from seqloom.training.settings import TrainSettings
from seqloom.training.sharding import gathered, wholes
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
    those in `kept` alone. Of several processes each makes an engine, with its own share of `training` and the whole of
    `validation`; the first one alone writes.
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
        listeners: Sequence[ReportListener],
        should_stop: Callable[[], bool],
        frozen_steps: int = 0,
        frozen_sides: Sequence[Side] = SIDES,
        kept: Sequence[int] = (),
        processes: Processes = ALONE,
    ) -> None:
        self.model = model.to(placement.device)
        self.training = training
        self.validation = validation
        self.settings = settings
        self.placement = placement
        self.processes = processes
        self.quality = quality
        self.checkpoints = checkpoints
        self.listen = Listeners(listeners)
        self.should_stop = should_stop
        self.frozen_steps = frozen_steps
        self.state = RunState(loss_scale=placement.first_loss_scale)
        self.objective = Objective(
            model,
            label_smoothing=settings.label_smoothing,
            r_drop=settings.r_drop,
            word_dropout=settings.word_dropout,
            unk=training.symbols.unk,
            kept=torch.tensor([*training.symbols, *kept]),
        )
        self.gradients = Gradients(
            self.objective,
            placement,
            processes,
            clip_norm=settings.clip_norm,
            split=lambda parts: self.listen(SplitReport(self.state.step + 1, parts)),
        )
        # Sharding has made the parameters anew.
        self.frozen = [getattr(model, f"{side}_embedding").weight for side in frozen_sides]
        self.optimizers = build_optimizers(model, settings)
        self.moving = None if settings.ema_decay is None else MovingAverage(model, settings.ema_decay)
        self.snapshots = Snapshots(checkpoints, settings.average)
        self.divergence = Divergence()
        self._ahead: Prefetcher | None = None

    def run(self) -> Outcome:
        """Train until a bound is reached, resuming where a checkpoint is found.

        Raises:
            InterruptError: `should_stop` said so; a rerun goes on from here.
            TrainingError: gradients are no longer finite, or a batch does not fit into memory.
            CheckpointError: a checkpoint cannot be written; the one before is whole.
        """
        self._resume()
        before, started = self.state.minutes, time.monotonic()
        try:
            while (reason := self._reason_to_stop()) is None:
                self._update()
                self._look()
                minutes = before + (time.monotonic() - started) / 60
                stopping, self.state.minutes = self.processes.largest([float(self.should_stop()), minutes])
                if stopping or self.state.step % self.settings.checkpoint_every == 0:
                    self._checkpoint()
                if stopping:
                    self.checkpoints.wait()
                    raise InterruptError
            if self.state.step not in self.state.snapshots:
                self.state.note_report()
                self._validate()
            self._checkpoint()
            self.checkpoints.wait()
        finally:
            if self._ahead is not None:
                self._ahead.close()
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
        state, epoch, epochs = self.state, self.state.epoch, self._epochs()
        batches = [self._next_batch() for _ in range(self.settings.accumulate)]
        gradient = self.gradients.of(batches, state.loss_scale, self.frozen if state.step < self.frozen_steps else ())
        state.step += 1
        state.lr = learning_rate(self.settings, state.step, state.minutes, state.lr_factor, epochs)
        if gradient.finite:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = state.lr
                optimizer.step()
            if self.moving is not None:
                self.moving.update(state.step - state.skipped - 1)
            if self.placement.precision == "fp16":
                state.note_scaled()
            state.count(*gradient)
            done = share_done(self.settings, state.step, state.minutes, self._epochs())
            seconds = time.monotonic() - started
            loss, tokens, norm = gradient
            self.listen(StepReport(state.step, epoch, loss, state.lr, norm, tokens, seconds, done))
        else:
            self._skip(batches)
        self.model.zero_grad(set_to_none=True)

    def _next_batch(self) -> Batch:
        state = self.state
        if self._ahead is None:
            pinned = self.placement.device.type == "cuda"
            self._ahead = Prefetcher(self.training, state.epoch, state.position, pin=pinned)
        batch, state.epoch, state.position = next(self._ahead)
        return batch

    def _epochs(self) -> float:
        return self.state.epoch + self.state.position / self.training.batches

    def _skip(self, batches: list[Batch]) -> None:
        state = self.state
        if self.placement.precision == "fp16" and state.note_overflow():
            return  # it was the scale that was too large
        state.skipped += 1
        state.skipped_in_a_row += 1
        file = save_batches(batches, self.checkpoints.folder / f"not-finite-{self.processes.rank}.safetensors")
        self.listen(SkippedReport(state.step, state.skipped_in_a_row, str(file)))
        if state.skipped_in_a_row >= SKIPPED_AT_MOST:
            self.checkpoints.wait()
            raise TrainingError(
                f"the gradient was not finite in {SKIPPED_AT_MOST} updates in a row, up to step {state.step}; lower "
                f"train.lr ({self.settings.lr:g}) or lengthen train.warmup_steps ({self.settings.warmup_steps}); the "
                f"ids of the last batch are in {file}"
            )

    def _look(self) -> None:
        """Report and validate where it is due."""
        settings, state = self.settings, self.state
        last = state.step == settings.max_steps
        if last or state.step % settings.report_every == 0:
            row = state.note_report()
            if row is not None and (message := self._diverges(row)):
                self.listen(WarningReport(state.step, message))
        if last or state.step % settings.validate_every == 0:
            self._validate()

    def _diverges(self, row: HistoryRow) -> str | None:
        if row.loss is None or row.lr is None:
            return None
        return self.divergence.note(row.step, row.loss, row.lr, self.checkpoints.steps)

    def _averaged(self) -> AbstractContextManager[None]:
        """Where the model holds the weights that are validated and kept: the moving average, if there is one."""
        return nullcontext() if self.moving is None else self.moving.in_place()

    def _validate(self) -> None:
        started = time.monotonic()
        state, settings = self.state, self.settings
        with self._averaged():
            with gathered(self.objective):
                loss, bleu = self.validation_loss(), self._quality()
            # What one process finds may differ in the last bits from what another one does.
            loss, bleu = self.processes.largest([loss, bleu])
            best = state.note_validation(loss, bleu)
            every = wholes(weights(self.model))
            if self.processes.first:
                self.checkpoints.write_snapshot(state.step, every)
            state.snapshots = self.snapshots.needed([*state.snapshots, state.step], state.best_step)
        if settings.schedule == "plateau":
            state.note_plateau(loss, settings.plateau_factor, settings.plateau_patience)
        self.listen(ValidationReport(state.step, loss, bleu, best, time.monotonic() - started))

    @torch.inference_mode()
    def validation_loss(self) -> float:
        """Nats per target token of the validation batches, without label smoothing."""
        self.objective.eval()
        total, tokens = 0.0, 0
        for batch in self.validation:
            with self.placement.autocast():
                total += float(self.objective(batch).nll)
            tokens += batch.tokens
        return total / tokens

    def _quality(self) -> float:
        self.model.eval()
        with torch.inference_mode(), self.placement.autocast():
            return self.quality(self.model)

    def _finish(self, reason: str) -> Outcome:
        """Put the averaged weights into the model, or the best ones where averaging did not help."""
        state = self.state
        self.processes.wait()  # the first one has written what all read
        steps = self.snapshots.up_to(state.best_step, state.snapshots)
        load_into(self.model, self.snapshots.mean(steps))
        bleu = state.best_bleu
        if len(steps) > 1:
            with gathered(self.objective):
                (bleu,) = self.processes.largest([self._quality()])
        if bleu < state.best_bleu:
            steps, bleu = [state.best_step], state.best_bleu
            load_into(self.model, self.snapshots.mean(steps))
        self.model.eval()
        return Outcome(
            reason, state.step, state.best_step, state.best_bleu, steps, bleu, state.skipped, list(state.history)
        )

    def _checkpoint(self) -> None:
        generators = {
            f"{kind}.{rank}": state
            for kind, own in random_state(self.placement.device).items()
            for rank, state in enumerate(self.processes.of_each(own))
        }
        average = {} if self.moving is None else wholes(self.moving.tensors)
        checkpoint = Checkpoint(
            wholes(weights(self.model)), average, moments(self.optimizers), generators, asdict(self.state)
        )
        if self.processes.first:
            self.checkpoints.write(self.state.step, checkpoint)
        self.listen(CheckpointReport(self.state.step, resumed=False))

    def _resume(self) -> None:
        checkpoint = self.checkpoints.newest(
            lambda broken: self.listen(WarningReport(0, f"{broken.folder} is passed over: {broken.reason}"))
        )
        if checkpoint is None:
            return
        load_into(self.model, checkpoint.weights)
        if self.moving is not None:
            self.moving.restore(checkpoint.average)
        restore_moments(self.optimizers, checkpoint.optimizer)
        kinds = random_state(self.placement.device)
        own = {kind: checkpoint.generators[f"{kind}.{self.processes.rank}"] for kind in kinds}
        restore_random_state(own, self.placement.device)
        self.state = RunState(**checkpoint.state)
        self.state.history = [HistoryRow(*row) for row in self.state.history]
        for row in self.state.history:
            self._diverges(row)  # what there was to tell is told
        self.listen(CheckpointReport(self.state.step, resumed=True))
