"""Editable gettext catalogues, `.po` and `.pot`.

Only LF ends a line: U+0085 and U+2028 within a string are text. Translations are wrapped in the file's style, and a
translated message is no longer fuzzy. With `Options.engine` it becomes fuzzy, and a comment names the engine.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from seqloom.errors import FormatError
from seqloom.formats.encoding import TextFile
from seqloom.formats.gettext_messages import Message, summarise
from seqloom.formats.pieces import ConditionalText, Declaration, Flag, Options, Piece, Skip, Unit
from seqloom.formats.po_marks import filled_header, is_fuzzy, is_machine, marked, without_fuzzy

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_STRINGS = re.compile(rf"\s*+({_STRING}(?:\s*+{_STRING})*+)\s*+")
_ONE_STRING = re.compile(_STRING)
_KEYWORD = re.compile(r"(msgctxt|msgid_plural|msgid|msgstr|domain)(?:\[([0-9]{1,2})\])?(?=[\s\"])")
_ESCAPE = re.compile(r"((?:\\[0-7]{1,3}|\\x[0-9A-Fa-f]{1,2})++)|\\(.)", re.DOTALL)
_BYTE = re.compile(r"\\x([0-9A-Fa-f]{1,2})|\\([0-7]{1,3})")
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", '"': '"', "\\": "\\"}
_WRITTEN = {ord(character): f"\\{name}" for name, character in _NAMED.items()}
_WRITTEN |= {code: f"\\{code:03o}" for code in range(32) if code not in _WRITTEN}
_WIDTH = 79  # columns of a wrapped line, including quotes
_MOST_LINES = 10_000  # per message
_CHARSET = re.compile(rb"charset=([A-Za-z0-9_.:+-]{1,40})")
_COMMENTED = re.compile(r"#~(?!\|)[ \t]?")
_SPACE = " \t\f\v"


def charset(head: bytes) -> str | None:
    """Return the charset declared in the header of a `.po` that begins with `head`, or None.

    The header is the first message; comments are ignored.
    """
    strings, messages = [], 0
    for line in head.split(b"\n"):
        line = line.strip()
        messages += line.startswith((b"msgid ", b'msgid"'))
        if messages > 1:
            break
        if messages and line.endswith(b'"') and line.startswith((b'"', b"msgstr")):
            strings.append(line[line.index(b'"') + 1 : -1])
    return charset_of(b"".join(strings))


def charset_of(header: bytes) -> str | None:
    """Return the charset that a header names; None if it names none, or still contains a template's placeholder."""
    found = _CHARSET.search(header)
    return None if found is None or found[1].upper() == b"CHARSET" else found[1].decode("ascii")


