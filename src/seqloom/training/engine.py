"""The training loop: update, report, validate, checkpoint, stop.

The engine trains any `Seq2Seq` on any `BatchOrder`, in one process or several. It calls a function for the validation
score and listeners for everything that happens. All of its changing numbers are in `RunState`, which every checkpoint
contains, so an interrupted run ends with the same bytes as an uninterrupted one.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from seqloom.batching.batches import Batch
from seqloom.batching.prefetch import Prefetcher
from seqloom.errors import TrainingError
from seqloom.files import replacing
from seqloom.models.catalogue import weights
from seqloom.training.averaging import MovingAverage, Snapshots, load_into
from seqloom.training.checkpoint import Checkpoint
from seqloom.training.gradients import Gradients
from seqloom.training.job import Job
from seqloom.training.objective import Objective
from seqloom.training.optimizer import build_optimizers, optimizer_state, restore_optimizer_state
from seqloom.training.reports import (
    CheckpointReport,
    Listeners,
    SkippedReport,
    SplitReport,
    StepReport,
    ValidationReport,
    WarningReport,
)
from seqloom.training.schedule import learning_rate, share_done
from seqloom.training.sharding import gathered, wholes
from seqloom.training.state import Divergence, HistoryRow, RunState

SKIPPED_AT_MOST = 10  # consecutive updates without a finite gradient; then training fails


class TrainingResult(NamedTuple):
    """How a run ended. The final weights are in the model."""

    reason: str
    steps: int
    best_step: int
    best_bleu: float
    averaged: list[int]  # the steps whose weights were averaged; only the best step if that scored higher
    final_bleu: float  # of the final weights, on the same validation segments
    skipped: int
    history: list[HistoryRow]
    processes: list[tuple[int, int]]  # as in `RunState`


class InterruptError(Exception):
    """Training stopped on request. The newest checkpoint has everything that a later run needs to resume."""


class Engine:
    """Runs a training job. If several processes train together, each has an engine, and only the first one writes."""

    def __init__(self, job: Job) -> None:
        model, data, settings, placement = job.model, job.data, job.settings, job.placement
        self.model = model.to(placement.device)
        self.training, self.validation = data.training, data.validation
        self.settings = settings
        self.placement = placement
        self.processes = job.processes
        self.checkpoints = job.checkpoints
        self.quality, self.should_stop = job.hooks.quality, job.hooks.should_stop
        self.listen = Listeners(job.hooks.listeners)
        self.frozen_steps = job.freezing.steps
        self.state = RunState(loss_scale=placement.first_loss_scale)
        self.objective = Objective(
            model,
            label_smoothing=settings.label_smoothing,
            r_drop=settings.r_drop,
            word_dropout=settings.word_dropout,
            unk=data.training.symbols.unk,
            kept=torch.tensor([*data.training.symbols, *data.never_dropped]),
        )
        self.gradients = Gradients(
            self.objective,
            placement,
            job.processes,
            clip_norm=settings.clip_norm,
            split=lambda parts: self.listen(SplitReport(self.state.step + 1, parts)),
        )
        self.gradients.streams.seed(settings.seed)
        # Read from the model only now: sharding in `Gradients` replaces its parameters.
        self.frozen = [getattr(model, f"{side}_embedding").weight for side in job.freezing.sides]
        self.optimizers = build_optimizers(model, settings)
        self.moving = None if settings.ema_decay is None else MovingAverage(model, settings.ema_decay)
        self.snapshots = Snapshots(job.checkpoints, settings.average)
        self.divergence = Divergence()
        self._prefetcher: Prefetcher | None = None

    def run(self) -> TrainingResult:
        """Train until a bound is reached, starting from the newest checkpoint if there is one.

        Raises:
            InterruptError: `should_stop` returned true; the next run resumes from here.
            TrainingError: too many gradients in a row are not finite, or a batch does not fit into memory.
            CheckpointError: a checkpoint cannot be written; the previous one is intact.
        """
        self._resume()
        before, started = self.state.minutes, time.monotonic()
        try:
            while (reason := self._reason_to_stop()) is None:
                self._update()
                self._report_and_validate()
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
            if self._prefetcher is not None:
                self._prefetcher.close()
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
        """Make one optimiser step from `accumulate` batches, with the gradient of one large batch."""
        started = time.monotonic()
        state, epoch, epochs = self.state, self.state.epoch, self._epochs()
        turns = self.training.share.turns
        batches = [self._next_batch() for _ in range(self.settings.accumulate * turns)]
        state.position //= turns
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
        if self._prefetcher is None:
            pinned = self.placement.device.type == "cuda"
            position = state.position * self.training.share.turns
            self._prefetcher = Prefetcher(self.training, state.epoch, position, pin=pinned)
        batch, state.epoch, state.position = next(self._prefetcher)
        return batch

    def _epochs(self) -> float:
        return self.state.epoch + self.state.position / self.training.batches

    def _skip(self, batches: list[Batch]) -> None:
        state = self.state
        if self.placement.precision == "fp16" and state.note_overflow():
            return  # the loss scale was too large
        state.skipped += 1
        state.skipped_in_a_row += 1
        file = _save_batches(batches, self.checkpoints.folder / f"not-finite-{self.processes.rank}.safetensors")
        self.listen(SkippedReport(state.step, state.skipped_in_a_row, str(file)))
        if state.skipped_in_a_row >= SKIPPED_AT_MOST:
            self.checkpoints.wait()
            raise TrainingError(
                f"the gradient was not finite in {SKIPPED_AT_MOST} updates in a row, up to step {state.step}; lower "
                f"train.lr ({self.settings.lr:g}) or lengthen train.warmup_steps ({self.settings.warmup_steps}); the "
                f"token ids of the last update are in {file}"
            )

    def _report_and_validate(self) -> None:
        """Report and validate if this step is due for it."""
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
        """Put the weights that are validated and kept into the model: the moving average, if there is one."""
        return nullcontext() if self.moving is None else self.moving.in_place()

    def _validate(self) -> None:
        started = time.monotonic()
        state, settings = self.state, self.settings
        with self._averaged():
            with gathered(self.objective):
                loss, bleu = self.validation_loss(), self._quality()
            # All processes must decide alike, and their results can differ in the last bits.
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
        """Return the loss on the validation batches, in nats per target token, without label smoothing."""
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

    def _finish(self, reason: str) -> TrainingResult:
        """Put the averaged weights into the model, or the best ones if they score higher."""
        state = self.state
        steps = self.snapshots.up_to(state.best_step, state.snapshots)
        self._load_mean(steps)
        bleu = state.best_bleu
        if len(steps) > 1:
            with gathered(self.objective):
                (bleu,) = self.processes.largest([self._quality()])
        if bleu < state.best_bleu:
            steps, bleu = [state.best_step], state.best_bleu
            self._load_mean(steps)
        self.model.eval()
        return TrainingResult(
            reason, state.step, state.best_step, state.best_bleu, steps, bleu, state.skipped, list(state.history),
            state.processes,
        )  # fmt: skip

    def _load_mean(self, steps: list[int]) -> None:
        load_into(self.model, self.processes.from_first(lambda: self.snapshots.mean(steps)))

    def _checkpoint(self) -> None:
        generators = self.gradients.streams.named(self.processes.gather)
        average = {} if self.moving is None else wholes(self.moving.tensors)
        checkpoint = Checkpoint(
            wholes(weights(self.model)), average, optimizer_state(self.optimizers), generators, asdict(self.state)
        )
        if self.processes.first:
            self.checkpoints.write(self.state.step, checkpoint)
        self.listen(CheckpointReport(self.state.step, resumed=False))

    def _resume(self) -> None:
        checkpoint = Checkpoint.unpacked(self.processes.from_first(self._newest))
        if checkpoint is None:
            self._note_processes()
            return
        load_into(self.model, checkpoint.weights)
        if self.moving is not None:
            self.moving.restore(checkpoint.average)
        restore_optimizer_state(self.optimizers, checkpoint.optimizer)
        self.gradients.streams.restore_named(checkpoint.generators)
        self.state = RunState(**checkpoint.state)
        self.state.history = [HistoryRow(*row) for row in self.state.history]
        self.state.processes = [(step, count) for step, count in self.state.processes]
        for row in self.state.history:
            self._diverges(row)  # the warnings were reported before the interruption
        self.listen(CheckpointReport(self.state.step, resumed=True))
        self._note_processes()

    def _note_processes(self) -> None:
        if message := self.state.note_processes(self.processes.size, self.processes.shares):
            self.listen(WarningReport(self.state.step, message))

    def _newest(self) -> dict[str, Tensor]:
        checkpoint = self.checkpoints.newest(
            lambda broken: self.listen(WarningReport(0, f"{broken.folder} is skipped: {broken.reason}"))
        )
        return {} if checkpoint is None else checkpoint.packed()


def _save_batches(batches: Sequence[Batch], file: Path) -> Path:
    """Write the tensors of the batches as `number.field`, such as `0.source`, for a person to examine."""
    tensors = {
        f"{number}.{name}": tensor.contiguous()
        for number, batch in enumerate(batches)
        for name, tensor in batch._asdict().items()
    }
    with replacing(file) as beside:
        save_file(tensors, beside)
    return file
