"""A fake translator whose translations come from a function."""

from collections.abc import Callable, Sequence

import pytest

from seqloom.decoding.model_folder import DEFAULT_SEARCH, Languages
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translation
from seqloom.progress import Listener, Progress, ignore
from seqloom.symbols import SPECIAL_IDS
from seqloom.text import STANDARD_FORMS
from seqloom.tokenization.tokenizer import Encoded

Say = Callable[[str, SearchSettings], str]


class Words:
    """A tokenizer of words; only ASCII is in its vocabulary."""

    symbols = SPECIAL_IDS
    forms = STANDARD_FORMS

    def encode_source(self, text: str, language: str | None = None) -> Encoded:
        return Encoded([SPECIAL_IDS.unk if not word.isascii() else 5 for word in text.split()], ())

    def source_pieces(self, ids: Sequence[int]) -> list[str]:
        return ["word" for _ in ids]


class Scripted:
    """A `Translator` that returns `say(text, search)`; `requests` records the texts of each call."""

    def __init__(self, say: Say, languages: Languages, log_probability: float) -> None:
        self.say, self.languages, self.log_probability = say, languages, log_probability
        self.tokenizer, self.search, self.model = Words(), DEFAULT_SEARCH, None
        self.requests: list[list[str]] = []

    def hypotheses(
        self,
        texts: Sequence[str],
        n_best: int = 1,
        listen: Listener = ignore,
        language: str | None = None,
        prefixes: Sequence[str] | None = None,
    ) -> list[list[Translation]]:
        assert prefixes is not None
        if not texts:
            return []
        self.requests.append(list(texts))
        listen(Progress("translate", len(texts), len(texts), "sentences"))
        return [
            [
                self._translation(prefix + "".join([self.say(text, self.search), "!" * rank]), rank)
                for rank in range(n_best)
            ]
            for text, prefix in zip(texts, prefixes, strict=True)
        ]

    def _translation(self, text: str, rank: int) -> Translation:
        words = len(text.split())
        cut = words > 20
        return Translation(text, -float(rank), (words + 1) * self.log_probability, [5] * words, cut, False)


@pytest.fixture
def scripted():
    """A function that makes a `Scripted` translator; by default from English to German, putting texts in «»."""

    def make(say: Say | None = None, sources=("en",), targets=("de",), log_probability: float = -0.1) -> Scripted:
        return Scripted(say or (lambda text, search: f"«{text}»"), Languages(sources, targets), log_probability)

    return make
