"""Settings that are known to fail, told before the first update, each with its reason and the remedy.

What cannot work at all is refused in `settings.py`; nothing is refused here. A rule has a source, a measurement or
arithmetic behind it, and is silent wherever published recipes are at home.

Measured on 12,000 short pairs of English and German, 4+4 layers of width 128, after 150 updates of 512 tokens, as nats
per token of pairs held out: pre-norm with AdamW at 4e-3 4.33, at 3e-2 4.80, at 1e-4 5.89; post-norm at 4e-3 with a
warm-up of 100 updates 5.22, without one 5.79; Adam at 4e-3 with an L2 penalty of 1e-4 4.31, of 1e-2 4.65; SGD at 0.1
4.83, at 4e-3 6.10.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

from seqloom.training.settings import TrainSettings

# Where a rule begins to speak.
RATE_BY_WIDTH = 2.0  # lr x width; 1 in Ott et al. 2018 (big), 0.6 in Wu et al. 2021 (tiny), 0.4 in Vaswani et al. 2017
LOWEST_RATE = 1e-4  # from random weights
LOWEST_SGD_RATE = 0.02  # 0.7 in Sutskever et al. 2014, 1 in Luong et al. 2015
FINE_TUNING_RATE = 1e-3
L2_AT_MOST = 1e-3
TOKENS_PER_UPDATE = 500
UPDATES_PER_EPOCH = 20
TOKENS_PER_PIECE = 20
EPOCHS_AT_MOST = 200
FEW_PAIRS = 100_000
VALIDATION_SEGMENTS = 100


class Facts(NamedTuple):
    """What advice depends on besides the settings of training."""

    family: str  # lstm, attention_lstm, transformer or pretrained
    post_norm: bool  # a Transformer that normalises after each sum
    width: int  # of a Transformer's layers
    dropout: float
    pairs: int  # for training
    tokens: int  # of an epoch, each pair counted by its longer side, as batches count
    pieces: int  # of the vocabulary
    occurrences: int  # of all pieces of that vocabulary in training
    validation_segments: int  # that a validation translates
    device: Literal["cpu", "cuda"]
    processes: int


class Advice(NamedTuple):
    """A warning about one field of params.yaml."""

    field: str
    message: str

    def __str__(self) -> str:
        """The warning in a line."""
        return f"{self.field}: {self.message}"


def advise(settings: TrainSettings, facts: Facts) -> list[Advice]:
    """The warnings that a run deserves, most often none.

    `settings.tokens_per_batch` may still be `auto`: what depends on it is left out then.
    """
    rules = (_learning_rate, _warmup, _weight_decay, _precision, _r_drop, _validation, _vocabulary, _batches)
    return [Advice(*warning) for rule in rules for warning in rule(settings, facts)]


_Warnings = Iterator[tuple[str, str]]


def _learning_rate(settings: TrainSettings, facts: Facts) -> _Warnings:
    rate = settings.lr
    if settings.optimizer == "sgd":
        if rate < LOWEST_SGD_RATE:
            yield "train.lr", f"{rate:g} is a rate for adaptive optimisers; sgd hardly moves with it: use 0.1 to 1"
    elif facts.family == "pretrained":
        if rate > FINE_TUNING_RATE:
            yield (
                "train.lr",
                f"{rate:g} makes a pretrained model forget what it knows; 1e-5 to 3e-4 is usual (see the preset "
                "finetune)",
            )
    elif rate < LOWEST_RATE:
        yield (
            "train.lr",
            f"{rate:g} is a rate for fine-tuning, which hardly moves weights that start at random; use 5e-4 or more",
        )
    elif facts.family == "transformer" and rate * facts.width > RATE_BY_WIDTH:
        yield (
            "train.lr",
            f"{rate:g} is twice the boldest that a Transformer of width {facts.width} is trained with; its loss "
            f"falls late or never: use at most {1 / facts.width:.1g}",
        )


def _warmup(settings: TrainSettings, facts: Facts) -> _Warnings:
    # Ma and Yarats 2021: so many updates until Adam knows the size of the gradients.
    needed = round(2 / (1 - settings.adam_betas[1]))
    if facts.post_norm and settings.warmup_steps < needed:
        yield (
            "train.warmup_steps",
            f"with {settings.warmup_steps} a Transformer with norm_order post may never leave its first plateau, for "
            f"its first gradients are large (Xiong et al. 2020); use {needed} or more, or model.transformer.norm_order "
            "pre",
        )
    if settings.max_steps is not None and settings.warmup_steps > settings.max_steps / 2:
        yield (
            "train.warmup_steps",
            f"{settings.warmup_steps} is more than half of max_steps ({settings.max_steps}): the rate hardly reaches "
            "its peak; a tenth is usual",
        )


def _weight_decay(settings: TrainSettings, facts: Facts) -> _Warnings:
    if settings.optimizer in ("adam", "sgd") and settings.weight_decay > L2_AT_MOST:
        yield (
            "train.weight_decay",
            f"{settings.weight_decay:g} is usual where decay is decoupled; of {settings.optimizer} it is a part of the "
            "gradient (Loshchilov and Hutter 2019), where so much of it drowns the loss; use 1e-4 or 0",
        )


def _precision(settings: TrainSettings, facts: Facts) -> _Warnings:
    if facts.device == "cpu" and settings.precision in ("bf16", "fp16"):
        yield (
            "train.precision",
            f"{settings.precision} takes three times as long as fp32 on a CPU without instructions for it; use auto",
        )


def _r_drop(settings: TrainSettings, facts: Facts) -> _Warnings:
    if settings.r_drop and not facts.dropout and not settings.word_dropout:
        yield (
            "train.r_drop",
            "R-Drop compares two passes that differ by their dropout, and model.dropout is 0: it doubles the time and "
            "changes nothing; set model.dropout, 0.3 for few pairs",
        )


def _validation(settings: TrainSettings, facts: Facts) -> _Warnings:
    segments = min(settings.validation_segments, facts.validation_segments)
    if segments < VALIDATION_SEGMENTS:
        asked = settings.validation_segments < VALIDATION_SEGMENTS
        yield (
            "train.validation_segments" if asked else "prepare.split.valid",
            f"BLEU of {segments} segments is mostly chance, and picks the best checkpoint so; use 500 segments or more",
        )


def _vocabulary(settings: TrainSettings, facts: Facts) -> _Warnings:
    mean = facts.occurrences / facts.pieces
    if facts.family != "pretrained" and mean < TOKENS_PER_PIECE:
        yield (
            "tokenizer.vocab_size",
            f"a piece is seen {mean:.0f} times in training, on average, too seldom to be learnt (Gowda and May 2020 "
            f"want 100 of almost every piece); use about {_round(facts.occurrences / 100)}",
        )


def _batches(settings: TrainSettings, facts: Facts) -> _Warnings:
    if not isinstance(settings.tokens_per_batch, int):
        return
    update = settings.tokens_per_batch * settings.accumulate * facts.processes
    updates = facts.tokens / update  # of an epoch
    if facts.family == "transformer" and update < TOKENS_PER_UPDATE:
        yield (
            "train.tokens_per_batch",
            f"updates of {update} tokens are too noisy for a Transformer, which then ends worse however long it trains "
            "(Popel and Bojar 2018); use 1000 or more, or raise accumulate",
        )
    elif updates < UPDATES_PER_EPOCH and update > TOKENS_PER_UPDATE:
        fitting = max(2 * TOKENS_PER_UPDATE, _round(facts.tokens / (5 * UPDATES_PER_EPOCH)))
        if fitting < update:
            yield (
                "train.tokens_per_batch",
                f"with {update} tokens per update an epoch has {_count(updates, 'update')}, and few pairs want small "
                f"batches (Sennrich and Zhang 2019); use about {fitting} in all",
            )
    if settings.max_steps is None:
        return
    epochs = min(settings.max_steps / updates, settings.max_epochs or math.inf)
    if epochs < 1:
        yield (
            "train.max_steps",
            f"training ends when {epochs:.0%} of the pairs have been read; an epoch has about {updates:,.0f} updates: "
            "raise max_steps or tokens_per_batch",
        )
    elif epochs > EPOCHS_AT_MOST and facts.pairs < FEW_PAIRS and facts.dropout < 0.2 and not settings.r_drop:
        yield (
            "train.max_steps",
            f"{facts.pairs:,} pairs are read {epochs:,.0f} times, and learnt by heart with so little dropout; set "
            f"model.dropout to 0.3 (see the preset small_data), or max_steps to about {_round(50 * updates)}",
        )


def _round(number: float) -> int:
    """To one digit."""
    return int(float(f"{max(number, 1):.0e}"))


def _count(number: float, unit: str) -> str:
    whole = max(1, round(number))
    return f"{whole} {unit}{'s' * (whole > 1)}"
