r"""The format `properties`: Java's `.properties`, one file per language, one `key=text` per line.

As in Java 9 and newer, a file is read as UTF-8 if its first 64 kB are valid UTF-8, else as Latin-1. Characters that the
file's encoding cannot represent are written as `\uXXXX`. A pure ASCII file stays ASCII, because older programs read it
as Latin-1.
"""

import codecs
import io
import re
from collections.abc import Iterator
from functools import partial

from seqloom.errors import FormatError
from seqloom.formats.code_units import LONE_SURROGATE, SURROGATE, escaped_units, joined, without_surrogates
from seqloom.formats.duplicate_keys import keep_last
from seqloom.formats.encoding import BLOCK, TextFile
from seqloom.formats.pieces import Options, Piece, Remark, Skip, Unit

_GOES_ON = r"\\(?:\r\n|[\r\n])[ \t\f]*+"
_ESCAPED = rf"(?:{_GOES_ON}|\\[^\r\n]|\\\Z)"
_LINE = re.compile(
    rf"[ \t\f]*+(?P<key>(?:[^\\:= \t\f\r\n]|{_ESCAPED})*+)"
    rf"(?P<sign>(?:[ \t\f]|{_GOES_ON})*+[:=]?(?:[ \t\f]|{_GOES_ON})*+)"
    rf"(?P<text>[^\\\r\n]*+(?:{_ESCAPED}[^\\\r\n]*+)*+)"
)
_PASSED_OVER = re.compile(r"[ \t\f]*+(?:[#!][^\r\n]*+)?(?:\r\n|[\r\n]|\Z)")
_ESCAPE = re.compile(rf"{_GOES_ON}|\\u([0-9A-Fa-f]{{4}})|\\(.?)", re.DOTALL)
_NAMED = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_SPECIAL = re.compile(r"^[ =:]|[\\\x00-\x1f\x7f-\U0010ffff]")
_WRITTEN = {"\\": "\\\\", " ": "\\ ", "=": "\\=", ":": "\\:"} | {value: f"\\{name}" for name, value in _NAMED.items()}
_C1 = re.compile("[\x80-\x9f]")


def declared(head: bytes) -> str | None:
    """Return `latin-1` if the file is not UTF-8, else None."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < BLOCK)
    except UnicodeDecodeError:
        return "latin-1"
    return None


def read_properties(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every key. Quotes and arguments of MessageFormat are left unchanged.

    Raises:
        FormatError: an escape is invalid; the error names the line.
    """
    text = file.read()
    found = _C1.search(text) if file.encoding == "iso8859-1" and file.setting is None else None
    if found is not None:
        line = _ends(text, 0, found.start()) + 1
        yield Remark(line, f"contains the control character {found[0]!r} in Latin-1: `encoding: cp1252` may be right")
    direct = "ascii" if text.isascii() else file.encoding
    yield from keep_last(lambda: _pieces(text, file.where, direct))


def _pieces(text: str, where: str, direct: str) -> Iterator[Piece]:
    place, line, copied = 0, 1, 0
    put, put_behind_sign = partial(_put, direct=direct, sign=""), partial(_put, direct=direct, sign="=")
    while place < len(text):
        passed = _PASSED_OVER.match(text, place)
        if passed is None:
            found = _LINE.match(text, place)
            if found is None:  # cannot happen: every part of the pattern may be empty
                break
            key, source = found["key"], found["text"]
            if "\\" in found[0]:
                key, source = (joined(_unescaped(raw, where, line)) for raw in (key, source))
            yield text[copied : found.start("text")]
            begin, place = place, found.end()
            copied = place
            if not source.isascii() and SURROGATE.search(source):
                yield Skip(found["text"], LONE_SURROGATE, line, without_surrogates(source))
            else:
                yield Unit(found["text"], key, source, None, line, put if found["sign"] else put_behind_sign)
            line += _ends(text, begin, place)
        else:
            line += _ends(text, place, passed.end())
            place = passed.end()
    yield text[copied:]


def _ends(text: str, begin: int, end: int) -> int:
    """How many lines end in this range; CR LF counts once."""
    ends = text.count("\n", begin, end) + text.count("\r", begin, end)
    return ends - text.count("\r\n", begin, end)


def _unescaped(raw: str, where: str, line: int) -> str:
    def decoded(found: re.Match[str]) -> str:
        if found[1] is not None:
            return chr(int(found[1], 16))
        if found[2] is None:
            return ""  # a line continuation
        if found[2] == "u":
            raise FormatError(f"{where}: line {line}: \\u needs four hexadecimal digits: {raw[found.start() :][:6]!r}")
        return _NAMED.get(found[2], found[2])

    # `sub` would keep a list of all parts, which takes nine times the size of a text full of escapes.
    text, end = io.StringIO(), 0
    for found in _ESCAPE.finditer(raw):
        text.write(raw[end : found.start()])
        text.write(decoded(found))
        end = found.end()
    text.write(raw[end:])
    return text.getvalue()


def _put(translation: str, direct: str, sign: str) -> str:
    def written(found: re.Match[str]) -> str:
        character = found[0]
        if character in _WRITTEN:
            return _WRITTEN[character]
        try:
            if character >= "\xa0" and character.encode(direct):
                return character
        except UnicodeEncodeError:
            pass
        return escaped_units(character, "\\u{:04x}")

    return sign + _SPECIAL.sub(written, translation)
