"""Single segments for people: a card of HTML for some, a line of a table for each.

Whatever comes from a corpus or from a model is escaped.
"""

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from seqloom.evaluation.scores import Scores, ranked
from seqloom.text import normalise, placeholders


class Segments(NamedTuple):
    """The test set and what the model made of it: three texts per segment, in one order."""

    sources: Sequence[str]
    references: Sequence[str]
    hypotheses: Sequence[str]


def segment_table(segments: Segments, scores: Scores) -> str:
    """Every segment as a TAB-separated line below a header: texts, chrF, and the placeholders that were lost."""
    rows = ["source\treference\thypothesis\tchrf\tlost_placeholders"]
    for source, reference, hypothesis, chrf in zip(*segments, scores.segment_chrf, strict=True):
        texts = [normalise(text) for text in (source, reference, hypothesis)]
        rows.append("\t".join([*texts, f"{chrf:.2f}", " ".join(lost_placeholders(source, hypothesis))]))
    return "\n".join(rows) + "\n"


class Cards:
    """The parts of the page that show segments, as HTML; all text is escaped."""

    def __init__(self, segments: Segments, scores: Scores, source_language: str, target_language: str) -> None:
        self._segments, self._scores = segments, scores
        self._languages = (source_language, target_language, target_language)

    def placeholders(self, most: int) -> str:
        """Segments that lost a placeholder."""
        kept = self._scores.placeholders
        if kept.accuracy is None:
            return ""
        told = [f"{counted(len(kept.failures), 'segment')} of {kept.segments:,} with placeholders lost at least one"]
        if kept.invented:
            told.append(f"{counted(kept.invented, 'translation')} hold one that the source has not")
        shown = kept.failures[:most]
        if len(shown) < len(kept.failures):
            told.append(f"the first {most} are below, all are marked in hypotheses.tsv")
        return f"<h2>Placeholders</h2>\n<p>{'; '.join(told)}.</p>\n" + "\n".join(self._segment(i) for i in shown)

    def examples(self, count: int) -> str:
        """The best, median and worst segments."""
        parts = ['<h2>Segments</h2>\n<p class="muted">Ranked by chrF. Every segment is in hypotheses.tsv.</p>']
        for title, indices in ranked(self._scores, self._segments.sources, count).items():
            parts.append(f"<h3>{title.capitalize()}</h3>")
            parts += [self._segment(index) for index in indices]
        return "\n".join(parts)

    def _segment(self, index: int) -> str:
        source, reference, hypothesis = (texts[index] for texts in self._segments)
        rows = [
            f'<dt>{name}</dt><dd lang="{escape(language)}" dir="auto">{escape(text) or "<small>(empty)</small>"}</dd>'
            for name, language, text in zip(
                ("Source", "Reference", "Translation"), self._languages, (source, reference, hypothesis), strict=True
            )
        ]
        note = f"{self._scores.segment_chrf[index]:.1f}"
        if lost := lost_placeholders(source, hypothesis):
            note += "; lost " + ", ".join(f"<code>{escape(each)}</code>" for each in lost)
        return f'<div class="segment"><dl>{"".join(rows)}<dt>chrF</dt><dd><small>{note}</small></dd></dl></div>'


def lost_placeholders(source: str, hypothesis: str) -> list[str]:
    """The placeholders of the source that the hypothesis lacks, each as often as it lacks them."""
    return list((Counter(placeholders(source)) - Counter(placeholders(hypothesis))).elements())


def counted(number: int, thing: str) -> str:
    """The number and its noun, in the plural where it is not one."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
