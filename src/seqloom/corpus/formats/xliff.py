"""The format `xliff` (1.2 and 2.0): files to be translated from one language to another, unit by unit.

Units without translation, or whose state says that there is none yet, are left out, as are alternatives and subflows.
An inline element is written as what it stands for where the file says so (`equiv-text`, `equiv`, `disp`), else as its
own text, else as a tag: it is the same placeholder on both sides.
"""

from collections.abc import Iterator, Mapping

from seqloom.corpus.formats.markup import End, Start, chosen, is_language, read_events
from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.members import Members
from seqloom.errors import FormatError
from seqloom.languages import Direction

_UNITS = ("trans-unit", "segment")
_SIDES = ("source", "target")
_ALIKE = ("equiv-text", "equiv", "disp")
_CODES = ("x", "bx", "ex", "ph", "sc", "ec", "bpt", "ept", "it")
_HIDDEN = ("alt-trans", "ignorable", "note", "sub")
_UNFINISHED = ("new", "needs-translation", "needs-l10n", "needs-adaptation", "initial")


def read_xliff(members: Members, pattern: str | None, direction: Direction) -> Iterator[RawPair]:
    """Yield the translated units of every file that the pattern matches, or of the only file where it is None.

    `{lang}` in the pattern is the target language. Without `{group}` in it, the group is the document that a unit is
    of. Files of other languages than those of the direction are passed over.

    Raises:
        FormatError: a file is no XLIFF, none matches, or none is of these languages.
    """
    there: dict[str, None] = {}
    found = False
    for name, group in chosen(members, pattern, direction.target):
        reader = _Reader(f"{members.place}: {name}")
        for event in read_events(members, name):
            pair = reader.hear(event)
            if pair is not None:
                there[" to ".join(reader.languages)] = None
                if all(map(is_language, reader.languages, direction)):
                    found = True
                    yield RawPair(*pair, group or reader.document)
    if not found:
        seen = ", ".join(there) or "none"
        raise FormatError(f"{members.place}: holds no translation of {' to '.join(direction)}; it holds {seen}")


class _Reader:
    """What is known in the middle of a file: `hear` returns a pair where a unit ends that has one."""

    def __init__(self, where: str) -> None:
        self.languages, self.document = ["", ""], ""
        self._where, self._rooted = where, False
        self._texts: dict[str, str] = {}
        self._side: str | None = None
        self._parts: list[str] = []
        self._codes: list[tuple[int, str, bool]] = []  # parts before it, its tag, whether it is spelled already
        self._hidden, self._unfinished, self._in_unit = 0, False, False

    def hear(self, event: Start | End | str) -> tuple[str, str] | None:
        match event:
            case Start(tag, attributes, line):
                self._begin(tag, attributes, line)
            case End(tag):
                return self._end(tag)
            case text:
                spelled = any(code[2] for code in self._codes)
                if self._side is not None and not self._hidden and not spelled:
                    self._parts.append(text)
        return None

    def _begin(self, tag: str, attributes: Mapping[str, str], line: int) -> None:
        if not self._rooted and tag != "xliff":
            raise FormatError(f"{self._where}: line {line}: is no XLIFF: it begins with <{tag}>, not with <xliff>")
        self._rooted = True
        self._hidden += tag in _HIDDEN
        if tag in ("xliff", "file"):
            names = (("srcLang", "source-language"), ("trgLang", "target-language"))
            for side, (new, old) in enumerate(names):
                self.languages[side] = attributes.get(new) or attributes.get(old) or self.languages[side]
            self.document = attributes.get("original", "") if tag == "file" else ""
        elif tag in _UNITS:
            self._texts, self._in_unit = {}, True
            self._unfinished = attributes.get("state") in _UNFINISHED
        elif self._hidden or not self._in_unit:
            return
        elif tag in _SIDES:
            self._side, self._parts = tag, []
            self._unfinished |= tag == "target" and attributes.get("state") in _UNFINISHED
        elif self._side is not None and tag in _CODES:
            alike = next((attributes[name] for name in _ALIKE if attributes.get(name)), None)
            if alike is not None:
                self._parts.append(alike)
            shown = f'<{tag} id="{attributes.get("id", "")}"/>'
            self._codes.append((len(self._parts), shown, alike is not None))

    def _end(self, tag: str) -> tuple[str, str] | None:
        if tag in _HIDDEN:
            self._hidden -= 1
        elif tag in _UNITS:
            self._in_unit = False
            source, target = (self._texts.get(side, "") for side in _SIDES)
            if source.strip() and target.strip() and not self._unfinished:
                return source, target
        elif self._hidden or self._side is None:
            return None
        elif tag == self._side:
            self._texts[tag] = "".join(self._parts)
            self._side, self._codes = None, []
        elif tag in _CODES:
            before, shown, spelled = self._codes.pop()
            if not spelled and len(self._parts) == before:
                self._parts.append(shown)
        return None
