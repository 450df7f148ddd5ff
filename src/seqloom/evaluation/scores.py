"""Hypotheses, references and sources in, scores out. It knows no model, no file and no picture.

Every figure is about one test set, which `test_sha256` names: two models compare only where it is the same.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seqloom.errors import EvaluationError
from seqloom.evaluation.metrics import CountedMetric, bleu, chrf, ter
from seqloom.evaluation.settings import EvaluateSettings
from seqloom.progress import Listener, Progress, ignore
from seqloom.text import placeholders

_DIGITS = 4  # decimals of every stored figure: more would be noise of the floating point


class Score(NamedTuple):
    """A corpus score with the 95% bootstrap interval around it and the signature of how it was counted."""

    score: float
    low: float
    high: float
    signature: str


class LengthScore(NamedTuple):
    """The segments whose source has `words` ("6-10", "41+") words, and their scores."""

    words: str
    segments: int
    bleu: float
    chrf: float


class Placeholders(NamedTuple):
    """What became of the placeholders of the sources.

    `accuracy` is the share of the segments with a placeholder in the source (`segments` of them) whose hypothesis holds
    each one at least as often; None where no source has any. `invented` counts hypotheses, of all segments, that hold
    one which their source has not. `failures` are the indices of the segments that lost one.
    """

    segments: int
    accuracy: float | None
    invented: int
    failures: list[int]


class Scores(NamedTuple):
    """All that is known about a translated test set, on sacreBLEU's scale of 0 to 100; a low TER is the better one."""

    segments: int
    bleu: Score
    chrf: Score
    ter: Score
    brevity_penalty: float
    hypothesis_tokens: int
    reference_tokens: int
    placeholders: Placeholders
    by_length: list[LengthScore]
    copy_bleu: float
    copy_chrf: float
    empty: int  # hypotheses without content
    segment_chrf: list[float]
    test_sha256: str

    def warnings(self) -> list[str]:
        """What a reader must know before believing the figures."""
        found = []
        if self.empty:
            some = "every segment" if self.empty == self.segments else f"{self.empty:,} of {self.segments:,} segments"
            found.append(f"The model gave an empty translation for {some}.")
        if self.bleu.score <= self.copy_bleu:
            found.append("The model scores no higher than copying the source does.")
        return found

    def metrics(self) -> dict[str, object]:
        """The figures as metrics/evaluation.json holds them: plain numbers, strings and lists."""
        return {
            "segments": self.segments,
            "bleu": self.bleu._asdict(),
            "chrf": self.chrf._asdict(),
            "ter": self.ter._asdict(),
            "brevity_penalty": self.brevity_penalty,
            "hypothesis_tokens": self.hypothesis_tokens,
            "reference_tokens": self.reference_tokens,
            "placeholder_accuracy": self.placeholders.accuracy,
            "placeholder_segments": self.placeholders.segments,
            "placeholders_invented": self.placeholders.invented,
            "empty_hypotheses": self.empty,
            "baselines": {"copy_bleu": self.copy_bleu, "copy_chrf": self.copy_chrf},
            "by_length": [bucket._asdict() for bucket in self.by_length],
            "test_sha256": self.test_sha256,
        }


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    sources: Sequence[str],
    *,
    language: str,
    settings: EvaluateSettings,
    listen: Listener = ignore,
) -> Scores:
    """Score detokenised `hypotheses` against one reference each; `language` is the target's code.

    Raises:
        EvaluationError: there is nothing to score.
        ValueError: the three differ in their number.
    """
    if not len(hypotheses) == len(references) == len(sources):
        raise ValueError(f"{len(hypotheses)} hypotheses, {len(references)} references, {len(sources)} sources")
    if not references:
        raise EvaluationError("the test split is empty: raise prepare.split.test, or add pairs")

    counted: dict[str, CountedMetric] = {}
    results: dict[str, Score] = {}
    for done, (name, metric) in enumerate((("BLEU", bleu(language)), ("chrF", chrf()), ("TER", ter(language)))):
        listen(Progress("score", done, 3, "metrics", name))
        counted[name] = CountedMetric(metric, hypotheses, references)
        low, high = counted[name].interval(settings.bootstrap, settings.seed)
        results[name] = Score(_rounded(counted[name].score()), _rounded(low), _rounded(high), counted[name].signature())
    listen(Progress("score", 3, 3, "metrics", "  ".join(f"{name} {each.score:.1f}" for name, each in results.items())))

    ours, theirs = counted["BLEU"].lengths()
    return Scores(
        segments=len(references),
        bleu=results["BLEU"],
        chrf=results["chrF"],
        ter=results["TER"],
        brevity_penalty=_rounded(_brevity_penalty(ours, theirs)),
        hypothesis_tokens=ours,
        reference_tokens=theirs,
        placeholders=_placeholders(hypotheses, sources),
        by_length=_by_length(counted["BLEU"], counted["chrF"], sources, settings.length_buckets),
        copy_bleu=_rounded(CountedMetric(bleu(language), sources, references).score()),
        copy_chrf=_rounded(CountedMetric(chrf(), sources, references).score()),
        empty=sum(not hypothesis.strip() for hypothesis in hypotheses),
        segment_chrf=[_rounded(each) for each in counted["chrF"].of_each()],
        test_sha256=_digest(sources, references),
    )


