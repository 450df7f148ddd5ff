"""What was done with the texts of a document, as records, a table and JSON."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict

from seqloom.table import table
from seqloom.translation.results import Flag


class Left(NamedTuple):
    """A text that is not translated, and why."""

    reason: str
    key: str
    line: int
    source: str
    text: str = ""  # the translation that was not used


class TranslatedText(NamedTuple):
    """A text that was translated; for flags and confidence, see `seqloom.translation.results`."""

    key: str
    line: int
    source: str
    text: str
    flags: tuple[str, ...]
    confidence: float | None


class TextRecord(TypedDict):
    """A text in the JSON report: `reason` if it was left, else `flags`."""

    key: str
    line: int
    source: str
    text: str
    flags: list[str]
    confidence: float | None
    reason: str


class DocumentRecord(TypedDict):
    """A document in the JSON report."""

    name: str
    format: str
    texts: int
    kept: int
    translated: int
    left: dict[str, int]
    flags: dict[str, int]
    notices: list[str]
    flagged: list[TextRecord]
    untranslated: list[TextRecord]


@dataclass
class DocumentReport:
    """What was done with a document."""

    name: str
    format: str
    texts: int  # units with a source in these languages
    kept: int  # translated before
    left: list[Left] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    translated: list[TranslatedText] = field(default_factory=list)

    @property
    def reasons(self) -> Counter[str]:
        """How many texts were left, by reason."""
        return Counter(each.reason for each in self.left)

    @property
    def flags(self) -> Counter[str]:
        """How many translations have each flag."""
        return Counter(flag for each in self.translated for flag in each.flags)

    def record(self) -> DocumentRecord:
        """Return plain data for JSON."""
        flagged = [_text_record(each, list(each.flags), each.confidence, "") for each in self.translated if each.flags]
        untranslated = [_text_record(each, [], None, each.reason) for each in self.left]
        return DocumentRecord(
            name=self.name,
            format=self.format,
            texts=self.texts,
            kept=self.kept,
            translated=len(self.translated),
            left=dict(self.reasons),
            flags=dict(self.flags),
            notices=self.notices,
            flagged=flagged,
            untranslated=untranslated,
        )


def _text_record(text: TranslatedText | Left, flags: list[str], confidence: float | None, reason: str) -> TextRecord:
    return TextRecord(
        key=text.key,
        line=text.line,
        source=text.source,
        text=text.text,
        flags=flags,
        confidence=confidence,
        reason=reason,
    )


def report_table(reports: Sequence[DocumentReport]) -> list[str]:
    """Return the lines of a table with a row per document, and a last row with the sums of several."""
    flags = [str(flag) for flag in Flag if any(each.flags[flag] for each in reports)]
    rows = [["document", "format", "texts", "translated", "kept", "left", *flags]]
    for each in reports:
        counts = [each.texts, len(each.translated), each.kept, len(each.left), *(each.flags[flag] for flag in flags)]
        rows.append([each.name, each.format, *(f"{count:,}" for count in counts)])
    if len(reports) > 1:
        sums = [
            sum(each.texts for each in reports),
            sum(len(each.translated) for each in reports),
            sum(each.kept for each in reports),
            sum(len(each.left) for each in reports),
            *(sum(each.flags[flag] for each in reports) for flag in flags),
        ]
        rows.append([f"{len(reports):,} documents", "", *(f"{count:,}" for count in sums)])
    return table(rows, right=range(2, len(rows[0])))
