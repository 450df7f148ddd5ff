"""The inline content of a Markdown block: the displayed text and the codes in it.

Emphasis and links are paired codes, shown as `<b>`, `<i>`, `<s>` and `<a>`, as in HTML; several links are numbered.
Code spans, autolinks and unpaired HTML tags are standalone codes. Backslash escapes and entities are decoded, and
written again where needed.
"""

import html
import re
from array import array
from bisect import bisect_right
from collections import defaultdict
from dataclasses import replace

from seqloom.formats.inline import Code, Content, codes, label, put_codes, shown

_PART = re.compile(
    r"(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<ticks>`++)"
    r"|(?P<entity>&(?:#[xX][0-9A-Fa-f]{1,6}|#[0-9]{1,7}|[A-Za-z][A-Za-z0-9]{1,31});)"
    r"|(?P<address><[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*+>|<[\w.+-]{1,64}@[\w.-]{1,255}>)"
    r"|(?P<tag></?[A-Za-z][A-Za-z0-9-]*+(?:\s[^<>]*+)?/?>)"
    r"|(?P<comment><!--)"
    r"|(?P<open>!?\[)"
    r"|(?P<close>\](?:\(\s*+(?:<[^<>]*+>|[^\s()]*+(?:\([^\s()]*+\)[^\s()]*+)*+)"
    r"(?:\s++(?:\"[^\"]*+\"|'[^']*+'|\([^()]*+\)))?\s*+\)|\[[^\[\]]++\])?+)"
    r"|(?P<emphasis>\*{1,2}|_{1,2}|~~)"
)
_SPELLING = {"**": "<b>", "__": "<b>", "*": "<i>", "_": "<i>", "~~": "<s>"}
_TAG_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9-]*)")
_VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"])
_SPECIAL = re.compile(r"[\\`*\[\]<]|(?<![^\W_])_|_(?![^\W_])|~(?=~)|(?<=~)~|!\Z|&(?=#?[A-Za-z0-9]{1,33};)|[\r\n]")
_MOST_PARTS = 5_000  # texts and codes per block; the rest is read as text
_MOST_OPEN = 100  # unclosed brackets and emphasis


def parsed(text: str) -> Content:
    """Return the texts and codes of a block. `text` has its lines joined, with a line feed for a hard break."""
    return _Parser(text).content()


def put_text(translation: str, own: Content, table: bool) -> str:
    """Return a translation in Markdown on one line, with line feeds as entities. `own` is the content it translates."""
    labelled = codes(own)
    candidate = _written(translation, labelled, table)
    if _same(candidate, translation, own):
        return candidate
    # Markdown emphasis is not recognised everywhere; HTML tags are.
    return _written(translation, [_as_tags(code) for code in labelled], table)


