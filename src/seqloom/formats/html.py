"""The format `html`: one document per language; each block is a text, and texts are paired by their order.

A text is the content between two block tags (`p`, `li`, `td` and all others that are not inline) as displayed: white
space collapses to one space, `&eacute;` is a character. Inline tags become placeholders without attributes, such as
`<b>` or `<br>`. Displayed or spoken attributes (`alt`, `title`, `placeholder`, `aria-label` and others) are separate
texts. `script`, `style`, `pre`, `svg`, `math` and elements with `translate="no"` are copied: between texts they are not
read, within a text they are placeholders. Comments within a text are lost when the text is translated. With
`Options.engine`, the `lang` of the page is changed to the target language.
"""

import html
import re
from collections.abc import Iterator, Mapping
from functools import partial

from seqloom.formats.encoding import TextFile
from seqloom.formats.html_tokens import Attribute, Token, read_tokens
from seqloom.formats.inline import Code, Content, codes, is_placeholder, label, put_codes, shown
from seqloom.formats.language_tags import matches
from seqloom.formats.pieces import Declaration, Options, Piece, TagAttributes, Unit
from seqloom.formats.xml import declared_encoding, escape
from seqloom.languages import Direction

_MOST_PARTS = 2_000  # texts and tags per unit; a longer one is split
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "br",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "rp",
        "rt",
        "ruby",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
_VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "frame",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    ]
)
_KEPT = frozenset(
    [
        "applet",
        "audio",
        "canvas",
        "iframe",
        "math",
        "noembed",
        "noframes",
        "object",
        "pre",
        "script",
        "style",
        "svg",
        "template",
        "video",
        "xmp",
    ]
)
_KEPT_INLINE = frozenset(["math", "script", "style", "svg", "template"])
_ATTRIBUTES = frozenset(
    [
        "abbr",
        "alt",
        "aria-description",
        "aria-label",
        "aria-placeholder",
        "aria-roledescription",
        "aria-valuetext",
        "label",
        "placeholder",
        "summary",
        "title",
    ]
)
_META = re.compile(
    r"(og|twitter):(title|description|site_name|image:alt)|description|keywords|title|apple-mobile-web-app-title"
)
_CHARSET = re.compile(rb"""<meta\s[^>]{0,500}?charset\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE)
_AS_BROWSERS = {  # https://encoding.spec.whatwg.org/#names-and-labels
    "ascii": "cp1252", "big5": "big5hkscs", "euc-kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030",
    "iso-8859-1": "cp1252", "iso-8859-9": "cp1254", "ks_c_5601-1987": "cp949", "latin1": "cp1252",
    "shift_jis": "cp932", "tis-620": "cp874", "us-ascii": "cp1252", "windows-31j": "cp932", "x-sjis": "cp932",
}  # fmt: skip
_SPACES = re.compile(r"[ \t\n\f\r]+")
_HUGE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9A-Fa-f]{8,});?")
_UNSEEN = re.compile(r"[\t\n\f\r]|(?<= ) ")


def declared_charset(head: bytes) -> str | None:
    """Return the encoding that a document declares, as browsers interpret its name; None if undeclared."""
    by_xml = declared_encoding(head)
    found = _CHARSET.search(head[:4096])
    name = by_xml or (found[1].decode().lower() if found else None)
    if name is None or name.startswith(("utf-16", "utf-32", "ucs", "binary")):
        return None
    return _AS_BROWSERS.get(name, name)


def read_html(file: TextFile, options: Options, ignored: frozenset[str] = frozenset()) -> Iterator[Piece]:
    """Yield a unit for every block and every translatable attribute; keys are consecutive numbers.

    Elements named in `ignored` are copied; within a text they are placeholders.

    Raises:
        FormatError: the file is invalid in its encoding, or too large.
    """
    text = file.read()
    reader = _Reader(text, file.encoding, options.direction if options.engine else None, ignored)
    for token in read_tokens(text):
        yield from reader.take(token)
    yield from reader.end_block()
    if reader.place < len(text):
        yield text[reader.place :]


class _Reader:
    """State while reading a file. `place` is the end of the text yielded so far."""

    def __init__(self, text: str, encoding: str, translated: Direction | None, ignored: frozenset[str]) -> None:
        self.place = 0
        self._translated, self._ignored = translated, ignored
        self._text, self._encoding = text, encoding
        self._block: list[tuple[Token, Code | None]] = []  # tokens of the current text
        self._open: list[tuple[str, Code]] = []  # unclosed inline tags of the current text
        # The element being copied, its start if it is inline, else -1, and the depth of nesting.
        self._kept, self._kept_from, self._depth = "", -1, 0
        self._number = 0
        self._line, self._counted = 1, 0

    def take(self, token: Token) -> Iterator[Piece]:
        """Read a token; yield completed pieces."""
        if len(self._block) >= _MOST_PARTS:
            yield from self.end_block()
        if self._kept:
            self._leave_alone(token)
        elif token.kind == "other":
            if self._text.startswith("<?", token.begin):
                self._add(token, Code("standalone", self._text[token.begin : token.end]))
        elif token.kind == "text":
            self._block.append((token, None))
        elif token.kind == "start" and self._is_kept(token):
            inline = token.name in _KEPT_INLINE or token.name in _INLINE or token.name in self._ignored
            if not inline:
                yield from self.end_block()
            if token.name in _VOID:
                if inline:
                    self._add(token, self._code(token))
            else:
                self._kept, self._depth = token.name, 1
                self._kept_from = token.begin if inline else -1
        elif token.name in _INLINE:
            self._inline(token)
        else:
            yield from self.end_block()
            yield from self._language(token)
            yield from self._attributes(token)

    def _language(self, token: Token) -> Iterator[Piece]:
        """Yield the language of a page that is to be translated."""
        if self._translated is None or token.kind != "start" or token.name != "html":
            return
        for each in token.attributes:
            value = self._value(each)
            if each.name in ("lang", "xml:lang") and matches(value, self._translated.source):
                yield self._text[self.place : each.begin]
                yield Declaration(value, self._translated.target)
                self.place = each.end

    def _is_kept(self, token: Token) -> bool:
        if token.name in _KEPT or token.name in self._ignored:
            return True
        return any(each.name == "translate" and self._value(each).lower() == "no" for each in token.attributes)

    def _leave_alone(self, token: Token) -> None:
        if token.name == self._kept:
            self._depth += {"start": 1, "end": -1}.get(token.kind, 0)
        if self._depth > 0:
            return
        if self._kept_from >= 0:
            whole = token._replace(begin=self._kept_from, attributes=())
            self._add(whole, Code("standalone", self._text[whole.begin : whole.end]))
        self._kept = ""

    def _inline(self, token: Token) -> None:
        if token.kind == "start":
            code = self._code(token)
            if token.name not in _VOID:
                self._open.append((token.name, code))
        else:
            code = self._code(token)
            names = [name for name, _ in self._open[-50:]]
            if token.name in names:
                # Tags opened later and not closed stay unpaired.
                while self._open[-1][0] != token.name:
                    self._open.pop()
                _, opening = self._open.pop()
                opening.shape, code.shape = "open", "close"
                opening.partner, code.partner = code, opening
                opening.nested = code.nested = True
                opening.spelling = f"<{token.name}>"
        self._add(token, code)

    def _code(self, token: Token) -> Code:
        spelling = f"<{token.name}>" if token.name in _VOID else ""
        return Code("standalone", self._text[token.begin : token.end], (), spelling if is_placeholder(spelling) else "")

    def _add(self, token: Token, code: Code) -> None:
        self._block.append((token, code))

    def end_block(self) -> Iterator[Piece]:
        """End the current block; yield its text, if it has any."""
        block, self._block, self._open = self._block, [], []
        first, last = 0, len(block)
        while first < last and self._is_empty(*block[first]):
            first += 1
        while last > first and self._is_empty(*block[last - 1]):
            last -= 1
        block = block[first:last]
        content: Content = []
        begin = final = 0
        for position, (token, code) in enumerate(block):
            if code is not None:
                content.append(code)
                continue
            raw = self._text[token.begin : token.end]
            if position == 0:
                begin = len(raw) - len(raw.lstrip(" \t\n\f\r"))
            if position == len(block) - 1:
                final = len(raw) - len(raw.rstrip(" \t\n\f\r"))
            content.append(_read(raw[begin if position == 0 else 0 : len(raw) - final]))
        if not any(isinstance(each, str) and each.strip() for each in content):
            for token, _ in block:
                if token.kind == "start":
                    yield from self._attributes(token)
            return
        yield from self._unit(content, block, block[0][0].begin + begin, block[-1][0].end - final)

    def _is_empty(self, token: Token, code: Code | None) -> bool:
        return code is None and not self._text[token.begin : token.end].strip(" \t\n\f\r")

    def _unit(self, content: Content, block: list[tuple[Token, Code | None]], begin: int, end: int) -> Iterator[Piece]:
        yield self._text[self.place : begin]
        self.place, line = end, self._line_of(begin)
        tags = []
        for token, _ in block:
            if token.kind != "start":
                continue
            parts = []
            for each in self._readable(token):
                key, value = self._key(f"@{each.name}"), _read(self._value(each).strip())
                yield Unit("", key, value, None, self._line_of(each.begin), _nowhere)
                parts.append((each.begin - token.begin, each.end - token.begin, key, each.quote))
            if parts:
                tag = self._text[token.begin : token.end]
                keys = tuple(key for _, _, key, _ in parts)
                tags.append(
                    TagAttributes(tag, keys, partial(_put_attributes, tag=tag, parts=parts, encoding=self._encoding))
                )
        label(content)
        put = partial(_put, own=codes(content), encoding=self._encoding)
        yield Unit(
            self._text[begin:end],
            self._key(""),
            shown(content),
            None,
            line,
            put,
            tag_attributes=tuple(tags),
        )

    def _attributes(self, token: Token) -> Iterator[Piece]:
        """Yield the translatable attributes of a tag outside any text."""
        if token.kind != "start":
            return
        for each in self._readable(token):
            yield self._text[self.place : each.begin]
            raw, self.place = self._value(each), each.end
            put = partial(_put_value, quote=each.quote, encoding=self._encoding)
            yield Unit(raw, self._key(f"@{each.name}"), _read(raw.strip()), None, self._line_of(each.begin), put)

    def _readable(self, token: Token) -> Iterator[Attribute]:
        """Yield the translatable attributes of a tag."""
        for each in token.attributes:
            if each.name in _ATTRIBUTES:
                wanted = True
            elif each.name == "content" and token.name == "meta":
                wanted = any(
                    other.name in ("name", "property") and _META.fullmatch(self._value(other).lower()) is not None
                    for other in token.attributes
                )
            else:
                wanted = (
                    each.name == "value"
                    and token.name == "input"
                    and any(
                        other.name == "type" and self._value(other).lower() in ("button", "reset", "submit")
                        for other in token.attributes
                    )
                )
            if wanted and _read(self._value(each)).strip():
                yield each

    def _value(self, attribute: Attribute) -> str:
        return self._text[attribute.begin : attribute.end]

    def _key(self, more: str) -> str:
        self._number += 1
        return f"{self._number}{more}"

    def _line_of(self, place: int) -> int:
        if place > self._counted:
            self._line += self._text.count("\n", self._counted, place)
            self._counted = place
        return self._line


def _read(raw: str) -> str:
    return html.unescape(_HUGE.sub("\ufffd", _SPACES.sub(" ", raw)))


def _put(translation: str, own: list[Code], encoding: str) -> str:
    return _kept(put_codes(translation, own, (), partial(_written, encoding=encoding)))


def _put_value(translation: str, quote: str, encoding: str) -> str:
    written = _kept(_written(translation, encoding)).replace('"', "&quot;").replace("'", "&#39;")
    return written if quote else f'"{written}"'


def _put_attributes(
    translations: Mapping[str, str], tag: str, parts: list[tuple[int, int, str, str]], encoding: str
) -> str:
    for begin, end, key, quote in reversed(parts):
        if key in translations:
            tag = tag[:begin] + _put_value(translations[key], quote, encoding) + tag[end:]
    return tag


def _nowhere(translation: str) -> str:
    """Return an empty string: the translated attribute is written as part of the surrounding text."""
    return ""


def _written(text: str, encoding: str) -> str:
    return _UNSEEN.sub(lambda match: f"&#{ord(match[0])};", escape(text, encoding))


def _kept(written: str) -> str:
    """Return a text with leading and trailing spaces written as references, so that they are kept."""
    if written.startswith(" "):
        written = f"&#32;{written[1:]}"
    return f"{written[:-1]}&#32;" if written.endswith(" ") else written
