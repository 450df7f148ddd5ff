"""The format `tmx` (Translation Memory eXchange 1.4): units with the same text in several languages.

Any language of a unit can be the source. An exact match is preferred to a regional variant: `en` to `en-GB`. Each
additional variant of the target language is a separate pair with the first source. Additional source variants, and
units that lack one of the languages, are skipped and counted.

Native codes (`bpt`, `ept`, `it`, `ph`, `ut`) become placeholders (see `seqloom.formats.inline`); a `ph` that contains a
plain placeholder such as `{0}` is shown as that. The text of `hi` is read without its tags. Subflows (`sub`) remain
part of their code.

Flags: `machine` if a translation was last changed by `MT!` (`changeid`, else `creationid`), the usual name for a
translation engine, or if a `prop` of type x-mt or x-origin says so; `draft` and `rejected` by Trados'
`x-ConfirmationLevel`.

With `Options.engine`, a unit without the target language gets a variant of it, and `changeid` of a translated variant
becomes `MT!`.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from seqloom.errors import FormatError
from seqloom.formats.encoding import TextFile
from seqloom.formats.inline import Code, InlineRules, Role, codes, is_plain, label, put_codes, read_content, shown
from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import ConditionalText, Flag, Options, Piece, Skip, Unit
from seqloom.formats.xml import Element, End, Start, Tree, attribute, escape, filled, read_xml

_ROLES: dict[str, Role] = {
    "bpt": "open", "ept": "close", "hi": "transparent", "it": "standalone", "ph": "standalone", "sub": "ignored",
    "ut": "standalone"
}  # fmt: skip
_NO = ("", "0", "false", "no")
_ENGINE = "MT!"


def read_tmx(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every pair of variants; its key is the number of its `tu`, with `.2` for the second pair.

    Raises:
        FormatError: the file is not TMX, or a `tuv` has no language.
    """
    number = 0
    for event in read_xml(file, "tmx", {"tu"}):
        match event:
            case Tree():
                number += 1
                yield from _read_unit(event, number, file, options)
            case Start() | End():
                yield event.raw
            case raw:
                yield raw


class _Variant(NamedTuple):
    language: str
    element: Element  # the <tuv>
    seg: Element | None


def _read_unit(tree: Tree, number: int, file: TextFile, options: Options) -> Iterator[Piece]:
    root = tree.root
    variants = []
    for element in root.elements("tuv"):
        language = element.get("xml:lang", "lang")
        if not language:
            raise FormatError(f"{file.where}: line {element.line}: a <tuv> has no language: add xml:lang")
        variants.append(_Variant(language, element, next(element.elements("seg"), None)))
    sources, targets, others = _chosen(variants, options)
    if sources and not targets and options.engine and sources[0].seg is not None:
        yield from _anew(tree, sources[0], variants[-1].element, number, file, options)
        return
    if not sources or not targets:
        languages = ", ".join(dict.fromkeys(variant.language for variant in variants))
        yield Skip(tree.cut(0, root.end), "other languages", root.line, languages)
        return
    for variant in (*sources[1:], *others):
        text = "" if variant.seg is None else shown(_labelled(tree, variant.seg))
        yield Skip("", "another variant", variant.element.line, text)
    place = 0
    for count, target in enumerate(targets, 1):
        key = f"{number}.{count}" if count > 1 else f"{number}"
        begin, unit = _pair(tree, sources[0], target, key, file, bool(options.engine))
        if options.engine:
            tag = tree.cut(target.element.begin, target.element.inner)
            yield tree.cut(place, target.element.begin)
            if target.element.inner <= begin:
                yield ConditionalText(tag, attribute(tag, "changeid", _ENGINE), (key,))
                place = target.element.inner
            else:  # an empty tag, which the unit replaces
                place = target.element.begin
        yield tree.cut(place, begin)
        yield unit
        place = begin + len(unit.raw.encode())
    yield tree.cut(place, root.end)


