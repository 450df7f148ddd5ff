"""The format `yaml_catalogue`: one YAML file per language; every string is a text.

A text's key is its path as a JSON pointer: `/menu/open`. If the root has a single key that looks like a language, as in
Rails, paths omit it. Aliases are not expanded: an anchored text is read once, at its anchor. A translation keeps the
style of its text if that style can represent it; otherwise it is written in double quotes. With `Options.engine`, the
root key is changed to the target language.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import yaml

from seqloom.errors import FormatError
from seqloom.formats.duplicate_keys import keep_last
from seqloom.formats.encoding import TextFile
from seqloom.formats.key_paths import MOST_NESTED, child_path
from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import Declaration, Options, Piece, Skip, Unit
from seqloom.languages import Direction

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the libyaml loader is 20 times as fast
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_PLURALS = ("zero", "one", "two", "few", "many", "other")
_PROPERTIES = re.compile(r"(?:[&!]\S*+\s++)*+")
_TAGS = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_BREAKS = " \t\r\n\x85\u2028\u2029"
_UNPRINTABLE = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')
_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_BLOCK = re.compile(r"[|>][-+]?(?:[ \t][^\n]*)?\r?\n((?:[ \t]*\r?\n)*)( +)")
_FIRST_OF_PLAIN = re.compile(r"\w")
_MOST_CHECKED = 2000  # characters; longer translations are always quoted


def read_yaml_catalogue(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every string; keys, numbers, dates and booleans are copied.

    Raises:
        FormatError: the file is not YAML, is nested deeper than `MOST_NESTED` levels, or has a tag or a non-string key.
    """
    text = file.read()
    whole = _one_language(text, file.where)
    direction = options.direction if options.engine and whole else None
    return keep_last(lambda: _Walk(text, file.where, whole, direction).pieces())