def read_po(text: str, file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every message and every plural form, flagged if fuzzy or obsolete; everything else is copied.

    Raises:
        FormatError: a line has invalid syntax, or a message has no msgstr.
    """
    reader = _Reader(text, file, options.engine)
    catalogue, forms = summarise(
        each.message() for each in reader.entries() if isinstance(each, _Entry) and not each.obsolete
    )
    yield from catalogue.notices(options, forms)
    headers = 0
    for each in reader.entries():
        if isinstance(each, str):
            yield each
            continue
        message = each.message()
        if not message.msgid and message.context is None:
            headers += not each.obsolete
            if headers > 1 and not each.obsolete:
                yield Skip(each.raw, "second header", each.line)
            elif options.engine and not each.obsolete:
                yield Declaration(each.raw, filled_header(each.raw, options.direction.target, file.encoding))
            else:
                yield each.raw
        elif catalogue.is_id(message):
            yield Skip(each.raw, "symbolic id", each.line, message.msgid)
        else:
            yield from each.pieces(message, {form: catalogue.source(message, form) for form in message.forms})


class _Field(NamedTuple):
    name: str
    form: int
    line: int  # within the entry, from 0
    column: int  # of the first quote
    strings: list[str]
    until: list[int]  # last line and its end; a list, because every further line updates it


@dataclass(slots=True)
class _Style:
    """How the strings read so far are laid out."""

    line_end: str = "\n"
    wrapped: bool = True


@dataclass(slots=True)
class _Entry:
    """The lines of one message. It begins at its flag `fuzzy`, or at its first comment if an engine is given."""

    line: int
    where: str
    encoding: str
    style: _Style
    lines: list[str] = field(default_factory=list)
    fields: list[_Field] = field(default_factory=list)
    obsolete: bool = False
    fuzzy: bool = False
    machine: bool = False
    engine: str = ""

    @property
    def raw(self) -> str:
        """All lines as one string."""
        return "".join(self.lines)

    def has(self, *names: str) -> bool:
        """Return whether any of these fields was read."""
        return any(each.name in names for each in self.fields)

    def message(self) -> Message:
        """Return the parsed fields."""
        texts = {each.name: self._text(each) for each in self.fields if each.name != "msgstr"}
        forms = {each.form: self._text(each) for each in self.fields if each.name == "msgstr"}
        return Message(texts.get("msgctxt"), texts["msgid"], texts.get("msgid_plural"), forms)

    def pieces(self, message: Message, sources: dict[int, str]) -> Iterator[Piece]:
        """Yield the entry's text with a unit for each plural form."""
        begins, place = [], 0
        for line in self.lines:
            begins.append(place)
            place += len(line)
        raw, end = self.raw, 0
        said: dict[Flag, bool] = {
            "fuzzy": self.fuzzy,
            "machine": self.machine and self.fuzzy,
            "obsolete": self.obsolete,
        }
        flags = tuple(flag for flag, given in said.items() if given)
        strings = [each for each in self.fields if each.name == "msgstr"]
        if self.engine and not self.obsolete:
            end = begins[self.fields[0].line]
            comments = marked(raw[:end], self.engine, self.style.line_end)
            yield ConditionalText(raw[:end], comments, tuple(message.key(each.form) for each in strings))
        for each in strings:
            start, stop = begins[each.line] + each.column, begins[each.until[0]] + each.until[1]
            before = raw[end:start]
            key, target = message.key(each.form), message.forms[each.form] or None
            put = partial(_put, style=self.style, comment="#~ " if self.obsolete else "")
            if self.fuzzy and not end and not self.engine:
                put = partial(_put_without_fuzzy, before=before, put=put)
                start = 0
            else:
                yield before
            key = f"#~{key}" if self.obsolete else key
            yield Unit(raw[start:stop], key, sources[each.form], target, self.line, put, flags=flags)
            end = stop
        yield raw[end:]

    def _text(self, each: _Field) -> str:
        strings = (string[0][1:-1] for part in each.strings for string in _ONE_STRING.finditer(part))
        text = "".join(strings)
        if "\\" not in text:
            return text
        parts = text.split("\\\\")
        try:
            return "\\".join(map(self._unescaped, parts))
        except ValueError as error:
            raise FormatError(
                f"{self.where}: line {self.line}: escaped bytes are not valid {self.encoding}: {error}"
            ) from error

    def _unescaped(self, text: str) -> str:
        text = text.replace("\\n", "\n").replace('\\"', '"').replace("\\t", "\t")
        return _ESCAPE.sub(self._decoded, text) if "\\" in text else text

    def _decoded(self, escape: re.Match[str]) -> str:
        if escape[2] is not None:
            return _NAMED.get(escape[2], escape[0])
        codes = _BYTE.finditer(escape[0])
        found = bytes((int(code[1], 16) if code[1] else int(code[2], 8)) & 0xFF for code in codes)
        return found.decode("ascii" if found.isascii() else self.encoding)


class _Reader:
    """Groups lines into entries; lines between entries are strings."""

    def __init__(self, text: str, file: TextFile, engine: str) -> None:
        self._text, self._where, self._encoding, self._engine = text, file.where, file.encoding, engine
        self._style, self._machine = _Style(), False  # whether a comment since the last entry names an engine
        self._open: _Entry | None = None

    def entries(self) -> Iterator[str | _Entry]:
        """Yield the file's entries and the lines between them, from the beginning."""
        self._open, self._machine, self._style = None, False, _Style("\r\n" if "\r\n" in self._text[:10_000] else "\n")
        for number, line in enumerate(_lines(self._text), 1):
            content = line.rstrip("\r\n")
            if not self._style.wrapped:
                pass
            elif len(content) > _WIDTH + 1 and " " in content.strip() and content.lstrip(_SPACE)[:1] in ('"', "m"):
                self._style.wrapped = False
            commented = _COMMENTED.match(content)
            begin = commented.end() if commented else 0
            begin += len(content) - begin - len(content[begin:].lstrip(_SPACE))
            if not content[begin:].strip() or content[begin] == "#":
                yield from self._comment(number, line, content)
            else:
                yield from self._body(number, line, content, begin, commented is not None)
            self._bound(number)
        yield from self._close()

    def _comment(self, number: int, line: str, content: str) -> Iterator[str | _Entry]:
        blank = not content.strip()
        if self._open is not None and self._open.has("msgstr") and not blank:
            yield from self._close()
        if self._open is not None and self._engine and blank and not self._open.fields and not self._open.fuzzy:
            yield from self._close()  # a comment of the file
        if self._open is None:
            self._machine |= is_machine(content)
            if blank or not (self._engine or is_fuzzy(content)):
                yield line
                return
            self._start(number)
        if self._open is not None:
            self._open.lines.append(line)
            self._open.fuzzy |= is_fuzzy(content)
            self._machine |= is_machine(content)

    def _body(self, number: int, line: str, content: str, begin: int, obsolete: bool) -> Iterator[str | _Entry]:
        keyword = _KEYWORD.match(content, begin)
        quoted = _STRINGS.fullmatch(content, keyword.end() if keyword else begin)
        if quoted is None:
            raise self._fault(
                number,
                f"invalid line {content[:40]!r}: expected a comment beginning with #, or a string in double quotes, "
                "optionally after msgctxt, msgid, msgid_plural or msgstr",
            )
        if keyword is None:
            if self._open is None or not self._open.fields:
                raise self._fault(number, "a string without msgid or msgstr before it")
            self._open.lines.append(line)
            last = self._open.fields[-1]
            last.strings.append(quoted[1])
            last.until[:] = len(self._open.lines) - 1, quoted.end(1)
            return
        name = keyword[1]
        entry = self._open
        if entry is not None and (
            name == "domain"
            or (entry.has("msgstr") and name in ("msgctxt", "msgid"))
            or (entry.fields and entry.obsolete != obsolete)
        ):
            yield from self._close()
        if name == "domain":
            yield line
            return
        if self._open is None:
            self._start(number)
        entry = self._open
        if entry is None:
            return
        form = int(keyword[2] or 0)
        self._expect(entry, name, form, number)
        if not entry.fields:
            entry.line, entry.obsolete = number, obsolete
            entry.machine, self._machine = self._machine, False
        entry.lines.append(line)
        at = len(entry.lines) - 1
        entry.fields.append(_Field(name, form, at, quoted.start(1), [quoted[1]], [at, quoted.end(1)]))

    def _expect(self, entry: _Entry, name: str, form: int, number: int) -> None:
        """Check that fields come in order and that none is repeated."""
        order = {"msgctxt": 0, "msgid": 1, "msgid_plural": 2, "msgstr": 3}
        last = order[entry.fields[-1].name] if entry.fields else -1
        if name == "msgstr":
            right = entry.has("msgid") and not any(each.form == form for each in entry.fields if each.name == name)
        else:
            right = order[name] > last and (name != "msgid_plural" or last == 1)
        if not right:
            raise self._fault(number, f"misplaced {name}: the order of fields is msgctxt, msgid, msgid_plural, msgstr")

    def _bound(self, number: int) -> None:
        if self._open is not None and len(self._open.lines) > _MOST_LINES:
            raise self._fault(number, f"a message is longer than {_MOST_LINES:,} lines")

    def _start(self, number: int) -> None:
        self._open = _Entry(number, self._where, self._encoding, self._style, engine=self._engine)

    def _close(self) -> Iterator[str | _Entry]:
        entry, self._open = self._open, None
        if entry is None:
            return
        if not entry.fields:
            yield entry.raw
        elif not entry.has("msgstr"):
            raise self._fault(entry.line, "the message has no msgstr")
        else:
            yield entry

    def _fault(self, number: int, what: str) -> FormatError:
        return FormatError(f"{self._where}: line {number}: not a .po catalogue: {what}")


def _lines(text: str) -> Iterator[str]:
    begin = 0
    while (end := text.find("\n", begin)) >= 0:
        yield text[begin : end + 1]
        begin = end + 1
    if begin < len(text):
        yield text[begin:]


def _put(translation: str, style: _Style, comment: str) -> str:
    """The translation in quotes, split over several lines at line feeds and where it is too long for one."""
    lines = _at_line_feeds(translation)
    if style.wrapped:
        lines = [part for line in lines for part in _wrapped(line)]
    strings = [f'"{line.translate(_WRITTEN)}"' for line in lines]
    if len(strings) == 1 and (not style.wrapped or len(strings[0]) + len("msgstr ") <= _WIDTH + 1):
        return strings[0]
    return f"{style.line_end}{comment}".join(['""', *strings]) if strings else '""'


def _at_line_feeds(text: str) -> list[str]:
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _wrapped(line: str) -> Iterator[str]:
    width, part = _WIDTH - 2, ""
    for word in re.findall(r"[^ ]*+ ++|[^ ]++", line):
        if part and len(part) + len(word) > width:
            yield part
            part = ""
        part += word
    if part:
        yield part


def _put_without_fuzzy(translation: str, before: str, put: "partial[str]") -> str:
    """The same for the first form of a fuzzy entry, without the flag `fuzzy` and previous texts."""
    return without_fuzzy(before) + put(translation)
