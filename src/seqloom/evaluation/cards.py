"""Show single segments: HTML cards for some, and a TSV file with all.

Text from corpora and models is escaped.
"""

from html import escape

from seqloom.evaluation.scores import Scores, ranked
from seqloom.evaluation.segments import Segments, lost_placeholders
from seqloom.text import normalise

_MOST_SHOWN = 2000  # characters of a text on a card


def segment_table(segments: Segments, scores: Scores) -> str:
    """Return a tab-separated table with a header and one line per segment: its texts and chrF.

    Translations also get a column of lost placeholders; if there are several directions, a column of directions.
    """
    several, translated = len(scores.directions) > 1, scores.placeholders is not None
    more = ["lost_placeholders"] * translated + ["direction"] * several
    rows = ["\t".join(["source", "reference", "hypothesis", "chrf", *more])]
    for source, reference, hypothesis, direction, chrf in zip(*segments[:4], scores.segment_chrf, strict=True):
        row = [*map(normalise, (source, reference, hypothesis)), f"{chrf:.2f}"]
        row += [" ".join(lost_placeholders(source, hypothesis, segments.forms))] * translated + [
            str(direction)
        ] * several
        rows.append("\t".join(row))
    return "\n".join(rows) + "\n"


class Cards:
    """The sections of the report that show segments, as HTML; all text is escaped."""

    def __init__(self, segments: Segments, scores: Scores) -> None:
        self._segments, self._scores = segments, scores

    def placeholders(self, most: int) -> str:
        """Return the section on placeholders, with at most `most` segments that lost one."""
        kept = self._scores.placeholders
        if kept is None or kept.accuracy is None:
            return ""
        notes = [
            f"{count_noun(len(kept.failures), 'segment')} of {kept.segments:,} with placeholders lost at least one"
        ]
        if kept.invented:
            notes.append(f"{count_noun(kept.invented, 'translation')} with a placeholder that the source does not have")
        shown = kept.failures[:most]
        if len(shown) < len(kept.failures):
            notes.append(f"the first {most} are shown below; all are marked in hypotheses.tsv")
        return f"<h2>Placeholders</h2>\n<p>{'; '.join(notes)}.</p>\n" + "\n".join(self._segment(i) for i in shown)

    def examples(self, count: int) -> str:
        """Return the section with the `count` best, median and worst segments."""
        parts = ['<h2>Segments</h2>\n<p class="muted">Ranked by chrF. All segments are in hypotheses.tsv.</p>']
        for title, indices in ranked(self._scores, self._segments.sources, count).items():
            parts.append(f"<h3>{title.capitalize()}</h3>")
            parts += [self._segment(index) for index in indices]
        return "\n".join(parts)

    def _segment(self, index: int) -> str:
        source, reference, hypothesis = (texts[index] for texts in self._segments[:3])
        direction = self._segments.directions[index]
        translated = self._scores.placeholders is not None
        names = ("Source", "Reference", "Translation" if translated else "Model")
        languages = (direction.source, direction.target, direction.target)
        rows = [
            f'<dt>{name}</dt><dd lang="{escape(language)}" dir="auto">{_shown(text)}</dd>'
            for name, language, text in zip(names, languages, (source, reference, hypothesis), strict=True)
        ]
        note = f"{self._scores.segment_chrf[index]:.1f}"
        if len(self._scores.directions) > 1:
            note += f"; {escape(str(direction))}"
        if translated and (lost := lost_placeholders(source, hypothesis, self._segments.forms)):
            note += "; lost " + ", ".join(f"<code>{escape(each)}</code>" for each in lost)
        return f'<div class="segment"><dl>{"".join(rows)}<dt>chrF</dt><dd><small>{note}</small></dd></dl></div>'


def _shown(text: str) -> str:
    if len(text) <= _MOST_SHOWN:
        return escape(text) or "<small>(empty)</small>"
    rest = len(text) - _MOST_SHOWN
    return f"{escape(text[:_MOST_SHOWN])}… <small>({rest:,} more characters are in hypotheses.tsv)</small>"


def count_noun(number: int, thing: str) -> str:
    """Return a number and its noun, in the plural unless the number is 1."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
