"""Choose among the translations of a text the one most similar to its reference.

A student learns more from a translation that is both likely for its teacher and close to the reference (Kim and Rush
2016, section 3.3: sequence-level interpolation).
"""

from collections.abc import Callable, Sequence
from typing import Literal

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

Similarity = Literal["chrf", "bleu"]


def similarity(name: Similarity) -> Callable[[str, str], float]:
    """Return the function that scores a translation (first) against a reference (second), from 0 to 100."""
    metric = CHRF() if name == "chrf" else BLEU(effective_order=True)
    return lambda text, reference: float(metric.sentence_score(text, [reference]).score)


def most_similar(texts: Sequence[str], reference: str, score: Callable[[str, str], float]) -> int:
    """Return the index of the text with the highest score against the reference; in a tie the first."""
    if len(texts) == 1:
        return 0
    return max(range(len(texts)), key=lambda index: (score(texts[index], reference), -index))
