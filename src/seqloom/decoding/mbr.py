"""Minimum Bayes risk decoding: of many samples, choose the one most similar to all (Kumar and Byrne 2004).

Samples from the model approximate its distribution (Eikema and Aziz 2020, arXiv 2005.10283): each distinct text is a
candidate, each sample a reference, and the best candidate has the highest mean chrF against the references.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.helpers import extract_all_char_ngrams

Matrix = npt.NDArray[np.float64]


class Candidate(NamedTuple):
    """A distinct text among the samples: the index of its first occurrence, and its mean chrF against all, 0 to 100."""

    first: int
    utility: float


def rank(samples: Sequence[str]) -> list[Candidate]:
    """Return the distinct texts of `samples`, highest utility first; in a tie the one drawn first."""
    counts = Counter(samples)  # keeps the order of first occurrence
    texts = list(counts)
    weights = np.array(list(counts.values()), dtype=np.float64) / len(samples)
    utilities = chrf(texts) @ weights
    order = np.argsort(-utilities, kind="stable")
    return [Candidate(samples.index(texts[each]), float(utilities[each])) for each in order]


def chrf(texts: Sequence[str]) -> Matrix:
    """Return the sentence chrF (Popovic 2015), 0 to 100, of each text (rows) against each as reference (columns).

    The values are those of sacrebleu's `CHRF().sentence_score`, for all pairs at once. Two texts share
    sum_g min(a_g, b_g) n-grams; that is the product of their rows in a 0/1 matrix with a column for the k-th occurrence
    of each n-gram g.
    """
    counters = [extract_all_char_ngrams(text, CHRF.CHAR_ORDER) for text in texts]
    precision, recall = np.zeros((2, len(texts), len(texts)))
    orders = np.zeros((len(texts), len(texts)))
    for ngrams in zip(*counters, strict=True):
        matches, totals = _shared(ngrams)
        both = (totals[:, None] > 0) & (totals > 0)  # sacrebleu's effective order: sizes that both texts have
        orders += both
        precision += np.divide(matches, totals[:, None], out=np.zeros_like(matches), where=both)
        recall += np.divide(matches, totals, out=np.zeros_like(matches), where=both)
    orders = np.maximum(orders, 1)
    precision, recall = precision / orders, recall / orders
    factor = CHRF.BETA**2
    below = factor * precision + recall
    return 100 * np.divide((1 + factor) * precision * recall, below, out=np.zeros_like(below), where=below > 0)


def _shared(ngrams: Sequence[Counter[str]]) -> tuple[Matrix, Matrix]:
    """Return the number of n-grams that each two texts share, (D, D), and that each has, (D,)."""
    columns: dict[tuple[str, int], int] = {}
    cells = [
        [columns.setdefault((ngram, time), len(columns)) for ngram, count in each.items() for time in range(count)]
        for each in ngrams
    ]
    occurs = np.zeros((len(ngrams), len(columns)), dtype=np.float32)
    for row, where in zip(occurs, cells, strict=True):
        row[where] = 1
    return (occurs @ occurs.T).astype(np.float64), occurs.sum(axis=1, dtype=np.float64)