def _events(text: str, where: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise FormatError(f"{where}: {line}not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise FormatError(f"{where}: not YAML: {' '.join(str(error).split())}") from error


def _one_language(text: str, where: str) -> bool:
    """Whether the file is a mapping with a single key that looks like a language."""
    depth, keys, is_key = 0, list[str](), True
    for event in _events(text, where):
        scalar = isinstance(event, yaml.ScalarEvent | yaml.AliasEvent)
        if depth == 1 and (scalar or isinstance(event, yaml.CollectionStartEvent)):
            if is_key:
                keys.append(event.value if isinstance(event, yaml.ScalarEvent) else "")
            is_key = not is_key
        if isinstance(event, yaml.CollectionStartEvent):
            if depth == 0 and isinstance(event, yaml.SequenceStartEvent):
                return False
            depth += 1
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if len(keys) > 1 or depth > MOST_NESTED:
            return False
    return len(keys) == 1 and _LANGUAGE.fullmatch(keys[0]) is not None


class _Level:
    """An open mapping or sequence."""

    def __init__(self, path: str, mapping: bool) -> None:
        self.path, self.mapping = path, mapping
        self.position = 0
        self.key: str | None = None  # of the next value; None if a key comes next


class _Walk:
    """A single pass over the events of a file."""

    def __init__(self, text: str, where: str, one_language: bool, translated: Direction | None) -> None:
        self._text, self._where, self._one_language, self._translated = text, where, one_language, translated
        self._levels: list[_Level] = []
        self._documents, self._counted, self._line = 0, 0, 1
        self._resolver = _Loader("")

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of the text."""
        copied = 0
        for event in _events(self._text, self._where):
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                self._levels.pop()
            elif isinstance(event, yaml.NodeEvent):
                found = self._node(event)
                if found is not None:
                    start, end, piece = found
                    yield self._text[copied:start]
                    yield piece
                    copied = end
        yield self._text[copied:]

    def _node(self, event: Any) -> tuple[int, int, Unit | Skip | Declaration] | None:
        start, end = event.start_mark.index, event.end_mark.index
        self._line += self._text.count("\n", self._counted, start)
        self._counted = start
        place = f"{self._where}: line {self._line}"
        if getattr(event, "tag", None) not in _TAGS:
            raise FormatError(f"{place}: tags such as {event.tag[:60]!r} are not supported in catalogues")
        level = self._levels[-1] if self._levels else None
        if level is not None and level.mapping and level.key is None:
            level.key = self._key(event, place)
            return self._root_key(event, level.key, start, end) if len(self._levels) == 1 else None
        path = self._path(level, place)
        name = level.key if level else None
        if level is not None:
            level.key = None
            level.position += 1
        if isinstance(event, yaml.CollectionStartEvent):
            if len(self._levels) >= MOST_NESTED:
                raise FormatError(f"{place}: nested deeper than {MOST_NESTED} levels")
            self._levels.append(_Level(path, isinstance(event, yaml.MappingStartEvent)))
            return None
        if isinstance(event, yaml.AliasEvent):
            raw = self._text[start:end]
            return None if name == "<<" else (start, end, Skip(raw, "alias", self._line, raw))
        properties = _PROPERTIES.match(self._text, start, end) if event.anchor or event.tag else None
        start = properties.end() if properties else start
        raw = self._text[start:end]
        if not raw or not self._is_text(event):
            return None
        other = child_path(level.path, "other", place) if level and name in _PLURALS else ""
        put = partial(_put, raw=raw, style=event.style)
        return start, end, Unit(raw, path, event.value, None, self._line, put, other=other)

    def _key(self, event: Any, place: str) -> str:
        if isinstance(event, yaml.AliasEvent):
            return f"*{event.anchor}"
        if not isinstance(event, yaml.ScalarEvent):
            raise FormatError(f"{place}: a key must be a string, not a list or mapping")
        return str(event.value)

    def _path(self, level: _Level | None, place: str) -> str:
        if level is None:
            return "" if self._documents < 2 else f"document {self._documents}"
        if self._one_language and len(self._levels) == 1:
            return ""
        return child_path(level.path, str(level.position) if level.key is None else level.key, place)

    def _root_key(self, event: Any, key: str, start: int, end: int) -> tuple[int, int, Declaration] | None:
        """The key that names the language of a file to be translated."""
        raw = self._text[start:end]
        if self._translated is None or event.anchor or event.tag or not matches(key, self._translated.source):
            return None
        return start, end, Declaration(raw, _put(self._translated.target, raw, event.style))

    def _is_text(self, event: Any) -> bool:
        if event.style or event.tag is not None:
            return True
        return bool(self._resolver.resolve(yaml.ScalarNode, event.value, (True, False)) == "tag:yaml.org,2002:str")


def _put(translation: str, raw: str, style: str | None) -> str:
    """Return the translation in YAML. `style` is that of the original text: a quote, | or >, or empty if plain."""
    candidate = None
    if len(translation) > _MOST_CHECKED:
        pass
    elif not style and "\t" not in translation and _FIRST_OF_PLAIN.match(translation):  # PyYAML reads no plain tabs
        candidate = translation
    elif style == "'":
        candidate = "'" + translation.replace("'", "''") + "'"
    elif style in ("|", ">"):
        return _block(translation, raw)
    if candidate is not None and _holds(f"k: {candidate}", translation) and _holds(f"{{k: {candidate}}}", translation):
        return candidate
    return _in_double_quotes(translation)


def _block(translation: str, raw: str) -> str:
    """Return the lines of a `|` block, with the indentation and the trailing white space of the original text."""
    tail = raw[len(raw.rstrip(_BREAKS)) :]
    block = _BLOCK.match(raw)
    if block is not None:
        line_end = "\r\n" if "\r\n" in raw else "\n"
        lines = translation.removesuffix("\n").split("\n")
        head = "|" if translation.endswith("\n") else "|-"
        body = line_end.join(f"{block[2]}{line}" if line else "" for line in lines)
        candidate = f"{head}{line_end}{body}{tail}"
        if _holds(f"k: {candidate}", translation):
            return candidate
    return _in_double_quotes(translation) + tail


def _holds(mapping: str, text: str) -> bool:
    """Whether a mapping with the single key k parses to this text."""
    try:
        return bool(yaml.load(mapping, Loader=_Loader) == {"k": text})
    except (yaml.YAMLError, ValueError, OverflowError):
        return False


def _in_double_quotes(text: str) -> str:
    def written(found: re.Match[str]) -> str:
        code = ord(found[0])
        if 0xD800 <= code < 0xE000:
            return "\ufffd"  # YAML cannot represent lone surrogates
        return _NAMED.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

    return f'"{_UNPRINTABLE.sub(written, text)}"'
