"""Units of XLIFF 1.2, including the dialects of SDL Trados, memoQ, MateCat, Okapi and Phrase."""

from collections.abc import Iterator, Sequence

from seqloom.formats.inline import InlineRules, Role
from seqloom.formats.pieces import ConditionalText, Flag, Piece, Skip
from seqloom.formats.xliff_parts import Parts, UnitContext, languages, new_target, read_texts, spelled
from seqloom.formats.xliff_states import machine_segment, machine_unit, sdl_flags, state_flags, unit_flags
from seqloom.formats.xml import Element, Tree, attribute, filled, local

_ROLES: dict[str, Role] = {
    "bpt": "open", "bx": "open", "ept": "close", "ex": "close", "g": "paired", "it": "standalone",
    "note": "ignored", "ph": "standalone", "sub": "ignored", "x": "standalone",
}  # fmt: skip


def read_unit_1(tree: Tree, context: UnitContext) -> Iterator[Piece]:
    """Yield the pieces of a `trans-unit`."""
    root = tree.root
    source, target, cut = (next(root.elements(name), None) for name in ("source", "target", "seg-source"))
    if source is None:
        yield tree.cut(0, root.end)
        return
    context = context._replace(languages=languages(context, source, target))
    segmented = cut if cut is not None and any(_segments(cut)) else source
    segments = list(_segments(segmented))
    whole = target is None or not target.text().strip() or any(_segments(target))
    reader = _Reader(tree, context, source if cut is None else cut, target)
    if segments and whole:
        reader.segments(segmented, segments)
    else:
        reader.whole(source)
    yield from reader.parts.pieces()


class _Reader:
    """State while reading one unit."""

    def __init__(self, tree: Tree, context: UnitContext, last: Element, target: Element | None) -> None:
        self.parts = Parts(tree)
        self._tree, self._context = tree, context
        self._last, self._target = last, target  # a missing target is inserted after `last`
        state = "" if target is None else target.get("state")
        qualifier = "" if target is None else target.get("state-qualifier")
        self._flags: Sequence[Flag] = (
            *state_flags(state, qualifier, tree.root.get("approved")),
            *unit_flags(tree.root),
        )

    def whole(self, source: Element) -> None:
        """Read an unsegmented unit."""
        tree, target = self._tree, self._target
        texts = read_texts(tree, source, target, RULES, self._context.encoding)
        raw = "" if target is None else tree.cut(target.begin, target.end)
        unit = texts.unit(self._context, raw, self._tags(source), source.line, self._flags)
        self.parts.add(self._last.end if target is None else target.begin, unit)
        self._mark((unit.key,))

    def segments(self, around: Element, segments: list[Element]) -> None:
        """Read a unit whose source, and target if present, is segmented."""
        tree, target = self._tree, self._target
        translated = {} if target is None else {each.get("mid"): each for each in reversed(list(_segments(target)))}
        keys = tuple(f"{self._context.key}/{mid}" for mid in dict.fromkeys(each.get("mid") for each in segments))
        self._mark(keys)
        before, after = self._tags(around)
        anew = target is None or target.inner == target.end or not translated
        if target is not None and not anew:
            tag = tree.cut(target.begin, target.inner)
            if before != tag:
                self.parts.add(target.begin, ConditionalText(tag, before, keys))
        end, at, raw = around.inner, self._last.end, ""
        if target is not None:
            at, raw = target.begin, tree.cut(target.begin, target.end)
        opening, seen, last = before, set[str](), around.inner
        for segment in segments:
            mid, gap = segment.get("mid"), tree.cut(last, segment.begin)
            gap, last = gap if gap.isspace() else "", segment.end
            if mid in seen:
                self.parts.add(at, Skip("", "duplicate segment id", segment.line, segment.text()))
                continue
            seen.add(mid)
            other = translated.pop(mid, None)
            texts = read_texts(tree, segment, other, RULES, self._context.encoding)
            context = self._context._replace(key=f"{self._context.key}/{mid}")
            flags = (*self._flags, *self._trados(mid))
            if anew and segment.inner < segment.end:
                # The new target copies the source's markup around translated segments.
                self.parts.add(at, ConditionalText(raw, opening + tree.cut(end, segment.inner), keys))
                at, raw, opening, end = at + len(raw.encode()), "", "", segment.close
                self.parts.add(at, texts.unit(context, "", ("", ""), segment.line, flags))
            elif other is not None:
                begin, own, tags = filled(tree, other)
                self.parts.add(begin, texts.unit(context, own, tags, segment.line, flags))
            elif target is not None and not anew:
                tags = gap + tree.cut(segment.begin, segment.inner), tree.cut(segment.close, segment.end)
                self.parts.add(target.close, texts.unit(context, "", tags, segment.line, flags))
        if anew and not opening:
            self.parts.add(at, ConditionalText(raw, tree.cut(end, around.close) + after, keys))
        for other in (each for each in translated.values() if each.text().strip()):
            self.parts.add(other.begin, Skip("", "no source", other.line, other.text()))

    def _mark(self, keys: tuple[str, ...]) -> None:
        """Mark what is outside the target: the unit, and its segments in Trados."""
        if not self._context.by_machine:
            return
        tree, root = self._tree, self._tree.root
        tag = tree.cut(0, root.inner)
        self.parts.add(0, ConditionalText(tag, machine_unit(tag, root), keys))
        for definitions in root.elements("seg-defs"):
            for seg in definitions.elements("seg"):
                key = f"{self._context.key}/{seg.get('id')}"
                tag = tree.cut(seg.begin, seg.inner)
                if key in keys:
                    self.parts.add(seg.begin, ConditionalText(tag, machine_segment(tag), (key,)))

    def _tags(self, source: Element) -> tuple[str, str]:
        """The tags of the target to write."""
        tree, target, by_machine = self._tree, self._target, self._context.by_machine
        state = "needs-review-translation" if by_machine else "translated"
        qualifier = "mt-suggestion" if by_machine else None
        if target is None:
            before, after = new_target(tree, tree.root, self._last, source, self._context, state)
            return (attribute(before, "state-qualifier", qualifier), after) if by_machine else (before, after)
        _, _, (before, after) = filled(tree, target)
        if not before:
            before, after = tree.cut(target.begin, target.inner), tree.cut(target.close, target.end)
        if target.get("state") or by_machine:
            # With segments of people beside those of the machine, only the state speaks for all.
            mixed = any(each.text().strip() for each in _segments(target))
            before = attribute(attribute(before, "state", state), "state-qualifier", None if mixed else qualifier)
        return before, after

    def _trados(self, mid: str) -> Iterator[Flag]:
        for definitions in self._tree.root.elements("seg-defs"):
            for seg in definitions.elements("seg"):
                if seg.get("id") == mid:
                    yield from sdl_flags(seg)


def _segments(element: Element) -> Iterator[Element]:
    """Yield the segment marks within an element, in document order."""
    for each in element.elements():
        if each.name == "mrk" and each.get("mtype") == "seg":
            yield each
        else:
            yield from _segments(each)


def _role(element: Element) -> Role:
    if element.name != "mrk":
        return _ROLES.get(element.name, "paired")
    kind = element.get("mtype")
    if kind == "x-sdl-deleted":
        return "ignored"
    kept = kind == "protected" or any(
        local(name) == "translate" and value == "no" for name, value in element.attributes.items()
    )
    return "standalone" if kept else "transparent"


RULES = InlineRules(
    _role,
    lambda element: element.get("rid", "id"),
    lambda element: (element.get("id"),) if element.get("id") else (),
    lambda element: spelled(element, "equiv-text"),
)
