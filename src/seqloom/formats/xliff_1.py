"""Units of XLIFF 1.2, including the dialects of SDL Trados, memoQ, MateCat, Okapi and Phrase."""

from collections.abc import Iterator, Sequence
from functools import partial

from seqloom.formats.inline import How, Rules
from seqloom.formats.pieces import Flag, Frame, Piece, Skip
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
from seqloom.formats.xliff_states import sdl_flags, state_flags, unit_flags
from seqloom.formats.xml import Element, Tree, attribute, filled, local

_HOW: dict[str, How] = {
    "bpt": "open", "bx": "open", "ept": "close", "ex": "close", "g": "around", "it": "alone",
    "note": "without", "ph": "alone", "sub": "without", "x": "alone",
}  # fmt: skip


def read_unit_1(tree: Tree, place: Place) -> Iterator[Piece]:
    """Yield the pieces of a `trans-unit`."""
    root = tree.root
    source, target, cut = (next(root.elements(name), None) for name in ("source", "target", "seg-source"))
    if source is None:
        yield tree.cut(0, root.end)
        return
    place = place._replace(languages=languages(place, source, target))
    segmented = cut if cut is not None and any(_segments(cut)) else source
    segments = list(_segments(segmented))
    whole = target is None or not target.text().strip() or any(_segments(target))
    reader = _Reader(tree, place, source if cut is None else cut, target)
    if segments and whole:
        reader.segments(segmented, segments)
    else:
        reader.whole(source)
    yield from reader.parts.pieces()


class _Reader:
    """State while reading one unit."""

    def __init__(self, tree: Tree, place: Place, last: Element, target: Element | None) -> None:
        self.parts = Parts(tree)
        self._tree, self._place = tree, place
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
        texts = read_texts(tree, source, target, RULES, self._place.encoding)
        (before, after), raw = self._tags(source), "" if target is None else tree.cut(target.begin, target.end)
        put = partial(put_between, before=before, write=texts.write, after=after)
        unit = as_unit(texts, self._place, raw, put, source.line, self._flags)
        self.parts.add(self._last.end if target is None else target.begin, unit)

    def segments(self, around: Element, segments: list[Element]) -> None:
        """Read a unit whose source, and target if present, is segmented."""
        tree, target = self._tree, self._target
        translated = {} if target is None else {each.get("mid"): each for each in reversed(list(_segments(target)))}
        keys = tuple(f"{self._place.key}/{mid}" for mid in dict.fromkeys(each.get("mid") for each in segments))
        before, after = self._tags(around)
        anew = target is None or target.inner == target.end or not translated
        if target is not None and not anew:
            tag = tree.cut(target.begin, target.inner)
            if before != tag:
                self.parts.add(target.begin, Frame(tag, before, keys))
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
            texts = read_texts(tree, segment, other, RULES, self._place.encoding)
            place = self._place._replace(key=f"{self._place.key}/{mid}")
            flags = (*self._flags, *self._trados(mid))
            if anew and segment.inner < segment.end:
                # The new target copies the source's markup around translated segments.
                self.parts.add(at, Frame(raw, opening + tree.cut(end, segment.inner), keys))
                at, raw, opening, end = at + len(raw.encode()), "", "", segment.close
                self.parts.add(at, as_unit(texts, place, "", texts.write, segment.line, flags))
            elif other is not None:
                begin, own, tags = filled(tree, other)
                put = partial(put_between, before=tags[0], write=texts.write, after=tags[1])
                self.parts.add(begin, as_unit(texts, place, own, put, segment.line, flags))
            elif target is not None and not anew:
                opened = gap + tree.cut(segment.begin, segment.inner)
                closed = tree.cut(segment.close, segment.end)
                put = partial(put_between, before=opened, write=texts.write, after=closed)
                self.parts.add(target.close, as_unit(texts, place, "", put, segment.line, flags))
        if anew and not opening:
            self.parts.add(at, Frame(raw, tree.cut(end, around.close) + after, keys))
        for other in (each for each in translated.values() if each.text().strip()):
            self.parts.add(other.begin, Skip("", "no source", other.line, other.text()))

    def _tags(self, source: Element) -> tuple[str, str]:
        """The tags of the target to write."""
        tree, target = self._tree, self._target
        if target is None:
            before, after = target_tags(tree, source, self._place, "translated")
            return indent(tree, tree.root, self._last) + before, after
        _, _, (before, after) = filled(tree, target)
        if not before:
            before, after = tree.cut(target.begin, target.inner), tree.cut(target.close, target.end)
        if target.get("state"):
            before = attribute(attribute(before, "state", "translated"), "state-qualifier", None)
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


def _how(element: Element) -> How:
    if element.name != "mrk":
        return _HOW.get(element.name, "around")
    kind = element.get("mtype")
    if kind == "x-sdl-deleted":
        return "without"
    kept = kind == "protected" or any(
        local(name) == "translate" and value == "no" for name, value in element.attributes.items()
    )
    return "alone" if kept else "through"


RULES = Rules(
    _how,
    lambda element: element.get("rid", "id"),
    lambda element: (element.get("id"),) if element.get("id") else (),
    lambda element: spelled(element, "equiv-text"),
)
