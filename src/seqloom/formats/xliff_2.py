"""Units of XLIFF 2.0 and 2.1."""

from collections.abc import Iterator
from functools import partial

from seqloom.formats.inline import InlineRules, Role, is_plain
from seqloom.formats.pieces import ConditionalText, Piece
from seqloom.formats.xliff_parts import Parts, UnitContext, languages, new_target, read_texts, spelled
from seqloom.formats.xliff_states import state_flags
from seqloom.formats.xml import Element, Tree, attribute, filled

_ROLES: dict[str, Role] = {
    "cp": "standalone", "ec": "close", "em": "ignored", "mrk": "transparent", "pc": "paired", "ph": "standalone",
    "sc": "open", "sm": "ignored",
}  # fmt: skip


def read_unit_2(tree: Tree, context: UnitContext) -> Iterator[Piece]:
    """Yield the pieces of a `unit`."""
    parts = Parts(tree)
    data = {
        each.get("id"): each.text() for kept in tree.root.elements("originalData") for each in kept.elements("data")
    }
    rules = InlineRules(_role, _pair, _keys, partial(_spelling, data=data))
    for number, segment in enumerate(tree.root.elements("segment"), 1):
        source, target = (next(segment.elements(name), None) for name in ("source", "target"))
        if source is None:
            continue
        key = f"{context.key}/{number}:{segment.get('id')}"
        here = context._replace(key=key, languages=languages(context, source, target))
        texts = read_texts(tree, source, target, rules, context.encoding)
        flags = tuple(state_flags(segment.get("state"), segment.get("subState"), ""))
        if segment.get("state") == "initial" or context.by_machine:
            tag = tree.cut(segment.begin, segment.inner)
            made_by = "seqloom:mt" if context.by_machine else None
            changed = attribute(attribute(tag, "state", "translated"), "subState", made_by)
            parts.add(segment.begin, ConditionalText(tag, changed, (key,)))
        if target is None:
            begin, raw, tags = source.end, "", new_target(tree, segment, source, source, here, None)
        else:
            begin, raw, tags = filled(tree, target)
        parts.add(begin, texts.unit(here, raw, tags, source.line, flags))
    yield from parts.pieces()


def _role(element: Element) -> Role:
    if element.name == "mrk" and element.get("translate") == "no":
        return "standalone"
    return _ROLES.get(element.name, "paired")


def _pair(element: Element) -> str:
    return element.get("startRef", "id") if element.name == "ec" else element.get("id")


def _keys(element: Element) -> tuple[str, ...]:
    return (element.get("id"),) if element.get("id") else ()


def _spelling(element: Element, data: dict[str, str]) -> str:
    if element.name == "pc":
        return ""
    original = data.get(element.get("dataRef"), "")
    return spelled(element, "equiv", "disp") or (original if is_plain(original) else "")
