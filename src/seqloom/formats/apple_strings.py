"""The format `apple_strings`: Apple's `.strings`, one file per language, with entries `"key" = "text";`.

Xcode writes these files in UTF-16 or UTF-8. XML and binary property lists, which may have the same suffix, are
rejected.
"""

import re
from collections.abc import Iterator
from functools import partial

from seqloom.errors import FormatError
from seqloom.formats.code_units import LONE_SURROGATE, SURROGATE, escaped_units, joined, without_surrogates
from seqloom.formats.duplicate_keys import keep_last
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Piece, Skip, Unit

_GAP = re.compile(r"(?:\s++|//[^\n\r]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+")
_TEXT = re.compile(
    r""""[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+'|(?!//|/\*)[A-Za-z0-9_$/:.\-]++""", re.DOTALL
)
_ESCAPE = re.compile(r"\\(?:[Uu]([0-9A-Fa-f]{4})|([0-7]{1,3})|(.))", re.DOTALL)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WRITTEN = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL = re.compile(r'["\\\n\r\t\x80-\U0010ffff]')
# Octal escapes from 200 upwards are in the NeXTSTEP encoding.
_NEXTSTEP = (
    "\xa0ÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖÙÚÛÜÝÞµ×÷©¡¢£⁄¥ƒ§¤’“«‹›ﬁﬂ®–†‡·¦¶•‚„”»…‰¬¿¹ˋ´ˆ˜¯˘˙¨²˚¸³˝˛ˇ"
    "—±¼½¾àáâãäåçèéêëìÆíªîïðñŁØŒºòóôõöæùúûıüýłøœßþÿ\ufffd\ufffd"
)


def read_apple_strings(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every entry. If an entry is only a key, `"key";`, the key is also the text.

    Raises:
        FormatError: the file is not a list of entries; the error names the line.
    """
    text = file.read()
    if text.startswith(("<?xml", "<plist", "bplist")):
        raise FormatError(
            f"{file.where}: XML and binary property lists are not supported; convert the file to text .strings"
        )
    return keep_last(lambda: _pieces(text, file))


def _pieces(text: str, file: TextFile) -> Iterator[Piece]:
    place, copied, line, counted = _after_gap(text, 0), 0, 1, 0
    while place < len(text):
        key = _TEXT.match(text, place)
        if key is None:
            raise _fault(text, place, file.where, 'expected an entry such as "key" = "text";')
        line += text.count("\n", counted, place)
        counted = place
        put = partial(_put, encoding=file.encoding)
        place = _after_gap(text, key.end())
        if text[place : place + 1] == "=":
            place = _after_gap(text, place + 1)
            value = _TEXT.match(text, place)
            if value is None:
                raise _fault(text, place, file.where, "expected a text in double quotes")
            start, end = value.span()
            place = _after_gap(text, end)
        else:
            value, start, end = key, key.end(), key.end()
            put = partial(_put, encoding=file.encoding, sign=" = ")
        if text[place : place + 1] != ";":
            raise _fault(text, place, file.where, "expected a semicolon")
        source = _unescaped(value[0])
        yield text[copied:start]
        if SURROGATE.search(source):
            yield Skip(text[start:end], LONE_SURROGATE, line, without_surrogates(source))
        else:
            yield Unit(text[start:end], _unescaped(key[0]), source, None, line, put)
        copied = end
        place = _after_gap(text, place + 1)
    yield text[copied:]


def _after_gap(text: str, place: int) -> int:
    gap = _GAP.match(text, place)
    return gap.end() if gap else place


def _fault(text: str, place: int, where: str, what: str) -> FormatError:
    line = text.count("\n", 0, place) + 1
    if text.startswith("/*", place):
        what = "unclosed comment"
    elif text[place : place + 1] in ('"', "'"):
        what = "unclosed string"
    return FormatError(f"{where}: line {line}: not a .strings file: {what}: {text[place : place + 40]!r}")


def _unescaped(raw: str) -> str:
    if raw[0] not in "\"'":
        return raw
    return joined(_ESCAPE.sub(_decoded, raw[1:-1])) if "\\" in raw else raw[1:-1]


def _decoded(escape: re.Match[str]) -> str:
    if escape[1] is not None:
        return chr(int(escape[1], 16))
    if escape[2] is not None:
        code = int(escape[2], 8) & 0xFF
        return chr(code) if code < 0x80 else _NEXTSTEP[code - 0x80]
    return _NAMED.get(escape[3], escape[3])


def _put(translation: str, encoding: str, sign: str = "") -> str:
    def written(found: re.Match[str]) -> str:
        character = found[0]
        if character in _WRITTEN:
            return _WRITTEN[character]
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            return escaped_units(character, "\\U{:04x}")
        return character

    return f'{sign}"{_SPECIAL.sub(written, translation)}"'