def ranked(scores: Scores, sources: Sequence[str], count: int) -> dict[str, list[int]]:
    """Indices of the best, the median and the worst `count` segments by chrF; among equals the longer source first."""
    order = sorted(range(scores.segments), key=lambda i: (-scores.segment_chrf[i], -len(sources[i]), i))
    count = min(count, len(order))
    middle = (len(order) - count) // 2
    worst = sorted(order, key=lambda i: (scores.segment_chrf[i], -len(sources[i]), i))[:count]
    return {"best": order[:count], "median": order[middle : middle + count], "worst": worst}


def _brevity_penalty(hypothesis_tokens: int, reference_tokens: int) -> float:
    """Papineni et al. 2002, section 2.2.2."""
    if hypothesis_tokens >= reference_tokens:
        return 1.0
    return math.exp(1 - reference_tokens / hypothesis_tokens) if hypothesis_tokens else 0.0


def _placeholders(hypotheses: Sequence[str], sources: Sequence[str]) -> Placeholders:
    segments, invented, failures = 0, 0, []
    for index, (hypothesis, source) in enumerate(zip(hypotheses, sources, strict=True)):
        wanted, given = Counter(placeholders(source)), Counter(placeholders(hypothesis))
        segments += bool(wanted)
        invented += bool(given.keys() - wanted.keys())
        if not wanted <= given:
            failures.append(index)
    accuracy = _rounded(1 - len(failures) / segments) if segments else None
    return Placeholders(segments, accuracy, invented, failures)


def _by_length(
    bleu: CountedMetric, chrf: CountedMetric, sources: Sequence[str], bounds: Sequence[int]
) -> list[LengthScore]:
    """The scores of each bucket that has segments; words are what white space separates."""
    words = np.array([len(source.split()) for source in sources])
    upper = sorted(set(bounds))
    bucket = np.searchsorted(upper, words, side="left")
    found = []
    for index in range(len(upper) + 1):
        rows = np.flatnonzero(bucket == index)
        if len(rows):
            name = _bucket_name(index, upper)
            found.append(LengthScore(name, len(rows), _rounded(bleu.score(rows)), _rounded(chrf.score(rows))))
    return found


def _bucket_name(index: int, upper: Sequence[int]) -> str:
    first = upper[index - 1] + 1 if index else 1
    if index == len(upper):
        return f"{first}+"
    return f"{first}-{upper[index]}" if first < upper[index] else str(first)


def _digest(sources: Sequence[str], references: Sequence[str]) -> str:
    """SHA-256 over the lines `source TAB reference`."""
    digest = hashlib.sha256()
    for pair in zip(sources, references, strict=True):
        digest.update(("\t".join(pair) + "\n").encode())
    return digest.hexdigest()


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
