"""Units of XLIFF 2.0 and 2.1."""

from collections.abc import Iterator
from functools import partial

from seqloom.formats.inline import How, Rules, is_plain
from seqloom.formats.pieces import Frame, Piece
from seqloom.formats.xliff_parts import (
    Parts,
    Place,
    as_unit,
    indent,
    languages,
    put_between,
    read_texts,
    spelled,
    target_tags,
)
from seqloom.formats.xliff_states import state_flags
from seqloom.formats.xml import Element, Tree, attribute, filled

_HOW: dict[str, How] = {
    "cp": "alone", "ec": "close", "em": "without", "mrk": "through", "pc": "around", "ph": "alone", "sc": "open",
    "sm": "without",
}  # fmt: skip


def read_unit_2(tree: Tree, place: Place) -> Iterator[Piece]:
    """Yield the pieces of a `unit`."""
    parts = Parts(tree)
    data = {
        each.get("id"): each.text() for kept in tree.root.elements("originalData") for each in kept.elements("data")
    }
    rules = Rules(_how, _pair, _keys, partial(_spelling, data=data))
    for number, segment in enumerate(tree.root.elements("segment"), 1):
        source, target = (next(segment.elements(name), None) for name in ("source", "target"))
        if source is None:
            continue
        key = f"{place.key}/{number}:{segment.get('id')}"
        here = place._replace(key=key, languages=languages(place, source, target))
        texts = read_texts(tree, source, target, rules, place.encoding)
        flags = tuple(state_flags(segment.get("state"), segment.get("subState"), ""))
        if segment.get("state") == "initial":
            tag = tree.cut(segment.begin, segment.inner)
            changed = attribute(attribute(tag, "state", "translated"), "subState", None)
            parts.add(segment.begin, Frame(tag, changed, (key,)))
        if target is None:
            begin, raw = source.end, ""
            before, after = target_tags(tree, source, here, None)
            before = indent(tree, segment, source) + before
        else:
            begin, raw, (before, after) = filled(tree, target)
        put = partial(put_between, before=before, write=texts.write, after=after)
        parts.add(begin, as_unit(texts, here, raw, put, source.line, flags))
    yield from parts.pieces()


def _how(element: Element) -> How:
    if element.name == "mrk" and element.get("translate") == "no":
        return "alone"
    return _HOW.get(element.name, "around")


def _pair(element: Element) -> str:
    return element.get("startRef", "id") if element.name == "ec" else element.get("id")


def _keys(element: Element) -> tuple[str, ...]:
    return (element.get("id"),) if element.get("id") else ()


def _spelling(element: Element, data: dict[str, str]) -> str:
    if element.name == "pc":
        return ""
    original = data.get(element.get("dataRef"), "")
    return spelled(element, "equiv", "disp") or (original if is_plain(original) else "")
