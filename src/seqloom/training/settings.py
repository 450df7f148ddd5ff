"""The settings of train_model."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from seqloom.settings import Faults, Settings, check

LAUNCHER = "SEQLOOM_TRAIN_LAUNCHER"  # the environment variable with a command that trains on other machines

_Count = Annotated[int, Field(ge=1, le=10**9)]  # of steps, segments or validations
_Few = Annotated[int, Field(ge=1, le=10_000)]  # of what each takes memory, disk or a process
_Tokens = Annotated[int, Field(ge=1, le=100_000_000)]
_Length = Annotated[int, Field(ge=0, le=100_000)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Inside = Annotated[float, Field(gt=0, lt=1)]


class ValidationSearch(Settings):
    """How validations search. The settings are apart from `search`, which can change without training again."""

    beam: Annotated[int, Field(ge=1, le=256)] = 1  # 1 is greedy, the fastest
    length_penalty: Annotated[float, Field(ge=0)] = 0.0  # as search.length_penalty
    min_length_extra: _Length = 0  # as search.min_length_extra
    max_length_ratio: Annotated[float, Field(gt=0, le=1000)] = 2.0  # as search.max_length_ratio
    max_length_extra: Annotated[int, Field(ge=1, le=100_000)] = 20  # as search.max_length_extra
    no_repeat_ngram: _Length = 0  # as search.no_repeat_ngram
    batch_tokens: _Tokens = 8192  # as search.batch_tokens

    @check
    def _lengths(self) -> Faults:
        if self.min_length_extra > self.max_length_extra:
            yield "min_length_extra", f"is {self.min_length_extra}, above max_length_extra ({self.max_length_extra})"


class TrainSettings(Settings):
    """How a model is trained and validated, and when training ends."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]  # seed of all random numbers in training
    start: str | None  # models:/NAME/NUMBER: the registered version whose weights and tokenizer training starts from
    device: Literal["auto", "cpu", "cuda"]  # auto: cuda if available
    # processes that train together; auto: one per GPU of this machine, or as many as a launcher starts
    processes: _Few | Literal["auto"] = 1
    sharded: bool = False  # shard weights and optimizer state over the processes, for a model that does not fit one GPU
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"  # auto: bf16 on a GPU that supports it, else fp32
    optimizer: Literal["adamw", "adam", "sgd", "muon"]  # see docs/MODELS.md
    lr: Annotated[float, Field(gt=0)]  # peak of the learning rate
    # learning rate after the warm-up; see docs/MODELS.md
    schedule: Literal["inverse_sqrt", "linear", "cosine", "constant", "plateau"]
    warmup_steps: Annotated[int, Field(ge=0, le=10**9)]  # steps in which the learning rate rises to its peak
    plateau_factor: _Inside = 0.5  # schedule plateau: factor for the learning rate
    # schedule plateau: validations without a lower validation loss before the factor is applied
    plateau_patience: _Count = 2
    adam_betas: tuple[_Share, _Share] = Field(default=(0.9, 0.98), strict=False)  # betas of Adam
    sgd_momentum: _Share = 0.9  # optimizer sgd
    weight_decay: Annotated[float, Field(ge=0)] = 0.01  # decoupled; for adam and sgd an L2 penalty
    label_smoothing: _Share  # probability that is spread over the other pieces (Szegedy et al. 2016)
    # alpha of R-Drop (Liang et al. 2021); 0 is off; 5 is usual, at twice the time per update
    r_drop: Annotated[float, Field(ge=0)] = 0.0
    word_dropout: _Share = 0.0  # share of input ids replaced by UNK (Bowman et al. 2016)
    # unigram: alpha of Kudo 2018, smaller is stronger (0.2); bpe: dropout of Provilkov et al. 2020 (0.1)
    subword_sampling: Annotated[float, Field(gt=0)] | None = None
    # above 1, small language pairs are sampled more often (Arivazhagan et al. 2019)
    direction_temperature: Annotated[float, Field(ge=1)] = 1.0
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0  # largest norm of the gradient
    # tokens per batch and process, padding included, on the longer side; auto: as many as memory allows
    tokens_per_batch: _Tokens | Literal["auto"]
    accumulate: _Few = 1  # batches of each process per update
    max_steps: _Count | None  # updates; the first of the three bounds ends the run
    max_epochs: _Count | None = None  # passes over the training pairs
    # minutes; such a run does not repeat to the byte
    max_minutes: Annotated[float, Field(gt=0, le=10**7)] | None = None
    report_every: _Count = 50  # steps per row of plots/training.csv
    validate_every: _Count  # steps between validations
    validation_segments: _Count = 2000  # segments of the validation split that are translated for BLEU
    validation_search: ValidationSearch = ValidationSearch()  # how these are translated
    patience: _Count | None  # validations without a better BLEU before training stops
    # decay of a moving average of the weights, which is validated and kept (0.999); use average: 1 with it
    ema_decay: _Inside | None = None
    average: _Few = 3  # the final weights are the mean of this many checkpoints up to the best one
    checkpoint_every: _Count  # steps between checkpoints
    keep_checkpoints: _Few = 3  # checkpoints kept on disk

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