def _anew(
    tree: Tree, source: _Variant, last: Element, number: int, file: TextFile, options: Options
) -> Iterator[Piece]:
    """Yield a unit that adds a variant of the target language after the last one, laid out like the first source."""
    content = [] if source.seg is None else _labelled(tree, source.seg)
    name = re.split(r"[\s/>]", tree.cut(last.begin, last.inner)[1:], maxsplit=1)[0]
    before = tree.cut(max((each.end for each in tree.root.elements() if each.end <= last.begin), default=0), last.begin)
    tag = f'<{name} xml:lang="{options.direction.target}" changeid="{_ENGINE}"><{name[:-3]}seg>'
    around = ((before if before.isspace() else "") + tag, f"</{name[:-3]}seg></{name}>")
    write = partial(put_codes, own=codes(content), further=(), escape=partial(escape, encoding=file.encoding))
    languages = (source.language, options.direction.target)
    yield tree.cut(0, last.end)
    yield Unit(
        "", f"{number}", shown(content), None, source.element.line, partial(_put, write=write, around=around), languages
    )
    yield tree.cut(last.end, tree.root.end)


def _chosen(variants: list[_Variant], options: Options) -> tuple[list[_Variant], list[_Variant], list[_Variant]]:
    """Return the source variants, the target variants in document order, and the regional variants not needed."""
    sides: list[list[_Variant]] = []
    for wanted, other in (options.direction, options.direction[::-1]):
        found = [
            each
            for each in variants
            if matches(each.language, wanted)
            and not (_same(each.language, other) or (matches(each.language, other) and len(other) > len(wanted)))
        ]
        sides.append(found)
    others: list[_Variant] = []
    for side, wanted in enumerate(options.direction):
        exact = [each for each in sides[side] if _same(each.language, wanted)]
        if exact:
            others += [each for each in sides[side] if each not in exact]
            sides[side] = exact
    return sides[0], sides[1], others


def _same(language: str, wanted: str) -> bool:
    return language.replace("_", "-").lower() == wanted.lower()


def _pair(
    tree: Tree, source: _Variant, target: _Variant, key: str, file: TextFile, by_machine: bool
) -> tuple[int, Unit]:
    left = [] if source.seg is None else read_content(tree, source.seg, RULES)
    right = None if target.seg is None else read_content(tree, target.seg, RULES)
    further = label(left, right)
    write = partial(put_codes, own=codes(left), further=further, escape=partial(escape, encoding=file.encoding))
    if target.seg is None:
        begin, raw, around = filled(tree, target.element, append=True)
        opening = attribute(around[0], "changeid", _ENGINE) if around[0] and by_machine else around[0]
        around = (f"{opening}<seg>", f"</seg>{around[1]}")
    else:
        begin, raw, around = filled(tree, target.seg)
    text = None if right is None else shown(right)
    unit = Unit(
        raw,
        key,
        shown(left),
        text if text and text.strip() else None,
        target.element.line,
        partial(_put, write=write, around=around),
        (source.language, target.language),
        flags=tuple(_flags(tree.root, target.element)),
    )
    return begin, unit


def _put(translation: str, write: Callable[[str], str], around: tuple[str, str]) -> str:
    return around[0] + write(translation) + around[1]


def _labelled(tree: Tree, seg: Element) -> list[str | Code]:
    content = read_content(tree, seg, RULES)
    label(content)
    return content


def _flags(unit: Element, variant: Element) -> Iterator[Flag]:
    said = {
        prop.get("type").lower(): prop.text().strip().lower()
        for each in (unit, variant)
        for prop in each.elements("prop")
    }
    level = said.get("x-confirmationlevel", "")
    if level == "draft":
        yield "draft"
    if level.startswith("rejected"):
        yield "rejected"
    person = variant.get("changeid", "creationid") or unit.get("changeid", "creationid")
    by_props = said.get("x-mt", "") not in _NO or said.get("x-origin", "") in ("mt", "nmt", "amt", "machinetranslation")
    if by_props or person.lower() in ("mt", "mt!"):
        yield "machine"


def _keys(element: Element) -> tuple[str, ...]:
    return tuple(f"{name}={element.attributes[name]}" for name in ("x", "i") if element.attributes.get(name))


def _spelling(element: Element) -> str:
    text = "".join(each for each in element.children if isinstance(each, str)).strip()
    return text if element.name == "ph" and is_plain(text) else ""


RULES = InlineRules(
    lambda element: _ROLES.get(element.name, "paired"), lambda element: element.get("i"), _keys, _spelling
)