def named(content: Content) -> Content:
    """Return the content with a placeholder for each code."""
    links = [code for code in codes(content) if code.partner and code.raw == "["]
    for code in links if len(links) > 1 else ():
        code.spelling = ""
    label(content)
    return content


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._found: Content = []
        self._waiting: list[tuple[str, Code, int]] = []  # kind, code, its index in `_found`
        self._runs: dict[int, array[int]] | None = None  # positions of backtick runs, by length
        self._comments = True  # false once a comment was found unclosed

    def content(self) -> Content:
        """Parse the text in one pass."""
        place, end = 0, 0
        text = self._text
        while len(self._found) < _MOST_PARTS and (part := _PART.search(text, place)) is not None:
            self._add(text[end : part.start()])
            end = place = self._take(part)
        self._add(text[end:])
        return self._joined()

    def _take(self, part: re.Match[str]) -> int:
        """Read one part; return the position of the next."""
        raw = part[0]
        match part.lastgroup:
            case "escape":
                self._add(raw[1])
            case "entity":
                self._add(html.unescape(raw))
            case "address":
                self._found.append(Code("standalone", raw, (raw,)))
            case "ticks":
                end = self._after_code(part.end(), len(raw))
                if end is None:
                    self._add(raw)
                else:
                    span = self._text[part.start() : end]
                    self._found.append(Code("standalone", span, (span,)))
                    return end
            case "comment":
                end = self._text.find("-->", part.end()) if self._comments else -1
                self._comments = end >= 0
                if end < 0:
                    self._add(raw)
                else:
                    self._found.append(Code("standalone", self._text[part.start() : end + 3]))
                    return end + 3
            case "tag":
                self._tag(raw)
            case "open":
                self._push("[", Code("open", raw, spelling="" if raw[0] == "!" else "<a>"))
            case "close":
                if len(raw) == 1 or not self._pop("[", Code("close", raw)):
                    self._add("]")
                    return part.start() + 1
            case _:
                return self._emphasis(raw, part.start(), part.end())
        return part.end()

    def _tag(self, raw: str) -> None:
        found = _TAG_NAME.match(raw)
        name = found[1].lower() if found else ""
        if raw.startswith("</"):
            if not self._pop(f"<{name}", Code("close", raw)):
                self._found.append(Code("standalone", raw))
        elif name in _VOID or raw.endswith("/>"):
            self._found.append(Code("standalone", raw, spelling=f"<{name}>"))
        else:
            self._push(f"<{name}", Code("open", raw, spelling=f"<{name}>"))

    def _emphasis(self, raw: str, begin: int, end: int) -> int:
        if self._waiting and self._waiting[-1][0] == raw[0] and self._text.startswith(raw[0] * 3, begin):
            raw, end = raw[0], begin + 1  # in ***, close the innermost first
        before, after = self._text[begin - 1 : begin] or " ", self._text[end : end + 1] or " "
        closes = not before.isspace() and not (raw[0] == "_" and after.isalnum())
        opens = not after.isspace() and not (raw[0] == "_" and before.isalnum())
        if closes and self._pop(raw, Code("close", raw)):
            return end
        if opens:
            self._push(raw, Code("open", raw, spelling=_SPELLING[raw]))
        else:
            self._add(raw)
        return end

    def _push(self, kind: str, code: Code) -> None:
        code.nested = True
        self._waiting.append((kind, code, len(self._found)))
        del self._waiting[:-_MOST_OPEN]
        self._found.append(code)

    def _pop(self, kind: str, closing: Code) -> bool:
        """Close the last open code of this kind, dropping unclosed ones inside it; return whether there was one."""
        for at in range(len(self._waiting) - 1, -1, -1):
            if self._waiting[at][0] == kind:
                break
            if self._waiting[at][0] == "[" and kind != "[":
                return False  # emphasis cannot cross the bracket of a possible link
        else:
            return False
        _, opening, _ = self._waiting[at]
        del self._waiting[at:]
        opening.partner, closing.partner, closing.nested = closing, opening, True
        self._found.append(closing)
        return True

    def _after_code(self, place: int, length: int) -> int | None:
        """The end of the code span whose opening run of backticks ends at `place`; None if it is not closed."""
        if self._runs is None:
            self._runs = defaultdict(lambda: array("q"))
            for run in re.finditer(r"`+", self._text):
                self._runs[len(run[0])].append(run.start())
        places = self._runs.get(length, array("q"))
        at = bisect_right(places, place)
        return places[at] + length if at < len(places) else None

    def _add(self, text: str) -> None:
        if text:
            self._found.append(text)

    def _joined(self) -> Content:
        """Merge adjacent texts; unclosed codes become text, unclosed tags standalone codes."""
        joined: Content = []
        texts: list[str] = []
        for each in self._found:
            if isinstance(each, Code) and each.shape == "open" and each.partner is None:
                if each.raw[0] == "<":
                    each.shape, each.nested = "standalone", False
                else:
                    each = each.raw
            if isinstance(each, str):
                texts.append(each)
                continue
            if texts:
                joined.append("".join(texts))
                texts = []
            joined.append(each)
        if texts:
            joined.append("".join(texts))
        return joined


def _written(translation: str, own: list[Code], table: bool) -> str:
    def special(found: re.Match[str]) -> str:
        match found[0]:
            case "\n":
                return "&#10;"
            case "\r":
                return "&#13;"
            case "&":
                return "&amp;"
            case character:
                return f"\\{character}"

    def escape(text: str) -> str:
        text = _SPECIAL.sub(special, text)
        return text.replace("|", "\\|") if table else text

    return with_ends(put_codes(translation, own, (), escape))


def with_ends(line: str) -> str:
    """Return a line with leading and trailing white space written as entities, which Markdown would otherwise strip."""
    for character, entity in ((" ", "&#32;"), ("\t", "&#9;")):
        if line.startswith(character):
            line = entity + line[1:]
        if line.endswith(character):
            line = line[:-1] + entity
    return line


def _same(candidate: str, translation: str, own: Content) -> bool:
    """Whether the candidate reads as the translation. Codes missing from the translation follow it."""
    content = parsed(candidate)
    label(own, content)
    return shown(content).startswith(translation)


def _as_tags(code: Code) -> Code:
    if code.partner is None or code.spelling not in ("<b>", "<i>", "<s>") or code.raw[0] == "<":
        return code
    opening = replace(code, raw=code.spelling)
    closing = replace(code.partner, raw=f"</{code.spelling[1:]}", partner=opening)
    opening.partner = closing
    return opening
