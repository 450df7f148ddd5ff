"""The format `json_catalogue`: a JSON file per language, nested objects and lists, of which every text is read.

A text's key is the path to it as a JSON pointer (RFC 6901): `/menu/file.open`, `/steps/0`. ICU messages are kept whole.
Of the plural forms of i18next (`key_one`, `key_other`; `key_plural` in older catalogues) each is a text of its own.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from seqloom.errors import FormatError
from seqloom.formats.code_units import HALF, SURROGATE, escaped_units, shown
from seqloom.formats.encoding import TextFile
from seqloom.formats.paths import MOST_NESTED, below
from seqloom.formats.pieces import Options, Piece, Skip, Unit
from seqloom.formats.repeats import last_of_each

_DECODER = json.JSONDecoder()
_SMALL = 1 << 20  # characters; a catalogue of this size may take some memory to see whether it repeats a key
_SPACE = re.compile(r"[ \t\n\r]*+")
_COLON = re.compile(r"[ \t\n\r]*+:[ \t\n\r]*+")
_BETWEEN = re.compile(r"[ \t\n\r]*+([,}\]]?)[ \t\n\r]*+")
_VALUE = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null|NaN|-?Infinity")
_PLURAL = re.compile(r"(.+)_(?:(zero|one|two|few|many|other)|([0-9]|plural))")


def read_json_catalogue(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every text. Numbers and other values are copied.

    Raises:
        FormatError: the file is not JSON, or nested deeper than `MOST_NESTED` levels.
    """
    text = file.read()
    escaped = text.isascii() and "\\u" in text
    if len(text) < _SMALL and not _repeats_a_key(text):
        return _Scanner(text, file.where, escaped).pieces()
    return last_of_each(lambda: _Scanner(text, file.where, escaped).pieces())


def _repeats_a_key(text: str) -> bool:
    """Whether an object names a key twice. Text that is no JSON does not: the scanner says what is wrong with it."""
    repeated = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal repeated
        repeated = repeated or len({key for key, _ in pairs}) < len(pairs)

    try:
        # Numbers stay as they are: an int of 5,000 digits would be an error.
        json.loads(text, object_pairs_hook=look, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return repeated


class _Level(NamedTuple):
    """An open object or list."""

    path: str
    position: list[int] | None  # how many values of a list were read; None for an object


class _Scanner:
    """Walks once through a text, without recursion."""

    def __init__(self, text: str, where: str, escaped: bool) -> None:
        self._text, self._where = text, where
        self._put = partial(_quoted, escaped=escaped)
        self._line, self._counted = 1, 0

    def pieces(self) -> Iterator[Piece]:
        """Yield what the text holds."""
        text, levels, copied, path = self._text, list[_Level](), 0, ""
        place = self._skip(0)
        value_next = True
        while True:
            if value_next:
                start = text[place : place + 1]
                if start == '"':
                    value, end = self._string(place)
                    yield text[copied:place]
                    yield self._unit(text[place:end], path, value, place)
                    copied = place = end
                elif start in ("{", "["):
                    place, path, empty = self._opened(start, place, path, levels)
                    if not empty:
                        continue
                elif match := _VALUE.match(text, place):
                    place = match.end()
                else:
                    raise self._fault(place, "a value is missing here")
            if not levels:
                break
            level = levels[-1]
            between = _BETWEEN.match(text, place)
            sign = between[1] if between else ""
            if between and sign == ",":
                place = between.end()
                if level.position is None:
                    place, path = self._named(place, level.path)
                else:
                    level.position[0] += 1
                    path = f"{level.path}/{level.position[0]}"
                value_next = True
            elif between and sign == ("}" if level.position is None else "]"):
                levels.pop()
                place = between.end()
                value_next = False
            else:
                raise self._fault(
                    self._skip(place), f"a comma or {'}' if level.position is None else ']'} is missing here"
                )
        place = self._skip(place)
        if place < len(text):
            raise self._fault(place, "the file goes on behind its value")
        yield text[copied:]

    def _opened(self, start: str, place: int, path: str, levels: list[_Level]) -> tuple[int, str, bool]:
        """Enter an object or list: return where its first value is, its path, and whether there is none."""
        if len(levels) >= MOST_NESTED:
            raise self._fault(place, f"nested deeper than {MOST_NESTED} levels")
        inside = self._skip(place + 1)
        if self._text[inside : inside + 1] == ("}" if start == "{" else "]"):
            return inside + 1, path, True
        levels.append(_Level(path, None if start == "{" else [0]))
        if start == "[":
            return inside, f"{path}/0", False
        place, path = self._named(inside, path)
        return place, path, False

    def _named(self, place: int, parent: str) -> tuple[int, str]:
        """Read a key and its colon: return where the value is, and its path."""
        if self._text[place : place + 1] != '"':
            raise self._fault(place, "a key in double quotes is missing here")
        key, end = self._string(place)
        colon = _COLON.match(self._text, end)
        if colon is None:
            raise self._fault(self._skip(end), "a colon is missing here")
        return colon.end(), below(parent, key, self._where)

    def _string(self, place: int) -> tuple[str, int]:
        try:
            value, end = _DECODER.raw_decode(self._text, place)
        except json.JSONDecodeError as error:
            raise self._fault(error.pos, error.msg) from error
        return str(value), int(end)

    def _skip(self, place: int) -> int:
        match = _SPACE.match(self._text, place)
        return match.end() if match else place

    def _unit(self, raw: str, path: str, value: str, place: int) -> Piece:
        self._line += self._text.count("\n", self._counted, place)
        self._counted = place
        if SURROGATE.search(value):
            return Skip(raw, HALF, self._line, shown(value))
        return Unit(raw, path, value, None, self._line, self._put, other=_other(path))

    def _fault(self, place: int, what: str) -> FormatError:
        line = self._text.count("\n", 0, place) + 1
        column = place - self._text.rfind("\n", 0, place)
        return FormatError(f"{self._where}: line {line}, column {column}: not JSON: {what}")


def _other(path: str) -> str:
    plural = _PLURAL.fullmatch(path) if "_" in path[-7:] else None
    if plural is None:
        return ""
    return f"{plural[1]}_other" if plural[2] else f"{plural[1]}_plural"


def _quoted(translation: str, escaped: bool) -> str:
    quoted = json.dumps(translation, ensure_ascii=escaped)
    return SURROGATE.sub(lambda half: escaped_units(half[0], "\\u{:04x}"), quoted)
