"""Score a translated test set.

The task determines the metrics. If there are several directions, each is scored separately, with the tokenizer of its
language, and a score is the unweighted mean over directions. All other figures are over all segments together.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.errors import EvaluationError
from seqloom.evaluation.metrics import Counted, CountedMetric, bleu, chrf, middle_95, ter
from seqloom.evaluation.rouge import rouge
from seqloom.evaluation.scores import DirectionScores, LengthScore, Score, Scores
from seqloom.evaluation.segments import Placeholders, Segments, kept_placeholders
from seqloom.evaluation.settings import LEADING, METRICS, TITLES, EvaluateSettings, Task
from seqloom.languages import Direction
from seqloom.progress import Listener, Progress, ignore

_DIGITS = 4  # decimals of stored figures; more would show rounding errors


class _Part(NamedTuple):
    """One direction: its rows and, by metric, its counts, its resampled scores and its baseline score."""

    rows: NDArray[np.int64]
    counted: dict[str, Counted]
    resampled: dict[str, list[float]]
    baseline: dict[str, float]


def score(segments: Segments, *, task: Task, settings: EvaluateSettings, listen: Listener = ignore) -> Scores:
    """Score detokenised hypotheses against one reference each.

    Raises:
        EvaluationError: there is nothing to score, or the library of a metric is not installed.
        ValueError: the numbers of sources, references, hypotheses and directions differ.
    """
    columns = dict(zip(segments._fields[:4], segments[:4], strict=True))
    if len({len(each) for each in columns.values()}) > 1:
        raise ValueError(", ".join(f"{len(each)} {name}" for name, each in columns.items()))
    if not segments.references:
        raise EvaluationError("the test split is empty: raise prepare.split.test, or add pairs")

    parts = _parts(segments, task, settings, listen)
    metrics = METRICS[task]
    order = np.concatenate([part.rows for part in parts.values()])
    first, *others = parts.values()
    whole = {name: first.counted[name].with_segments_of([part.counted[name] for part in others]) for name in metrics}
    ours, theirs = (sum(side) for side in zip(*(_lengths(part) for part in parts.values()), strict=True))
    segment_chrf = np.zeros(len(order))
    segment_chrf[order] = whole["chrf"].segment_scores()
    words = np.array([len(segments.sources[row].split()) for row in order])
    return Scores(
        task=task,
        segments=len(order),
        scores=_means(parts, metrics),
        brevity_penalty=_rounded(_brevity_penalty(ours, theirs)),
        hypothesis_tokens=ours,
        reference_tokens=theirs,
        placeholders=_placeholders(segments) if task == "translation" else None,
        by_length=_by_length({name: whole[name] for name in _short(task)}, words, settings.length_buckets),
        baseline={name: _mean([part.baseline[name] for part in parts.values()]) for name in first.baseline},
        empty=sum(not hypothesis.strip() for hypothesis in segments.hypotheses),
        segment_chrf=[_rounded(each) for each in segment_chrf],
        test_sha256=_digest(segments),
        directions={each: DirectionScores(len(part.rows), _scores(part, metrics)) for each, part in parts.items()},
    )


def _parts(segments: Segments, task: Task, settings: EvaluateSettings, listen: Listener) -> dict[Direction, _Part]:
    rows = segments.rows()
    done, total = 0, len(METRICS[task]) * len(rows)
    parts: dict[Direction, _Part] = {}
    for direction, here in rows.items():
        sources, references, hypotheses = ([texts[row] for row in here] for texts in segments[:3])
        counted, resampled = {}, {}
        for name, metric in count_metrics(METRICS[task], hypotheses, references, direction.target):
            listen(Progress("score", done, total, "metrics", TITLES[name]))
            counted[name], resampled[name] = metric, metric.resampled(settings.bootstrap, settings.seed)
            done += 1
        names = [name for name in METRICS[task] if name != "ter"]  # lower is better, which would mislead
        simple = count_metrics(names, _baseline_texts(task, sources, references), references, direction.target)
        parts[direction] = _Part(here, counted, resampled, {name: metric.score() for name, metric in simple})
    scores = _means(parts, METRICS[task])
    summary = "  ".join(f"{TITLES[name]} {each.score:.1f}" for name, each in scores.items())
    listen(Progress("score", total, total, "metrics", summary))
    return parts


def _baseline_texts(task: Task, sources: Sequence[str], references: Sequence[str]) -> Sequence[str]:
    """Return the baseline hypotheses: the source itself for translation, or else its beginning.

    The beginning is as long as the average reference, like the lead baseline of summarisation (See et al. 2017).
    """
    if task == "translation":
        return sources
    most = round(sum(map(len, references)) / len(references))
    return [_beginning(source, most) for source in sources]


def _beginning(text: str, most: int) -> str:
    """Return at most `most` characters of a text, ending at a word boundary if possible."""
    if len(text) <= most:
        return text
    end = text.rfind(" ", 0, most + 1)
    return text[: end if end > 0 else most]


def count_metrics(
    names: Sequence[str], texts: Sequence[str], references: Sequence[str], language: str
) -> Iterator[tuple[str, Counted]]:
    """Yield the metrics of the given names with their counts."""
    if any(name.startswith("rouge") for name in names):
        yield from ((name, metric) for name, metric in rouge(texts, references, language).items() if name in names)
    for name, metric in (("bleu", bleu(language)), ("chrf", chrf()), ("ter", ter(language))):
        if name in names:
            yield name, CountedMetric(metric, texts, references)


def _short(task: Task) -> list[str]:
    """Return the metrics to show if there is little room: the leading one, BLEU and chrF."""
    return list(dict.fromkeys((LEADING[task], "bleu", "chrf")))


def _scores(part: _Part, metrics: Sequence[str]) -> dict[str, Score]:
    return {
        name: _score(part.counted[name].score(), part.resampled[name], part.counted[name].signature())
        for name in metrics
    }


def _means(parts: Mapping[Direction, _Part], metrics: Sequence[str]) -> dict[str, Score]:
    """Return the unweighted mean scores over directions; a resample of the mean is the mean of one resample of each."""
    if len(parts) == 1:
        return _scores(next(iter(parts.values())), metrics)
    found = {}
    for name in metrics:
        mean = _mean([part.counted[name].score() for part in parts.values()])
        drawn = np.mean([part.resampled[name] for part in parts.values()], axis=0)
        signatures = {direction: part.counted[name].signature() for direction, part in parts.items()}
        shown = "; ".join(f"{direction} {signature}" for direction, signature in signatures.items())
        if len(set(signatures.values())) == 1:
            shown = next(iter(signatures.values()))
        found[name] = _score(mean, drawn.tolist(), f"mean of {len(parts)} directions: {shown}")
    return found


def _score(score: float, resampled: Sequence[float], signature: str) -> Score:
    low, high = middle_95(resampled)
    return Score(_rounded(score), _rounded(low), _rounded(high), signature)


def _mean(values: Sequence[float]) -> float:
    return _rounded(sum(values) / len(values))


def _lengths(part: _Part) -> tuple[int, int]:
    counted = part.counted["bleu"]
    assert isinstance(counted, CountedMetric)
    return counted.lengths()


def _placeholders(segments: Segments) -> Placeholders:
    kept = kept_placeholders(segments)
    return kept if kept.accuracy is None else kept._replace(accuracy=_rounded(kept.accuracy))


def _brevity_penalty(hypothesis_tokens: int, reference_tokens: int) -> float:
    """Papineni et al. 2002, section 2.2.2."""
    if hypothesis_tokens >= reference_tokens:
        return 1.0
    return math.exp(1 - reference_tokens / hypothesis_tokens) if hypothesis_tokens else 0.0


def _by_length(metrics: Mapping[str, Counted], words: NDArray[np.int64], bounds: Sequence[int]) -> list[LengthScore]:
    """Return the scores of each bucket that has segments. Words are separated by white space."""
    upper = sorted(set(bounds))
    bucket = np.searchsorted(upper, words, side="left")
    found = []
    for index in range(len(upper) + 1):
        rows = np.flatnonzero(bucket == index)
        if len(rows):
            scores = {name: _rounded(metric.score(rows)) for name, metric in metrics.items()}
            found.append(LengthScore(_bucket_name(index, upper), len(rows), scores))
    return found


def _bucket_name(index: int, upper: Sequence[int]) -> str:
    first = upper[index - 1] + 1 if index else 1
    if index == len(upper):
        return f"{first}+"
    return f"{first}-{upper[index]}" if first < upper[index] else str(first)


def _digest(segments: Segments) -> str:
    """Return the SHA-256 of the lines `source TAB reference`, with ` TAB direction` if there are several directions."""
    several = len(set(segments.directions)) > 1
    digest = hashlib.sha256()
    for source, reference, _, direction in zip(*segments[:4], strict=True):
        columns = [source, reference, str(direction)] if several else [source, reference]
        digest.update(("\t".join(columns) + "\n").encode())
    return digest.hexdigest()


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
