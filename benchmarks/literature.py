"""The BLEU of papers on Multi30k: lower-cased text with normalised punctuation, tokenised by the Moses scripts.

It is not sacreBLEU's default and is never listed in the same column. Its signature has `tok:none` and `case:mixed`,
because the text is lower-cased and tokenised before sacreBLEU gets it. Applied to the raw references of Multi30k's
test_2016_flickr, the preprocessing gives exactly the files that its authors published as `lc.norm.tok`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics.bleu import BLEU


class LiteratureBleu(NamedTuple):
    """A corpus score from 0 to 100, and its sacreBLEU signature."""

    score: float
    signature: str


def literature_bleu(hypotheses: Sequence[str], references: Sequence[str], language: str) -> LiteratureBleu:
    """Return the BLEU of lower-cased, Moses-tokenised text with one reference per segment."""
    metric = BLEU(tokenize="none", force=True)
    sides = [lower_tokenised(texts, language) for texts in (hypotheses, references)]
    score = float(metric.corpus_score(sides[0], [sides[1]]).score)
    return LiteratureBleu(score, str(metric.get_signature()))


def lower_tokenised(texts: Sequence[str], language: str) -> list[str]:
    """Return texts as the Moses scripts write them: lower case, normalised punctuation, escaped tokens."""
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    normaliser, tokenizer = MosesPunctNormalizer(language), MosesTokenizer(language)
    return [tokenizer.tokenize(normaliser.normalize(text.lower()), return_str=True) for text in texts]
