"""Detect translations that repeat themselves: oscillatory hallucinations (Raunak et al. 2021, arXiv 2104.06683).

Three counts are compared between translation and source: occurrences of the most frequent n-gram, consecutive
repetitions of a block of tokens, and the length of a repeated run of characters.
"""

import re
from collections import Counter
from collections.abc import Sequence

_TOKEN = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_NGRAM, _MORE = 4, 2  # size of n-grams, and how many more occurrences than in the source make a loop
_LONGEST_BLOCK = 12  # tokens
_RUNS = 2  # consecutive occurrences of a block that are allowed even if the source has fewer
_IN_WORD = re.compile(r"(.{1,12}?)\1{4,}", re.DOTALL)
_SHORTEST_RUN = 12  # characters; shorter runs within words are ignored


def loops(source: str, translation: str) -> bool:
    """Return whether `translation` repeats itself more often than `source` does."""
    ours = _tokens(translation)
    most, longest = _top(ours), _longest_run(ours)
    if most >= _MORE or longest > _RUNS:  # fewer repetitions are no loop, whatever the source is
        theirs = _tokens(source)
        if most >= _top(theirs) + _MORE or longest > max(_RUNS, _longest_run(theirs)):
            return True
    run = _run_in_words(translation)
    return run >= _SHORTEST_RUN and run > 2 * _run_in_words(source)


def _tokens(text: str) -> list[str]:
    """Split a text into words, digits and punctuation marks; scripts without spaces into characters."""
    tokens: list[str] = _TOKEN.findall(text.casefold())
    if not _NO_SPACES.search(text):
        return tokens
    return [part for token in tokens for part in (token if _NO_SPACES.search(token) else [token])]


def _top(tokens: Sequence[str]) -> int:
    """Return how often the most frequent n-gram occurs."""
    ngrams = Counter(zip(*(tokens[start:] for start in range(_NGRAM)), strict=False))
    return max(ngrams.values(), default=0)


def _longest_run(tokens: Sequence[str]) -> int:
    """Return the largest number of consecutive occurrences of a block of tokens that contains a letter."""
    longest = 1
    if len(set(tokens)) == len(tokens):
        return longest
    for size in range(1, min(_LONGEST_BLOCK, len(tokens) // 2) + 1):
        same = 0
        for index in range(size, len(tokens)):
            same = same + 1 if tokens[index] == tokens[index - size] else 0
            if same // size + 1 > longest and any(each.isalpha() for each in tokens[index - size + 1 : index + 1]):
                longest = same // size + 1
    return longest


def _run_in_words(text: str) -> int:
    """Return the length of the longest run of a repeated short block, such as `Verververver`."""
    return max((len(match[0]) for match in _IN_WORD.finditer(text) if match[1].strip()), default=0)
