"""The inputs of train_model, and the batches made from them."""

from random import Random
from typing import NamedTuple

from seqloom import places
from seqloom.batching.batches import BatchOrder, Pair, Resample, in_order
from seqloom.batching.store import TokenStore
from seqloom.corpus import splits
from seqloom.decoding.model_folder import Languages
from seqloom.languages import Direction
from seqloom.params import Params
from seqloom.stages.training import preflight
from seqloom.stages.training.validation import validation_segments
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.tokenization.tokenizer import Tokenizer
from seqloom.training.job import Data
from seqloom.training.processes import Processes
from seqloom.training.settings import TrainSettings


class Inputs(NamedTuple):
    """The results of the stages before, and the languages of params.yaml."""

    tokenizer: Tokenizer
    languages: Languages
    training: TokenStore
    validation: TokenStore
    segments: dict[Direction, list[splits.Pair]]  # the text that validations translate

    @property
    def longest(self) -> dict[str, int]:
        """The number of tokens of the longest source and target in training."""
        return {"source": int(self.training.source_lengths.max()), "target": int(self.training.target_lengths.max())}


def load_inputs(params: Params, *, check: bool = True) -> Inputs:
    """Read the tokenizer, the token ids and the validation text.

    To `check` every id of the tokens, all of them are read; otherwise only their lengths.

    Raises:
        CorpusError: the token ids were not made by this tokenizer, or a direction has no validation text.
    """
    tokenizer = load_tokenizer(places.TOKENIZER)
    training, validation = (TokenStore.open(places.TOKENS / name) for name in ("train", "valid"))
    if check:
        preflight.check([training, validation], tokenizer)
    segments = validation_segments(params.languages.directions, params.train.validation_segments)
    languages = Languages(tuple(params.languages.sources), tuple(params.languages.targets))
    return Inputs(tokenizer, languages, training, validation, segments)


def make_data(inputs: Inputs, settings: TrainSettings, processes: Processes) -> Data:
    """Return the batches of this process; `settings.tokens_per_batch` must be a number."""
    tokenizer, tokens_per_batch = inputs.tokenizer, int(settings.tokens_per_batch)
    order = BatchOrder(
        inputs.training,
        tokens_per_batch * processes.shares,
        settings.seed,
        temperature=settings.direction_temperature,
        resample=None if settings.subword_sampling is None else resampling(tokenizer, settings.subword_sampling),
        share=processes.share,
    )
    markers = [
        *(tokenizer.encode_source("a", language).ids[0] for language in tokenizer.languages),
        *tokenizer.prefix(),  # tokens that a pretrained decoder starts with, such as a language code
    ]
    return Data(order, list(in_order(inputs.validation, tokens_per_batch)), markers)


def resampling(tokenizer: Tokenizer, alpha: float) -> Resample:
    """Return a function that samples new subword splits for pairs (Kudo 2018; Provilkov et al. 2020)."""
    of_source, of_target = tokenizer.subword_sampler("source", alpha), tokenizer.subword_sampler("target", alpha)

    def resample(seed: int, pairs: list[Pair]) -> list[Pair]:
        random = Random(seed)
        return [(of_source(source, random), of_target(target, random)) for source, target in pairs]

    return resample
