"""The format `xliff` (versions 1.2, 2.0 and 2.1): documents translated from one language to another.

A segmented unit gives one pair per segment: source and target segments with the same `mid` (1.2), or in the same
`segment` (2.x). Whole units are never paired with segments. An untranslated segment is a unit without a target; `put`
adds one. Alternatives (`alt-trans`, matches), notes and subflows are not read.

Inline elements become placeholders (see `seqloom.formats.inline`). An element is shown as its `equiv-text`, `equiv`,
`disp` or `dataRef` if that is itself a placeholder: `{0}`, `%s`, `<br/>`. Marks (`mrk`) are replaced by their text,
except that protected ones are placeholders and those that Trados marks as deleted are dropped.

`seqloom.formats.xliff_states` turns states into flags; `translate="no"` is the flag `untranslatable`. A text's
language is its `xml:lang`, else that of its file. A file that declares no target language is read as the wanted one,
with a notice.

With `Options.engine`, a translation becomes `needs-review-translation` with the qualifier `mt-suggestion` (1.2), or
`translated` with the subState `seqloom:mt` (2.x). Trados, memoQ and Phrase get their own marks too. A missing target
language is written where the version has it.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Declaration, Notice, Options, Piece
from seqloom.formats.xliff_1 import read_unit_1
from seqloom.formats.xliff_2 import read_unit_2
from seqloom.formats.xliff_parts import UnitContext
from seqloom.formats.xml import Element, End, Start, Tree, attribute, read_xml


def read_xliff(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every segment; its key consists of the unit's number and id and the segment's id.

    Raises:
        FormatError: the file is not XLIFF.
    """
    scopes = [_Scope("", "", "", translate=True)]
    number, version, told = 0, "", False
    for event in read_xml(file, "xliff", {"trans-unit", "unit"}):
        match event:
            case Start(name, attributes, _, raw):
                version = version or attributes.get("version", "1" if name == "xliff" else "")
                scopes.append(scopes[-1].within(name, attributes))
                declares = "xliff" if version.startswith("2") else "file"
                if options.engine and name == declares and not scopes[-1].target:
                    scopes[-1] = scopes[-1]._replace(target=options.direction.target)
                    wanted = "trgLang" if declares == "xliff" else "target-language"
                    yield Declaration(raw, attribute(raw, wanted, options.direction.target))
                else:
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
                        f"declares no target language and is read as {options.direction.target}; if that is wrong, set "
                        "corpora.NAME.direction",
                    )
                number += 1
                unit = read_unit_2 if version.startswith("2") else read_unit_1
                own = root.attributes.get("translate", "yes" if scope.translate else "no")
                context = UnitContext(
                    f"{number}:{root.get('id')}",
                    (scope.source, scope.target),
                    scope.document,
                    own == "no",
                    file.encoding,
                    options.direction.target,
                    bool(options.engine),
                )
                yield from unit(event, context)
            case raw:
                yield raw


class _Scope(NamedTuple):
    """Attributes that units inherit from the elements around them."""

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
    """Whether a target inside the element declares its language."""
    return any(
        (each.name == "target" and bool(each.get("xml:lang"))) or (each.name == "segment" and _own_language(each))
        for each in element.elements()
    )
