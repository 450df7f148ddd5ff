"""The search methods, by their names in params.yaml (`search.method`).

They work on ids. Only minimum Bayes risk compares texts, for which the caller passes a function from ids to text.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor

from seqloom.decoding import mbr
from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.ensemble import Ensemble
from seqloom.decoding.hypotheses import Hypothesis
from seqloom.decoding.sampling import sample
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import ModelError, ParamsError
from seqloom.models import pretrained_generate
from seqloom.models.pretrained import Pretrained
from seqloom.models.seq2seq import Seq2Seq

Model = Seq2Seq | Ensemble
Write = Callable[[int, Sequence[int]], str]
"""Returns the text of target ids; the first argument is the index of the source in the batch."""


class Batch(NamedTuple):
    """B sources that are decoded at once, and the constraints on their targets."""

    source: Tensor  # (B, S) int64, padded on the right
    lengths: Tensor  # (B,) int64
    constraints: Constraints


class Method(Protocol):
    """Finds up to `n_best` hypotheses per source, best first."""

    def __call__(
        self, model: Model, batch: Batch, settings: SearchSettings, n_best: int, write: Write
    ) -> list[list[Hypothesis]]:
        """See `METHODS`."""


def beam(model: Model, batch: Batch, settings: SearchSettings, n_best: int, write: Write) -> list[list[Hypothesis]]:
    """Return the targets with the highest scores, normalised by length according to `settings`."""
    return beam_search(model.step, model.start(batch.source, batch.lengths), batch.constraints, settings, n_best)


def sampling(model: Model, batch: Batch, settings: SearchSettings, n_best: int, write: Write) -> list[list[Hypothesis]]:
    """Return samples from the model, in the order in which they are drawn."""
    sources = [ids[:length] for ids, length in zip(batch.source.tolist(), batch.lengths.tolist(), strict=True)]
    return sample(
        model.step,
        model.start(batch.source, batch.lengths),
        batch.constraints,
        settings,
        keys=[_key(ids) for ids in sources],
        samples=n_best,
    )


def minimum_bayes_risk(
    model: Model, batch: Batch, settings: SearchSettings, n_best: int, write: Write
) -> list[list[Hypothesis]]:
    """Return the samples most similar to all `settings.samples` samples; the score is the expected chrF."""
    results = []
    for source, drawn in enumerate(sampling(model, batch, settings, settings.samples, write)):
        ranked = mbr.rank([write(source, hypothesis.ids) for hypothesis in drawn])
        results.append([drawn[first]._replace(score=utility) for first, utility in ranked[:n_best]])
    return results


def generate(model: Model, batch: Batch, settings: SearchSettings, n_best: int, write: Write) -> list[list[Hypothesis]]:
    """Search with Hugging Face's `generate`; score and log-probability do not include the prefix."""
    if not isinstance(model, Pretrained):
        raise ModelError(
            "search.method is generate, which only a pretrained model supports; valid are beam, sampling, mbr"
        )
    if settings.normalization != "average":
        raise ParamsError("search.method generate ranks by average only; set search.normalization to average")
    rules = batch.constraints
    if (rules.prefixes != rules.prefixes[0]).any():
        raise ModelError("search.method generate does not support a prefix per text; use beam")
    prefix = rules.prefixes[0].tolist()
    found = pretrained_generate.generate(
        model,
        batch.source,
        batch.lengths,
        symbols=rules.symbols,
        prefix=prefix,
        min_lengths=rules.min_lengths,
        max_lengths=rules.max_lengths,
        beam=settings.beam,
        n_best=n_best,
        length_penalty=settings.length_penalty,
        rules=rules.apply,
    )

    def hypothesis(ids: list[int], log_probability: float) -> Hypothesis:
        penalty = float(len(ids) - len(prefix) + 1) ** settings.length_penalty
        return Hypothesis(ids, log_probability / penalty, log_probability)

    return [[hypothesis(*each) for each in targets] for targets in found]


class Engine(Method, Protocol):
    """A method that takes the place of those in `METHODS`, and divides its batches itself."""

    batches: int  # how many times the tokens of a usual batch it is given at once


METHODS: dict[str, Method] = {"beam": beam, "sampling": sampling, "mbr": minimum_bayes_risk, "generate": generate}


def width(settings: SearchSettings, n_best: int) -> int:
    """Return how many hypotheses of a source are decoded at once. Raises `ParamsError` if fewer than `n_best`."""
    if settings.method == "sampling":
        return n_best
    name = "samples" if settings.method == "mbr" else "beam"
    most: int = getattr(settings, name)
    if n_best > most:
        raise ParamsError(f"{n_best} translations per text are requested, but search.{name} is {most}")
    return most


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield batches of indices of non-empty texts, longest first; rows times the longest length fit into `budget`."""
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: (-lengths[i], i))
    first = 0
    while first < len(order):
        rows = max(1, budget // lengths[order[first]])
        yield order[first : first + rows]
        first += rows


def _key(ids: Sequence[int]) -> int:
    """Return a number that depends only on the source's ids, for seeding."""
    return int.from_bytes(hashlib.sha256(np.asarray(ids, dtype="<i8").tobytes()).digest()[:8], "little")
