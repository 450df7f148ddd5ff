"""ROUGE (Lin 2004): the n-grams and the longest common subsequence that a text shares with its reference.

Google's `rouge_score`, which reproduces the figures of Lin's original program, does the counting. A corpus score is
the mean F1 of the segments. The library's tokenizer drops all letters outside ASCII; here, words are runs of letters,
marks and digits of any script. For English text in ASCII, both give the same tokens.
"""

import importlib.metadata
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqloom.errors import EvaluationError
from seqloom.evaluation.metrics import UNSPACED, Counted, base_language

TYPES = ("rouge1", "rouge2", "rougeL")
"""Unigrams, bigrams, and the longest common subsequence of a whole text (sections 2 and 3.1)."""

_SINGLE = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")  # for languages without spaces: ASCII words, or single characters


class Rouge(Counted):
    """One of `TYPES`, 0 to 100."""

    def __init__(self, f1: Sequence[float], tokenizer: "UnicodeTokenizer") -> None:
        super().__init__(np.asarray(f1, dtype=np.float64)[:, None] * 100)
        self._tokenizer = tokenizer
        self._made_with = ""

    def signature(self) -> str:
        """Return the settings of the metric, in sacreBLEU's format."""
        version = importlib.metadata.version("rouge-score")
        return f"nrefs:1{self._made_with}|case:lc|{self._tokenizer.signature}|version:rouge-score-{version}"

    def _score(self, counts: NDArray[np.float64]) -> float:
        return float(counts.mean())

    def _record_bootstrap(self, resamples: int, seed: int) -> None:
        self._made_with = f"|bs:{resamples}|seed:{seed}"


def rouge(hypotheses: Sequence[str], references: Sequence[str], language: str) -> dict[str, Rouge]:
    """Return all `TYPES` for a test set; `language` is the code of the target language.

    Raises:
        EvaluationError: the library rouge-score is not installed.
    """
    scorer_of, stemmer_of = _library()
    tokenizer = UnicodeTokenizer(language, stemmer_of)
    scorer = scorer_of(list(TYPES), tokenizer=tokenizer)
    scores = [scorer.score(reference, text) for text, reference in zip(hypotheses, references, strict=True)]
    return {kind: Rouge([score[kind].fmeasure for score in scores], tokenizer) for kind in TYPES}


class UnicodeTokenizer:
    """Splits text of any script into lower-case words.

    English words of more than three letters are stemmed (Porter 1980), as is usual for ROUGE. Languages written without
    spaces are split into characters.
    """

    def __init__(self, language: str, stemmer_of: Callable[[], Any]) -> None:
        base = base_language(language)
        self._single = base in UNSPACED
        self._stem: Callable[[str], str] | None = None
        if base == "en":
            self._stem = lru_cache(1 << 16)(stemmer_of().stem)
        stem = "porter" if self._stem else "no"
        self.signature = f"stem:{stem}|tok:unicode{'-char' if self._single else ''}"

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text."""
        visible = "".join(character if _is_of_a_word(character) else " " for character in text.lower())
        tokens = _SINGLE.findall(visible) if self._single else visible.split()
        if self._stem is None:
            return tokens
        return [self._stem(token) if len(token) > 3 else token for token in tokens]


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _library() -> tuple[Callable[..., Any], Callable[[], Any]]:
    try:
        from nltk.stem.porter import PorterStemmer
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise EvaluationError(
            f"ROUGE needs the library rouge-score, which cannot be imported ({error}): pip install 'seqloom[pipeline]'"
        ) from error
    return RougeScorer, PorterStemmer
