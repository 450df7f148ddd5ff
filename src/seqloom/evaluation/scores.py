"""Records of the scores of a translated test set, which `scoring` computes.

`test_sha256` identifies the test set: two models are comparable only if it is the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seqloom.evaluation.segments import Placeholders
from seqloom.evaluation.settings import LEADING, Task
from seqloom.languages import Direction


class Score(NamedTuple):
    """A corpus score with its 95% bootstrap interval and the signature of the metric."""

    score: float
    low: float
    high: float
    signature: str


class LengthScore(NamedTuple):
    """A bucket of segments with `words` source words ("6-10", "41+"): their number, and their scores by metric."""

    words: str
    segments: int
    scores: dict[str, float]

    def record(self) -> dict[str, object]:
        """Return the bucket as a flat record."""
        return {"words": self.words, "segments": self.segments, **self.scores}


class DirectionScores(NamedTuple):
    """One direction: its number of segments, and its scores by metric."""

    segments: int
    scores: dict[str, Score]


class Scores(NamedTuple):
    """The scores of a translated test set, on a scale of 0 to 100; higher is better, except for TER."""

    task: Task
    segments: int
    scores: dict[str, Score]  # by metric, in the order of `METRICS`
    brevity_penalty: float
    hypothesis_tokens: int
    reference_tokens: int
    placeholders: Placeholders | None  # only for translations: a summary need not keep them
    by_length: list[LengthScore]
    baseline: dict[str, float]  # by metric, the score of copying the source, or of the beginning of it: see `scoring`
    empty: int  # hypotheses without content
    segment_chrf: list[float]
    test_sha256: str
    directions: dict[Direction, DirectionScores]

    @property
    def leading(self) -> str:
        """The metric that decides which of two models is better."""
        return LEADING[self.task]

    @property
    def leader(self) -> Score:
        """The score of the leading metric."""
        return self.scores[self.leading]

    def warnings(self) -> list[str]:
        """Return warnings for a reader of the scores."""
        found = []
        if self.empty:
            some = "every segment" if self.empty == self.segments else f"{self.empty:,} of {self.segments:,} segments"
            found.append(
                f"The model gave an empty {'translation' if self.task == 'translation' else 'text'} for {some}."
            )
        if self.leader.score <= self.baseline[self.leading]:
            other = "copying the source does" if self.task == "translation" else "the beginning of the source does"
            found.append(f"The model scores no higher than {other}.")
        return found

    def metrics(self) -> dict[str, object]:
        """Return the content of metrics/evaluation.json, as plain data."""
        kept = self.placeholders
        simple = "copy" if self.task == "translation" else "lead"
        return {
            "segments": self.segments,
            "leading": self.leading,
            **_records(self.scores),
            **({"by_direction": self._by_direction()} if len(self.directions) > 1 else {}),
            "brevity_penalty": self.brevity_penalty,
            "hypothesis_tokens": self.hypothesis_tokens,
            "reference_tokens": self.reference_tokens,
            **(
                {}
                if kept is None
                else {
                    "placeholder_accuracy": kept.accuracy,
                    "placeholder_segments": kept.segments,
                    "placeholders_invented": kept.invented,
                }
            ),
            "empty_hypotheses": self.empty,
            "baselines": {f"{simple}_{name}": score for name, score in self.baseline.items()},
            "by_length": [bucket.record() for bucket in self.by_length],
            "test_sha256": self.test_sha256,
        }

    def _by_direction(self) -> dict[str, object]:
        return {
            str(direction): {"segments": each.segments, **_records(each.scores)}
            for direction, each in self.directions.items()
        }


def _records(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {name: score._asdict() for name, score in scores.items()}


def ranked(scores: Scores, sources: Sequence[str], count: int) -> dict[str, list[int]]:
    """Return the indices of the best, median and worst `count` segments by chrF; ties are in order of source length."""
    order = sorted(range(scores.segments), key=lambda i: (-scores.segment_chrf[i], -len(sources[i]), i))
    count = min(count, len(order))
    middle = (len(order) - count) // 2
    worst = sorted(order, key=lambda i: (scores.segment_chrf[i], -len(sources[i]), i))[:count]
    return {"best": order[:count], "median": order[middle : middle + count], "worst": worst}
