"""Warnings before the first update about settings that are known to train badly, each with the reason and a remedy.

Settings that cannot work at all are refused in `settings.py`. Each rule here is based on a publication, a measurement
or arithmetic, and gives no warning for published recipes.

Measured on 12,000 short pairs of English and German, 4+4 layers of width 128, after 150 updates of 512 tokens, in nats
per token on held-out pairs: pre-norm with AdamW at 4e-3 4.33, at 3e-2 4.80, at 1e-4 5.89; post-norm at 4e-3 with a
warm-up of 100 updates 5.22, without one 5.79; Adam at 4e-3 with an L2 penalty of 1e-4 4.31, of 1e-2 4.65; SGD at 0.1
4.83, at 4e-3 6.10.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

from seqloom.training.settings import TrainSettings

# Thresholds of the rules.
RATE_BY_WIDTH = 2.0  # lr x width; 1 in Ott et al. 2018 (big), 0.6 in Wu et al. 2021 (tiny), 0.4 in Vaswani et al. 2017
LOWEST_RATE = 1e-4  # for weights that start at random
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
    """What the rules depend on besides the settings in `train`."""

    family: str  # lstm, attention_lstm, transformer or pretrained
    post_norm: bool  # a Transformer with norm_order post
    width: int  # of a Transformer's layers; 0 for other families
    dropout: float
    pairs: int  # in training
    tokens: int  # per epoch, the longer side of each pair, as in tokens_per_batch
    pieces: int  # in the vocabulary
    occurrences: int  # of all pieces in the training data
    validation_segments: int  # translated by each validation
    device: Literal["cpu", "cuda"]
    processes: int


class Advice(NamedTuple):
    """A warning about one setting of params.yaml."""

    field: str
    message: str

    def __str__(self) -> str:
        """Return the warning as one line."""
        return f"{self.field}: {self.message}"


def advise(settings: TrainSettings, facts: Facts) -> list[Advice]:
    """Return the warnings about these settings; usually none.

    If `settings.tokens_per_batch` is `auto`, rules that depend on it are skipped.
    """
    rules = (_learning_rate, _warmup, _weight_decay, _precision, _r_drop, _validation, _vocabulary, _batches)
    return [Advice(*warning) for rule in rules for warning in rule(settings, facts)]


_Warnings = Iterator[tuple[str, str]]


def _learning_rate(settings: TrainSettings, facts: Facts) -> _Warnings:
    rate = settings.lr
    if settings.optimizer == "sgd":
        if rate < LOWEST_SGD_RATE:
            yield "train.lr", f"{rate:g} suits adaptive optimisers; with sgd the weights hardly move: use 0.1 to 1"
    elif facts.family == "pretrained":
        if rate > FINE_TUNING_RATE:
            yield (
                "train.lr",
                f"{rate:g} makes a pretrained model forget what it has learnt; 1e-5 to 3e-4 is usual (see the preset "
                "finetune)",
            )
    elif rate < LOWEST_RATE:
        yield (
            "train.lr",
            f"{rate:g} suits fine-tuning, but hardly moves weights that start at random; use 5e-4 or more",
        )
    elif facts.family == "transformer" and rate * facts.width > RATE_BY_WIDTH:
        yield (
            "train.lr",
            f"{rate:g} is more than twice the highest published rate that a Transformer of width {facts.width} is "
            f"trained with; the loss falls late or never: use at most {1 / facts.width:.1g}",
        )


def _warmup(settings: TrainSettings, facts: Facts) -> _Warnings:
    # Ma and Yarats 2021: the number of updates until Adam's estimate of the gradients' size is stable.
    needed = round(2 / (1 - settings.adam_betas[1]))
    if facts.post_norm and settings.warmup_steps < needed:
        yield (
            "train.warmup_steps",
            f"with {settings.warmup_steps} a Transformer with norm_order post may never leave its first plateau: its "
            f"first gradients are large (Xiong et al. 2020); use {needed} or more, or model.transformer.norm_order pre",
        )
    if settings.max_steps is not None and settings.warmup_steps > settings.max_steps / 2:
        yield (
            "train.warmup_steps",
            f"{settings.warmup_steps} is more than half of max_steps ({settings.max_steps}): the learning rate is at "
            "its peak only briefly, if at all; a tenth is usual",
        )


def _weight_decay(settings: TrainSettings, facts: Facts) -> _Warnings:
    if settings.optimizer in ("adam", "sgd") and settings.weight_decay > L2_AT_MOST:
        yield (
            "train.weight_decay",
            f"{settings.weight_decay:g} is usual for decoupled decay; with {settings.optimizer} decay is part of the "
            "gradient (Loshchilov and Hutter 2019) and this much outweighs the loss; use 1e-4 or 0",
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
            "R-Drop compares two passes with different dropout, but model.dropout is 0: it doubles the time without "
            "effect; set model.dropout, to 0.3 for few pairs",
        )


def _validation(settings: TrainSettings, facts: Facts) -> _Warnings:
    segments = min(settings.validation_segments, facts.validation_segments)
    if segments < VALIDATION_SEGMENTS:
        asked = settings.validation_segments < VALIDATION_SEGMENTS
        yield (
            "train.validation_segments" if asked else "prepare.split.valid",
            f"BLEU of {segments} segments is mostly chance, and it selects the best checkpoint; use 500 or more",
        )


def _vocabulary(settings: TrainSettings, facts: Facts) -> _Warnings:
    mean = facts.occurrences / facts.pieces
    if facts.family != "pretrained" and mean < TOKENS_PER_PIECE:
        yield (
            "tokenizer.vocab_size",
            f"a piece occurs {mean:.0f} times in training, on average, too rarely to be learnt (Gowda and May 2020 "
            f"recommend 100 for almost every piece); use about {_round(facts.occurrences / 100)}",
        )


def _batches(settings: TrainSettings, facts: Facts) -> _Warnings:
    if not isinstance(settings.tokens_per_batch, int):
        return
    update = settings.tokens_per_batch * settings.accumulate * facts.processes
    updates = facts.tokens / update  # per epoch
    if facts.family == "transformer" and update < TOKENS_PER_UPDATE:
        yield (
            "train.tokens_per_batch",
            f"updates of {update} tokens are too noisy for a Transformer, whose final quality suffers however long it "
            "trains (Popel and Bojar 2018); use 1000 or more, or raise accumulate",
        )
    elif updates < UPDATES_PER_EPOCH and update > TOKENS_PER_UPDATE:
        fitting = max(2 * TOKENS_PER_UPDATE, _round(facts.tokens / (5 * UPDATES_PER_EPOCH)))
        if fitting < update:
            yield (
                "train.tokens_per_batch",
                f"with {update} tokens per update an epoch has {_count(updates, 'update')}, but few pairs need small "
                f"batches (Sennrich and Zhang 2019); use about {fitting} per update",
            )
    if settings.max_steps is None:
        return
    epochs = min(settings.max_steps / updates, settings.max_epochs or math.inf)
    if epochs < 1:
        yield (
            "train.max_steps",
            f"training ends after {epochs:.0%} of the pairs; an epoch has about {updates:,.0f} updates: raise "
            "max_steps or tokens_per_batch",
        )
    elif epochs > EPOCHS_AT_MOST and facts.pairs < FEW_PAIRS and facts.dropout < 0.2 and not settings.r_drop:
        yield (
            "train.max_steps",
            f"{facts.pairs:,} pairs are read {epochs:,.0f} times, so the model overfits with so little dropout; set "
            f"model.dropout to 0.3 (see the preset small_data), or max_steps to about {_round(50 * updates)}",
        )


def _round(number: float) -> int:
    """Round to one significant digit."""
    return int(float(f"{max(number, 1):.0e}"))


def _count(number: float, unit: str) -> str:
    whole = max(1, round(number))
    return f"{whole} {unit}{'s' * (whole > 1)}"
