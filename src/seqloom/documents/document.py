"""Translate one document in memory.

1. Read it, and choose the texts to translate: those without a translation, or whose translation has one of the flags
   to translate again (`selection`).
2. Turn each text into what the model gets, and the model's answer into a translation. Messages with plurals are
   translated branch by branch (`requests`). A translation that lost a placeholder is not used (`checks`).
3. Write the translations, read the result again and compare it with what was wanted (`verification`). A translation
   that does not come back as it was is left out.
"""

import gzip
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from seqloom.documents.report import DocumentReport, Left, TranslatedText
from seqloom.documents.requests import Request, request_for
from seqloom.documents.selection import Choice, choose, keep_earlier
from seqloom.documents.verification import faulty
from seqloom.errors import DocumentError
from seqloom.formats.catalogue import FORMATS, document_suffixes, format_of, translated
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Flag, Options, Piece, Unit
from seqloom.languages import Direction
from seqloom.translation.results import Result

Translate = Callable[[Sequence[str]], Sequence[Result]]
"""Returns the translation of each text, in order. The texts are distinct."""

_MOST_ATTEMPTS = 25  # at writing a document; each leaves out at least one translation
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class DocumentOptions:
    """How a document is read, and which of its texts are translated. Table options are as in params.yaml."""

    direction: Direction
    format: str | None = None  # None: by the document's name
    encoding: str | None = None  # None: as the document declares
    again: frozenset[Flag] = frozenset()  # translations with one of these flags are translated again
    earlier: bytes | None = None  # an earlier translation of a document in one language, whose texts are kept
    engine: str = "seqloom"  # written into comments, where the format has them
    source_column: int = 0
    target_column: int = 1
    quoting: bool = False
    header: bool = False
    delimiter: str | None = None  # None: a comma in CSV, a tab in TSV

    def reading(self, format: str) -> Options:
        """Return the options of the format's reader."""
        csv = format == "csv"
        return Options(
            self.direction,
            self.source_column,
            self.target_column,
            self.quoting or csv,
            self.header,
            self.delimiter or ("," if csv else "\t"),
            self.engine,
        )


class TranslatedDocument(NamedTuple):
    """A document with translations, and what was done."""

    content: bytes
    report: DocumentReport


def translate_document(content: bytes, name: str, translate: Translate, options: DocumentOptions) -> TranslatedDocument:
    """Translate a document. Its `name` selects the format unless `options` do, and is part of error messages.

    A gzipped document stays gzipped. If nothing is translated, the content is returned as it was.

    Raises:
        DocumentError: the format is unknown, the document's languages are others, or it cannot be written.
        FormatError: the document is broken; the message names the line.
    """
    document = _Document(content, name, format_for(name, options.format), options)
    choice = choose(document.pieces(content), document.bilingual, options.direction, options.again)
    if options.earlier is not None:
        if document.bilingual or FORMATS[document.format].ordered:
            raise DocumentError(
                f"{name}: texts of {document.format} have no keys by which an earlier translation is kept"
            )
        keep_earlier(choice, document.pieces(options.earlier), name)
    if choice.declared and not choice.texts and not choice.kept:
        raise DocumentError(
            f"{name}: has no texts from {' to '.join(options.direction)}; it declares {', '.join(choice.declared)}"
        )
    report = DocumentReport(name, document.format, choice.texts, choice.kept, list(choice.left), choice.notices)
    found = _translations(choice, document.format, translate, report)
    written = document.write(choice.earlier | {key: each.text for key, each in found.items()}, report)
    report.translated = [each for key, each in found.items() if key in written.keys]
    return TranslatedDocument(written.content, report)


def format_for(name: str, format: str | None = None) -> str:
    """Return the format that is given, else the one that the name suggests. Raises `DocumentError` if there is none."""
    found = format or format_of(name)
    writable = [each for each, known in FORMATS.items() if not known.read_only]
    if found is None:
        raise DocumentError(
            f"{name}: the format cannot be told from the name; name it (valid are {', '.join(writable)}), or rename "
            f"the file; known suffixes are {' '.join(document_suffixes())}"
        )
    if found not in FORMATS:
        raise DocumentError(f"{name}: {found!r} is not a format; valid are {', '.join(writable)}")
    if found not in writable:
        raise DocumentError(
            f"{name}: translations cannot be written into {found}: convert the file, for example to TSV"
        )
    return found


class _Written(NamedTuple):
    content: bytes
    keys: frozenset[str]  # of the units whose translations are in it


class _Document:
    """A document and how to read it."""

    def __init__(self, content: bytes, name: str, format: str, options: DocumentOptions) -> None:
        self.format, self.bilingual = format, FORMATS[format].bilingual
        self._content, self._name = content, name
        self._encoding, self._options = options.encoding, options.reading(format)

    def pieces(self, content: bytes) -> Iterator[Piece]:
        """Yield the pieces of this content."""
        return FORMATS[self.format].read(self._open(content), self._options)

    def write(self, translations: dict[str, str], report: DocumentReport) -> _Written:
        """Write translations, leaving out those that do not read back; these are added to the report."""
        self._drop_unencodable(translations, report)
        for _ in range(_MOST_ATTEMPTS):
            if not translations:
                return _Written(self._content, frozenset())
            written = self._written(translations)
            again = faulty(self.pieces(self._content), self.pieces(written), translations, self.bilingual)
            if not again:
                return _Written(written, frozenset(translations))
            for unit in again:
                text = translations.pop(unit.key)
                report.left.append(Left("not writable", unit.key, unit.line, unit.source, text))
        raise DocumentError(f"{self._name}: the document does not keep its structure when translations are written")

    def _drop_unencodable(self, translations: dict[str, str], report: DocumentReport) -> None:
        """Leave out translations with characters that neither the encoding nor the format's escapes have."""
        file = self._open(self._content)
        if file.encoding.startswith("utf") or file.binary:
            return
        for piece in self.pieces(self._content):
            if isinstance(piece, Unit) and piece.key in translations:
                text = translations[piece.key]
                try:
                    piece.put(text).encode(file.encoding)
                except UnicodeEncodeError:
                    del translations[piece.key]
                    report.left.append(Left(f"not in {file.encoding}", piece.key, piece.line, piece.source, text))

    def _written(self, translations: Mapping[str, str]) -> bytes:
        file = self._open(self._content)
        content = b"".join(file.encode(translated(self.format, file, self._options, translations)))
        return gzip.compress(content, mtime=0) if self._content.startswith(_GZIP) else content

    def _open(self, content: bytes) -> TextFile:
        return TextFile(io.BytesIO(content), self._name, self._encoding, FORMATS[self.format].declared)


def _translations(
    choice: Choice, format: str, translate: Translate, report: DocumentReport
) -> dict[str, TranslatedText]:
    """Return the usable translations by the key of their unit; what cannot be translated is added to the report."""
    requests: list[tuple[Unit, Request]] = []
    for unit in choice.units:
        request = request_for(unit.source, format)
        if request is None:
            report.left.append(Left("message format", unit.key, unit.line, unit.source))
        else:
            requests.append((unit, request))
    texts = list(dict.fromkeys(text for _, request in requests for text in request.texts))
    results = dict(zip(texts, translate(texts) if texts else (), strict=True))
    found = {}
    for unit, request in requests:
        answer = request.answer([results[text] for text in request.texts])
        if answer.fault:
            report.left.append(Left(answer.fault, unit.key, unit.line, unit.source, answer.text))
        else:
            flags = tuple(map(str, answer.flags))
            found[unit.key] = TranslatedText(unit.key, unit.line, unit.source, answer.text, flags, answer.confidence)
    return found
