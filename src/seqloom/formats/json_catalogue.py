"""The format `json_catalogue`: one JSON file per language, of nested objects and lists; every string is a text.

A text's key is its path as a JSON pointer (RFC 6901): `/menu/file.open`, `/steps/0`. ICU messages are not split. Each
plural form of i18next (`key_one`, `key_other`; `key_plural` in older catalogues) is a separate text.
"""

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Literal, NamedTuple

from seqloom.errors import FormatError
from seqloom.formats.code_units import LONE_SURROGATE, SURROGATE, escaped_units, without_surrogates
from seqloom.formats.duplicate_keys import keep_last
from seqloom.formats.encoding import TextFile
from seqloom.formats.key_paths import MOST_NESTED, child_path
from seqloom.formats.pieces import Options, Piece, Skip, Unit

_DECODER = json.JSONDecoder()
_SMALL = 1 << 16  # characters; up to this size, duplicate keys are detected with json.loads, which needs more memory
_SPACE = re.compile(r"[ \t\n\r]*+")
_MEMBER = re.compile(  # the fast path: key and value are strings without escapes
    r'"([^"\\\x00-\x1f]*+)"[ \t\n\r]*+:[ \t\n\r]*+"([^"\\\x00-\x1f]*+)"[ \t\n\r]*+([,}])[ \t\n\r]*+'
)
_COLON = re.compile(r"[ \t\n\r]*+:[ \t\n\r]*+")
_BETWEEN = re.compile(r"[ \t\n\r]*+([,}\]]?)[ \t\n\r]*+")
_VALUE = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null|NaN|-?Infinity")
_PLURALS = dict.fromkeys(("zero", "one", "two", "few", "many", "other"), "other")
_PLURALS |= dict.fromkeys((*"0123456789", "plural"), "plural")  # of older catalogues


def read_json_catalogue(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every string. Numbers and other values are copied.

    Raises:
        FormatError: the file is not JSON, or is nested deeper than `MOST_NESTED` levels.
    """
    text = file.read()
    escaped = text.isascii() and "\\u" in text
    if len(text) < _SMALL and not _repeats_a_key(text):
        return _Scanner(text, file.where, escaped).pieces()
    return keep_last(lambda: _Scanner(text, file.where, escaped).pieces())


def _repeats_a_key(text: str) -> bool:
    """Whether an object has a duplicate key. False for invalid JSON, which the scanner reports."""
    repeated = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal repeated
        repeated = repeated or len({key for key, _ in pairs}) < len(pairs)

    try:
        # Keep numbers as strings: int() rejects more than 4,300 digits.
        json.loads(text, object_pairs_hook=look, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return repeated


_Following = Literal["key", "value", "sign"]


class _Level(NamedTuple):
    """An open object or list."""

    path: str
    position: list[int] | None  # [index of the current value] in a list; None for an object


class _Scanner:
    """A single, non-recursive pass over a text."""

    def __init__(self, text: str, where: str, escaped: bool) -> None:
        self._text, self._where = text, where
        self._put = partial(_quoted, escaped=escaped)
        self._line, self._counted = 1, 0

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of the text."""
        text, levels, copied, path = self._text, list[_Level](), 0, ""
        place = self._skip(0)
        following: _Following = "value"
        while True:
            if following == "key":
                parent = levels[-1].path
                while (member := _MEMBER.match(text, place)) is not None:
                    start, place = member.start(2) - 1, member.end()
                    yield text[copied:start]
                    copied = member.end(2) + 1
                    yield self._unit(text[start:copied], child_path(parent, member[1], self._where), member[2], start)
                    if member[3] == "}":
                        levels.pop()
                        break
                else:
                    place, path = self._named(place, parent)
                    following = "value"
            if following == "value":
                start_sign = text[place : place + 1]
                if start_sign == '"':
                    value, end = self._string(place)
                    yield text[copied:place]
                    yield self._unit(text[place:end], path, value, place)
                    copied = place = end
                elif start_sign in ("{", "["):
                    place, following = self._opened(start_sign, place, path, levels)
                    if following != "sign":
                        path = f"{path}/0"
                        continue
                elif match := _VALUE.match(text, place):
                    place = match.end()
                else:
                    raise self._fault(place, "expected a value")
            if not levels:
                break
            place, path, following = self._after(place, levels)
        place = self._skip(place)
        if place < len(text):
            raise self._fault(place, "there is text after the value")
        yield text[copied:]

    def _after(self, place: int, levels: list[_Level]) -> tuple[int, str, _Following]:
        """Read the separator after a value; return the position, path and kind of the next part."""
        level = levels[-1]
        between = _BETWEEN.match(self._text, place)
        sign = between[1] if between else ""
        if between and sign == ",":
            if level.position is None:
                return between.end(), "", "key"
            level.position[0] += 1
            return between.end(), f"{level.path}/{level.position[0]}", "value"
        if between and sign == ("}" if level.position is None else "]"):
            levels.pop()
            return between.end(), "", "sign"
        raise self._fault(self._skip(place), f"expected a comma or {'}' if level.position is None else ']'}")

    def _opened(self, start: str, place: int, path: str, levels: list[_Level]) -> tuple[int, _Following]:
        """Enter an object or list; return the position and kind of the next part."""
        if len(levels) >= MOST_NESTED:
            raise self._fault(place, f"nested deeper than {MOST_NESTED} levels")
        inside = self._skip(place + 1)
        if self._text[inside : inside + 1] == ("}" if start == "{" else "]"):
            return inside + 1, "sign"
        levels.append(_Level(path, None if start == "{" else [0]))
        return inside, "key" if start == "{" else "value"

    def _named(self, place: int, parent: str) -> tuple[int, str]:
        """Read a key and its colon; return the position and path of its value."""
        if self._text[place : place + 1] != '"':
            raise self._fault(place, "expected a key in double quotes")
        key, end = self._string(place)
        colon = _COLON.match(self._text, end)
        if colon is None:
            raise self._fault(self._skip(end), "expected a colon")
        return colon.end(), child_path(parent, key, self._where)

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
        if "\\" in raw and SURROGATE.search(value):
            return Skip(raw, LONE_SURROGATE, self._line, without_surrogates(value))
        return Unit(raw, path, value, None, self._line, self._put, other=_other(path))

    def _fault(self, place: int, what: str) -> FormatError:
        line = self._text.count("\n", 0, place) + 1
        column = place - self._text.rfind("\n", 0, place)
        return FormatError(f"{self._where}: line {line}, column {column}: not JSON: {what}")


def _other(path: str) -> str:
    stem, _, form = path.rpartition("_")
    return f"{stem}_{_PLURALS[form]}" if form in _PLURALS and stem else ""


def _quoted(translation: str, escaped: bool) -> str:
    quoted = json.dumps(translation, ensure_ascii=escaped)
    return SURROGATE.sub(lambda half: escaped_units(half[0], "\\u{:04x}"), quoted)
