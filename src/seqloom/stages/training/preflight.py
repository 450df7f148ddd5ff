"""Before the first update: check the token ids, warn about settings, and find the batch size."""

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
from seqloom.training.batch_size import tokens_that_fit
from seqloom.training.device import Placement
from seqloom.training.processes import Processes
from seqloom.training.settings import TrainSettings

_LOG = logging.getLogger(__name__)


def check(stores: list[TokenStore], tokenizer: Tokenizer) -> None:
    """Check that the token ids can come from this tokenizer.

    Raises:
        CorpusError: they cannot.
    """
    for store in stores:
        bare = not isinstance(tokenizer, PretrainedTokenizer)  # pretrained tokenizers may add special ids
        check_store(store, tokenizer.source_vocab_size, tokenizer.target_vocab_size, bare=bare)


def warn(params: Params, training: TokenStore, segments: int, placement: Placement) -> None:
    """Log a warning for each setting that is known to train badly."""
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
    """Return the settings with `tokens_per_batch` as a number; `auto` is resolved once and stored in `scratch`."""
    if settings.tokens_per_batch != "auto":
        return settings
    file = scratch / "tokens_per_batch"
    # The first process decides: on other machines there may be no file.
    found = int(processes.largest([int(file.read_text()) if processes.first and file.exists() else 0])[0])
    if not found:
        found = -int(processes.largest([-tokens_that_fit(model, training, settings, placement)])[0])
        if processes.first:
            file.write_text(f"{found}\n")
    if processes.first:
        _LOG.info("train.tokens_per_batch: auto is %d here", found)
    return settings.model_copy(update={"tokens_per_batch": found})
