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

    beam: Annotated[int, Field(ge=1, le=256)] = 1  # 1 is greedy, the fastest
    length_penalty: Annotated[float, Field(ge=0)] = 0.0
    min_length_extra: _Length = 0
    max_length_ratio: Annotated[float, Field(gt=0, le=1000)] = 2.0
    max_length_extra: Annotated[int, Field(ge=1, le=100_000)] = 20
    no_repeat_ngram: _Length = 0
    batch_tokens: _Tokens = 8192

    @check
    def _lengths(self) -> Faults:
        if self.min_length_extra > self.max_length_extra:
            yield "min_length_extra", f"is {self.min_length_extra}, above max_length_extra ({self.max_length_extra})"


class TrainSettings(Settings):
    """How a model is trained, when it is looked at, when it stops."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    start: str | None  # models:/NAME/NUMBER: the registered version whose weights and tokenizer training starts from
    device: Literal["auto", "cpu", "cuda"]  # auto: cuda where there is one
    processes: _Few | Literal["auto"] = 1  # that train one model together on this machine; auto: one per GPU
    # each process holds a part of the weights and moments: for a model that does not fit one card
    sharded: bool = False
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"  # auto: bf16 on a GPU that has it, fp32 elsewhere
    optimizer: Literal["adamw", "adam", "sgd", "muon"]  # see training/optimizer.py
    lr: Annotated[float, Field(gt=0)]  # the peak, of all optimisers
    schedule: Literal["inverse_sqrt", "linear", "cosine", "constant", "plateau"]  # see training/schedule.py
    warmup_steps: Annotated[int, Field(ge=0, le=10**9)]
    plateau_factor: _Inside = 0.5  # schedule plateau: what the rate is multiplied by ...
    plateau_patience: _Count = 2  # ... after this many validations without a lower validation loss
    adam_betas: tuple[_Share, _Share] = Field(default=(0.9, 0.98), strict=False)
    sgd_momentum: _Share = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.01  # decoupled; of adam and sgd an L2 penalty
    label_smoothing: _Share
    r_drop: Annotated[float, Field(ge=0)] = 0.0  # alpha of Liang et al. 2021 (R-Drop); 0 is off
    word_dropout: _Share = 0.0  # share of the ids read that become UNK (Bowman et al. 2016)
    # alpha of Kudo 2018, where smaller is bolder (0.2), or for bpe the dropout of Provilkov et al. 2020 (0.1)
    subword_sampling: Annotated[float, Field(gt=0)] | None = None
    # over language pairs (Arivazhagan et al. 2019); 1 is as is
    direction_temperature: Annotated[float, Field(ge=1)] = 1.0
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    # Of each process, padding included, counted on the longer side; auto: as many as memory holds
    tokens_per_batch: _Tokens | Literal["auto"]
    accumulate: _Few = 1  # batches of each process per step
    max_steps: _Count | None  # the first of the three bounds ends the run, and linear and cosine end with it
    max_epochs: _Count | None = None
    # a run that the clock ends does not repeat to the byte
    max_minutes: Annotated[float, Field(gt=0, le=10**7)] | None = None
    report_every: _Count = 50  # steps per row of plots/training.csv
    validate_every: _Count  # steps
    validation_segments: _Count = 2000  # of the validation split, for the BLEU that picks the best checkpoint
    validation_search: ValidationSearch = ValidationSearch()  # how these are translated
    patience: _Count | None  # validations without a better BLEU before training stops
    ema_decay: _Inside | None = None  # a moving average is what is kept; best with average: 1
    average: _Few = 3  # the final weights are the mean of this many checkpoints up to the best one
    checkpoint_every: _Count  # steps
    keep_checkpoints: _Few = 3

    @property
    def decays_to_the_end(self) -> bool:
        """Whether the learning rate falls to zero where the run ends."""
        return self.schedule in ("linear", "cosine")

    def used(self) -> dict[str, Any]:
        """What shapes a run, as plain data: without `start` where it is null, as runs are that never knew of it."""
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
            said = f"is {self.warmup_steps}, but schedule {self.schedule} needs it below max_steps ({self.max_steps})"
            yield "warmup_steps", said

    @check
    def _shardable(self) -> Faults:
        if self.sharded and self.processes == 1:
            yield "sharded", "is true, but processes is 1: give two or more, or auto"
        if self.sharded and self.optimizer == "muon":
            yield "sharded", "is true, but optimizer muon needs whole matrices in every process: use adamw, adam or sgd"
