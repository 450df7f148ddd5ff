"""What train_model looks at before the first update: whether the data fit the model, and what the settings ask for."""

import logging
from pathlib import Path

import numpy as np

from seqloom.batching.checks import check_store
from seqloom.batching.store import TokenStore
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import TransformerArchitecture
from seqloom.params import Params
from seqloom.tokenization.pretrained import PretrainedTokenizer
from seqloom.tokenization.tokenizer import Tokenizer
from seqloom.training.advice import Facts, advise
from seqloom.training.device import Placement
from seqloom.training.memory import tokens_that_fit
from seqloom.training.processes import Processes
from seqloom.training.settings import TrainSettings

_LOG = logging.getLogger(__name__)


def check(stores: list[TokenStore], tokenizer: Tokenizer) -> None:
    """Raise `CorpusError` where tokens are not what this tokenizer made."""
    for store in stores:
        bare = not isinstance(tokenizer, PretrainedTokenizer)  # some of those frame each segment in their own way
        check_store(store, tokenizer.source_vocab_size, tokenizer.target_vocab_size, bare=bare)


def warn(params: Params, training: TokenStore, segments: int, placement: Placement) -> None:
    """Say which settings are known to fail, and what to do."""
    source, target = (side.counts() for side in training.columns)
    joint = params.tokenizer.joint and len(source) == len(target)
    counts = source + target if joint else target
    architecture = params.model.architecture
    transformer = architecture if isinstance(architecture, TransformerArchitecture) else None
    facts = Facts(
        family=params.model.name,
        post_norm=transformer is not None and transformer.norm_order == "post",
        width=transformer.width if transformer is not None else 0,
        dropout=params.model.dropout,
        pairs=len(training),
        tokens=int(np.maximum(training.source_lengths, training.target_lengths + 1).sum(dtype=np.int64)),
        pieces=len(counts),
        occurrences=int(counts.sum()),
        validation_segments=segments,
        device="cuda" if placement.device.type == "cuda" else "cpu",
        processes=placement.processes,
    )
    for advice in advise(params.train, facts):
        _LOG.warning("%s", advice)


def with_batch_size(
    settings: TrainSettings,
    model: Seq2Seq,
    training: TokenStore,
    placement: Placement,
    processes: Processes,
    scratch: Path,
) -> TrainSettings:
    """The settings with `tokens_per_batch` as a number: found once for a run, and kept in its folder."""
    if settings.tokens_per_batch != "auto":
        return settings
    file = scratch / "tokens_per_batch"
    if file.exists():
        found = int(file.read_text())
    else:
        found = -int(processes.largest([-tokens_that_fit(model, training, settings, placement)])[0])
        if processes.first:
            file.write_text(f"{found}\n")
    _LOG.info("train.tokens_per_batch: auto is %d here", found)
    return settings.model_copy(update={"tokens_per_batch": found})
