"""The settings of train_model."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from seqloom.settings import Faults, Settings, check

_Count = Annotated[int, Field(ge=1, le=10**9)]  # of steps, segments or validations
_Few = Annotated[int, Field(ge=1, le=10_000)]  # of what each takes memory, disk or a process
_Tokens = Annotated[int, Field(ge=1, le=100_000_000)]
_Length = Annotated[int, Field(ge=0, le=100_000)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Inside = Annotated[float, Field(gt=0, lt=1)]


class ValidationSearch(Settings):
    """How validations translate: a beam search with few settings, so that `search` can change without training again.

    The fields mean what those of the same name in `search` mean.
    """

    beam: Annotated[int, Field(ge=1, le=256)]  # 1 is greedy, the fastest
    length_penalty: Annotated[float, Field(ge=0)]
    min_length_extra: _Length
    max_length_ratio: Annotated[float, Field(gt=0, le=1000)]
    max_length_extra: Annotated[int, Field(ge=1, le=100_000)]
    no_repeat_ngram: _Length
    batch_tokens: _Tokens

    @check
    def _lengths(self) -> Faults:
        if self.min_length_extra > self.max_length_extra:
            yield "min_length_extra", f"is {self.min_length_extra}, above max_length_extra ({self.max_length_extra})"


class TrainSettings(Settings):
    """How a model is trained, when it is looked at, when it stops."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    start: str | None  # models:/NAME/NUMBER: the registered version whose weights and tokenizer training starts from
    device: Literal["auto", "cpu", "cuda"]  # auto: cuda where there is one
    processes: _Few | Literal["auto"]  # that train one model together on this machine; auto: one per GPU
    sharded: bool  # each process holds a part of the weights and moments: for a model that does not fit one card
    precision: Literal["auto", "fp32", "bf16", "fp16"]  # auto: bf16 on a GPU that has it, fp32 elsewhere
    optimizer: Literal["adamw", "adam", "sgd", "muon"]  # see training/optimizer.py
    lr: Annotated[float, Field(gt=0)]  # the peak, of all optimisers
    schedule: Literal["inverse_sqrt", "linear", "cosine", "constant", "plateau"]  # see training/schedule.py
    warmup_steps: Annotated[int, Field(ge=0, le=10**9)]
    plateau_factor: _Inside  # schedule plateau: what the rate is multiplied by ...
    plateau_patience: _Count  # ... after this many validations without a lower validation loss
    adam_betas: tuple[_Share, _Share] = Field(strict=False)
    sgd_momentum: _Share
    weight_decay: Annotated[float, Field(ge=0)]  # decoupled; of adam and sgd an L2 penalty
    label_smoothing: _Share
    r_drop: Annotated[float, Field(ge=0)]  # alpha of Liang et al. 2021 (R-Drop); 0 is off
    word_dropout: _Share  # share of the ids read that become UNK (Bowman et al. 2016)
    # alpha of Kudo 2018, where smaller is bolder (0.2), or for bpe the dropout of Provilkov et al. 2020 (0.1)
    subword_sampling: Annotated[float, Field(gt=0)] | None
    direction_temperature: Annotated[float, Field(ge=1)]  # over language pairs (Arivazhagan et al. 2019); 1 is as is
    clip_norm: Annotated[float, Field(gt=0)] | None
    # Of each process, padding included, counted on the longer side; auto: as many as memory holds
    tokens_per_batch: _Tokens | Literal["auto"]
    accumulate: _Few  # batches of each process per step
    max_steps: _Count | None  # the first of the three bounds ends the run, and linear and cosine end with it
    max_epochs: _Count | None
    max_minutes: Annotated[float, Field(gt=0, le=10**7)] | None  # a run that the clock ends does not repeat to the byte
    report_every: _Count  # steps per row of plots/training.csv
    validate_every: _Count  # steps
    validation_segments: _Count  # of the validation split, for the BLEU that picks the best checkpoint
    validation_search: ValidationSearch  # how these are translated
    patience: _Count | None  # validations without a better BLEU before training stops
    ema_decay: _Inside | None  # a moving average is what is kept; best with average: 1
    average: _Few  # the final weights are the mean of this many checkpoints up to the best one
    checkpoint_every: _Count  # steps
    keep_checkpoints: _Few

    @property
    def decays_to_the_end(self) -> bool:
        """Whether the learning rate falls to zero at the end of the run."""
        return self.schedule in ("linear", "cosine")

    def used(self) -> dict[str, Any]:
        """Return the settings for a run's identity, as plain data. A null `start` is left out, as in older versions."""
        return self.model_dump(mode="json", exclude={"start"} if self.start is None else None)

    @field_validator("start")
    @classmethod
    def _pinned(cls, start: str | None) -> str | None:
        if start is None or re.fullmatch(r"models:/[^/@'\"`\s]+/[1-9][0-9]*", start):
            return start
        if "@" in start:
            raise ValueError(
                f"is {start!r}, an alias, which moves: the same params would train another model tomorrow; name the "
                "version by its number, as models:/NAME/3 (`seqloom info` lists them)"
            )
        raise ValueError(f"is {start!r}; valid are null and models:/NAME/NUMBER")

    @check
    def _bounded(self) -> Faults:
        if self.max_steps is None and self.max_epochs is None and self.max_minutes is None:
            yield "max_steps", "max_steps, max_epochs and max_minutes are all null: give at least one"

    @check
    def _validated(self) -> Faults:
        if self.max_steps is not None and self.validate_every > self.max_steps:
            yield (
                "validate_every",
                f"is {self.validate_every}, but may be at most max_steps ({self.max_steps})",
            )

    @check
    def _warmed_up(self) -> Faults:
        if self.max_steps is not None and self.decays_to_the_end and self.warmup_steps >= self.max_steps:
            message = (
                f"is {self.warmup_steps}, but schedule {self.schedule} needs it below max_steps ({self.max_steps})"
            )
            yield "warmup_steps", message

    @check
    def _shardable(self) -> Faults:
        if self.sharded and self.processes == 1:
            yield "sharded", "is true, but processes is 1: give two or more, or auto"
        if self.sharded and self.optimizer == "muon":
            yield "sharded", "is true, but optimizer muon needs whole matrices in every process: use adamw, adam or sgd"
