"""Prove that an export is the network that it was made from, on real segments.

The float32 export must give the log-probabilities of torch to within `TOLERANCE`, and the same greedy translations. The
int8 export is an approximation: `quality` scores its translations, and the gate bounds what it may lose.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translator
from seqloom.evaluation.scores import Scores
from seqloom.export.fast_search import FastSearch
from seqloom.models.seq2seq import Seq2Seq
from seqloom.symbols import Symbols

TOLERANCE = 1e-4
"""The largest difference of two log-probabilities that counts as rounding."""
SEGMENTS = 200  # how many are compared
_ROWS = 32  # segments in a batch


class Example(NamedTuple):
    """A segment to compare on: its source, its reference, and the target language."""

    source: str
    reference: str
    language: str


class Encoded(NamedTuple):
    """The ids of an example's source and reference."""

    source: list[int]
    target: list[int]


class Gaps(NamedTuple):
    """How far the log-probabilities of reference tokens, EOS included, are from those of torch."""

    segments: int
    tokens: int
    largest: float
    mean: float


class Greedy(NamedTuple):
    """How many greedy translations are those of torch."""

    segments: int
    equal: int
    ties: int  # that differ first where torch gives both tokens the same probability, up to `TOLERANCE`
    by_torch: int  # sources that the fast search left to torch


class Quality(NamedTuple):
    """The scores of an export's translations of the test split, and its size."""

    scores: dict[str, float]  # by metric
    placeholders: float | None  # the share of segments that keep them; None if none has any
    by_torch: float  # share of searches that were left to torch
    megabytes: float

    @classmethod
    def of(cls, scores: Scores, search: FastSearch) -> "Quality":
        """Return the quality of an export by the scores of what `search` found."""
        searched, kept = sum(search.tally), scores.placeholders
        size = sum(file.stat().st_size for file in search.export.folder.iterdir())
        return cls(
            {name: each.score for name, each in scores.scores.items()},
            None if kept is None else kept.accuracy,
            round(search.tally.torch / searched, 4) if searched else 0.0,
            round(size / 1e6, 2),
        )


class Proof(NamedTuple):
    """What was compared, for metrics/export.json and the report."""

    gaps: Gaps
    greedy: Greedy
    quality: Mapping[str, Quality]  # by precision

    @property
    def fault(self) -> str | None:
        """Why the exports must not be used, or None if they may be."""
        if not self.gaps.largest < TOLERANCE:
            return (
                f"a log-probability of the float32 export differs from torch by {self.gaps.largest:.2g}; "
                f"at most {TOLERANCE:g} is rounding"
            )
        if different := self.greedy.segments - self.greedy.equal - self.greedy.ties:
            return f"{different} of {self.greedy.segments} greedy translations of the float32 export differ from torch"
        return None

    def record(self) -> dict[str, Any]:
        """Return the proof as plain data."""
        return {
            "exported": self.fault is None,
            "reason": self.fault,
            "log_probabilities": self.gaps._asdict()
            | {"largest": _short(self.gaps.largest), "mean": _short(self.gaps.mean)},
            "greedy": self.greedy._asdict(),
            "quality": {precision: each._asdict() for precision, each in self.quality.items()},
        }


def _short(gap: float) -> float:
    """Round to two significant digits; the others depend on the machine."""
    return float(f"{gap:.1e}")


def some(examples: Sequence[Example]) -> list[Example]:
    """Return `SEGMENTS` examples, evenly spread."""
    step = max(1, len(examples) // SEGMENTS)
    return list(examples[::step])[:SEGMENTS]


def compare_log_probabilities(ours: Translator, search: FastSearch, examples: Sequence[Example]) -> Gaps:
    """Compare the log-probabilities of the references; examples that the export cannot read are left out."""
    encoded = list(_encoded(ours, search, examples))
    symbols, network = ours.tokenizer.symbols, ours.model
    assert isinstance(network, Seq2Seq)
    total, largest, summed = 0, 0.0, 0.0
    for first in range(0, len(encoded), _ROWS):
        part = encoded[first : first + _ROWS]
        expected = reference_scores(network, part, symbols)
        found = search.log_probabilities([each.source for each in part], [each.target for each in part])
        for one, other in zip(expected, found, strict=True):
            gaps = [abs(a - b) for a, b in zip(one, other, strict=True)]
            total, largest, summed = total + len(gaps), max(largest, *gaps), summed + sum(gaps)
    return Gaps(len(encoded), total, largest, summed / max(1, total))


def _encoded(ours: Translator, search: FastSearch, examples: Sequence[Example]) -> Iterator[Encoded]:
    most = search.export.positions
    for each in examples:
        source = ours.tokenizer.encode_source(each.source, each.language)
        target = ours.tokenizer.encode_target(each.reference, source.slots, each.language)
        if source.ids and (most is None or max(len(source.ids), len(target) + 1) <= most):
            yield Encoded(source.ids, target)


@torch.inference_mode()
def reference_scores(model: Seq2Seq, segments: Sequence[Encoded], symbols: Symbols) -> list[list[float]]:
    """Return torch's log-probability of each target token and EOS, with teacher forcing."""
    device = model.output_weight.device
    lengths = torch.tensor([len(each.source) for each in segments])
    source = torch.full((len(segments), int(lengths.max())), symbols.pad)
    target = torch.full((len(segments), max(len(each.target) for each in segments) + 1), symbols.pad)
    for row, each in enumerate(segments):
        source[row, : len(each.source)] = torch.tensor(each.source)
        target[row, : len(each.target) + 1] = torch.tensor([symbols.bos, *each.target])
    found = model.log_probabilities(model(source.to(device), lengths.to(device), target.to(device)))
    return [
        found[row, torch.arange(len(each.target) + 1), torch.tensor([*each.target, symbols.eos])].tolist()
        for row, each in enumerate(segments)
    ]


def compare_greedy(ours: Translator, search: FastSearch, examples: Sequence[Example]) -> Greedy:
    """Translate the sources greedily on torch and with the export, and compare the ids."""
    settings = SearchSettings.model_validate(ours.search.model_dump() | {"method": "beam", "beam": 1})
    slow, fast = (
        Translator(ours.model, ours.tokenizer, settings, ours.languages, ours.device, engine)
        for engine in (None, search)
    )
    before, equal, ties = search.tally, 0, 0
    for language in dict.fromkeys(each.language for each in examples):
        texts = [each.source for each in examples if each.language == language]
        for text, one, other in zip(
            texts, *(each.hypotheses(texts, language=language) for each in (slow, fast)), strict=True
        ):
            equal += one[0].ids == other[0].ids
            ties += one[0].ids != other[0].ids and _is_tie(ours, text, language, one[0].ids, other[0].ids)
    return Greedy(len(examples), equal, ties, search.tally.torch - before.torch)


def _is_tie(ours: Translator, text: str, language: str, one: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether torch gives the first two tokens that differ the same probability, up to rounding."""
    source, end = ours.tokenizer.encode_source(text, language).ids, ours.tokenizer.symbols.eos
    assert isinstance(ours.model, Seq2Seq)
    both = [[*ids, end] for ids in (one, other)]
    at = next((i for i, (a, b) in enumerate(zip(*both, strict=False)) if a != b), None)
    if at is None:  # a text of several chunks, whose ids are joined
        return False
    segments = [Encoded(source, ids[: at + 1]) for ids in both]
    first, second = (scores[at] for scores in reference_scores(ours.model, segments, ours.tokenizer.symbols))
    return abs(first - second) < TOLERANCE
