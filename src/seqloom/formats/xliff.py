"""The format `xliff` (1.2, 2.0 and 2.1): documents that are translated from one language to another.

A unit that is cut into segments gives a pair for each: a segment of the source and that of the target with its `mid`
(1.2) or in the same `segment` (2). Whole units are never paired with segments. A part without translation is a unit
without target, and gets one by `put`. Alternatives (`alt-trans`, matches), notes and subflows are no texts.

Inline elements are placeholders (see `seqloom.formats.inline`); one is read as what it stands for if the file says so
by `equiv-text`, `equiv`, `disp` or `dataRef` in the form of a placeholder: `{0}`, `%s`, `<br/>`. Marks (`mrk`) are read
as the text in them, but one that is protected is a placeholder, and one that Trados marks as deleted is left out.

What the file says about a translation becomes flags: see `seqloom.formats.xliff_states`. `translate="no"` is the flag
`untranslatable`. A language is that of the text (`xml:lang`), else of its file. A file that names no target
language is read as the one that is wanted, which is noticed.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Notice, Options, Piece
from seqloom.formats.xliff_1 import read_unit_1
from seqloom.formats.xliff_2 import read_unit_2
from seqloom.formats.xliff_parts import Place
from seqloom.formats.xml import Element, End, Start, Tree, read_xml


def read_xliff(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every segment; its key holds the number and the id of its unit, and the id of the segment.

    Raises:
        FormatError: it is no XLIFF.
    """
    scopes = [_Scope("", "", "", translate=True)]
    number, version, told = 0, "", False
    for event in read_xml(file, "xliff", {"trans-unit", "unit"}):
        match event:
            case Start(name, attributes, _, raw):
                version = version or attributes.get("version", "1" if name == "xliff" else "")
                scopes.append(scopes[-1].within(name, attributes))
                yield raw
            case End(_, raw):
                scopes.pop()
                yield raw
            case Tree(root):
                scope = scopes[-1]
                if not scope.target and not _own_language(root) and not told:
                    told = True
                    yield Notice(
                        root.line,
                        f"names no target language; it is read as {options.direction.target}. If it is another, set "
                        "`direction` of this corpus (corpora.NAME.direction)",
                    )
                number += 1
                unit = read_unit_2 if version.startswith("2") else read_unit_1
                own = root.attributes.get("translate", "yes" if scope.translate else "no")
                place = Place(
                    f"{number}:{root.get('id')}",
                    (scope.source, scope.target),
                    scope.document,
                    own == "no",
                    file.encoding,
                    options.direction.target,
                )
                yield from unit(event, place)
            case raw:
                yield raw


class _Scope(NamedTuple):
    """What holds for the units within an element."""

    source: str
    target: str
    document: str
    translate: bool

    def within(self, name: str, attributes: Mapping[str, str]) -> "_Scope":
        if name not in ("xliff", "file", "group"):
            return self
        document = self.document
        if name == "file":
            document = attributes.get("original") or attributes.get("id") or ""
        translate = attributes.get("translate")
        return _Scope(
            attributes.get("srcLang") or attributes.get("source-language") or self.source,
            attributes.get("trgLang") or attributes.get("target-language") or self.target,
            document,
            self.translate if translate is None else translate != "no",
        )


def _own_language(element: Element) -> bool:
    """Whether a target within says its language."""
    return any(
        (each.name == "target" and bool(each.get("xml:lang"))) or (each.name == "segment" and _own_language(each))
        for each in element.elements()
    )
