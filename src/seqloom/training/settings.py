"""The settings of train_model."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seqloom.settings import Settings

_Positive = Annotated[int, Field(ge=1)]


class TrainSettings(Settings):
    """How a model is trained, when it is looked at, when it stops."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    device: Literal["auto", "cpu", "cuda"]  # auto: cuda where there is one
    precision: Literal["auto", "fp32", "bf16"]  # auto: bf16 on a GPU that has it, fp32 elsewhere
    optimizer: Literal["adamw", "muon"]  # see training/optimizer.py
    lr: Annotated[float, Field(gt=0)]  # the peak, of both optimisers
    schedule: Literal["inverse_sqrt", "linear", "cosine"]  # after the warm-up; linear and cosine end at max_steps
    warmup_steps: Annotated[int, Field(ge=0)]
    adam_betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(strict=False)
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    r_drop: Annotated[float, Field(ge=0)]  # alpha of Liang et al. 2021 (R-Drop); 0 is off
    word_dropout: Annotated[float, Field(ge=0, lt=1)]  # share of the ids read that become UNK (Bowman et al. 2016)
    # alpha of Kudo 2018, where smaller is bolder (0.2), or for bpe the dropout of Provilkov et al. 2020 (0.1)
    subword_sampling: Annotated[float, Field(gt=0)] | None
    direction_temperature: Annotated[float, Field(ge=1)]  # over language pairs (Arivazhagan et al. 2019); 1 is as is
    clip_norm: Annotated[float, Field(gt=0)] | None
    tokens_per_batch: _Positive  # padding included, counted on the longer side
    accumulate: _Positive  # batches per step
    max_steps: _Positive
    max_epochs: _Positive | None
    max_minutes: Annotated[float, Field(gt=0)] | None  # a run that the clock ends does not repeat to the byte
    report_every: _Positive  # steps per row of plots/training.csv
    validate_every: _Positive  # steps
    validation_segments: _Positive  # of the validation split, for the BLEU that picks the best checkpoint
    patience: _Positive | None  # validations without a better BLEU before training stops
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None  # a moving average is what is kept; best with average: 1
    average: Annotated[int, Field(ge=1)]  # the final weights are the mean of this many checkpoints up to the best one
    checkpoint_every: _Positive  # steps
    keep_checkpoints: _Positive

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.validate_every > self.max_steps:
            raise ValueError(f"validate_every ({self.validate_every}) is above max_steps ({self.max_steps})")
        if self.schedule != "inverse_sqrt" and self.warmup_steps >= self.max_steps:
            raise ValueError(f"warmup_steps ({self.warmup_steps}) leaves no step of max_steps ({self.max_steps})")
        return self
