"""The BLEU that papers on Multi30k quote: lower-cased, punctuation normalised, tokenised as Moses does, then counted.

It is no sacreBLEU default and never shares a column with one: its signature says `tok:none` and `case:mixed`, for the
text is lower-cased and tokenised before sacreBLEU sees it. Applied to the raw references of Multi30k's test_2016_flickr
it gives exactly the files that its authors published as `lc.norm.tok`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU


class LiteratureBleu(NamedTuple):
    """A corpus score from 0 to 100 and sacreBLEU's signature of how it was counted."""

    score: float
    signature: str


def literature_bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> LiteratureBleu:
    """BLEU of lower-cased, Moses-tokenised text, one reference each."""
    metric = BLEU(tokenize="none", force=True)
    sides = [lower_tokenised(texts, language) for texts in (hypotheses, references)]
    score = float(metric.corpus_score(sides[0], [sides[1]]).score)
    return LiteratureBleu(score, str(metric.get_signature()))


def lower_tokenised(texts: Sequence[str], language: str) -> list[str]:
    """Texts as the Moses scripts leave them: lower case, normalised punctuation, tokens with escaped entities."""
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normaliser, tokenizer = MosesPunctNormalizer(language), MosesTokenizer(language)
    return [tokenizer.tokenize(normaliser.normalize(text.lower()), return_str=True) for text in texts]
