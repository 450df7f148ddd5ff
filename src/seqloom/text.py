"""Text normalisation, and the placeholders in a text.

Training data and users' texts pass through the same normalisation; otherwise the model would meet characters that it
never saw in training.
"""

import re
import unicodedata
from collections.abc import Sequence

# Control and format characters mean nothing to a translation; private-use characters are reserved for the tokenizer's
# slots; surrogates stand for bytes that were not UTF-8. Zero-width spaces, soft hyphens and directional marks are
# invisible and are removed without leaving a space. ZWNJ and ZWJ (U+200C, U+200D) are part of the spelling in Persian
# and in Indic scripts, so they are kept. Separators (U+001C-1F, U+0085, U+2028, U+2029) count as white space.
_DROPPED = re.compile(
    r"[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069"
    r"\ufeff\ufffe\uffff\ud800-\udfff\ue000-\uf8ff]"
)
_SPACE = re.compile(r"\s+")

FORMS = {
    "erb": r"<%=?\s*[^<>%]*%>",  # <%= name %>
    "double_square": r"\[\[\s*[^\[\]\s][^\[\]]*\]\]",  # [[name]]
    "laravel": r":(?<![\w:]:)[a-z_][a-z0-9_]*\b",  # :name
    "percent_pair": r"%[A-Za-z_][A-Za-z0-9_.\-]*%",  # %name%
    "platform": (
        r"\[[A-Z]{1,3}\d+[A-Z]{0,3}\]"  # [X12X]
        r"|\u27e6[^\u27e6\u27e7]*\u27e7"  # \u27e6 1 \u27e7
        r"|__[A-Z]+_?\d+_*__|__[A-Z]+_?\d+__"  # __PH_1__
        r"|\[\d+\}|\{\d+\]|\{\d+>|<\d+\}"  # [1} {1] {1> <1} of memoQ and Trados
    ),
    "numbered_tags": r"</?\d+\s?/?>",  # <0>, </0>, <1/>
    "ruby": r"%\{[A-Za-z0-9_.\-]*\}|#\{[A-Za-z0-9_.\-]*\}",  # %{name}, #{name}
    "icu_argument": r"\{\s*\w+\s*,\s*(?:number|date|time|spellout|ordinal|duration)\b[^{}]*\}",  # {n, number}
    "double_braces": r"\{\{\s*[^{}\s][^{}]*\}\}",  # {{ name }}
    "braces": r"\{[A-Za-z0-9_.\-:!\[\]]*\}|\$\{[A-Za-z0-9_.\-:!\[\]]*\}",  # {}, {0}, {name}, ${name}, {x:.2f}
    "printf_named": r"%\([A-Za-z0-9_.\-]+\)[#0\- +]*(?:[1-9]\d*)?(?:\.\d+)?[diouxXeEfFgGcrsa]",  # %(count)d
    "printf": (  # %s, %1$s, %.2f, %@
        r"%(?:\d+\$)?[#0\-+]*(?:[1-9]\d*)?(?:\.\d+)?[diouxXeEfFgGcrsa@](?![A-Za-z])"
    ),
    "qt": r"%(?<![\w%]%)[1-9]\d?(?![\w%])",  # %1
    "tags": r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>",  # <b>, </b>, <br/>, <a href="...">
    "entities": r"&(?:[A-Za-z]{2,8}|#\d{1,6});",  # &nbsp;
}
"""The forms of placeholders by name, in order of precedence: if two match at the same place, the first one wins.

Matching takes time linear in the length of the text. Every alternative begins with a literal character, so that `re`
skips to the next of these characters instead of trying all alternatives at every position.
"""

STANDARD = ("double_braces", "braces", "printf_named", "printf", "qt", "tags", "entities")
"""The default forms, used if params.yaml or a stored tokenizer lists none."""


class Forms:
    """The placeholder forms in use: names from `FORMS`, and your own regular expressions, which take precedence.

    Raises:
        ValueError: a name is unknown, or an expression is invalid or matches the empty string.
    """

    def __init__(self, names: Sequence[str] = STANDARD, patterns: Sequence[str] = ()) -> None:
        names = tuple(names)
        if unknown := [name for name in names if name not in FORMS]:
            raise ValueError(f"{unknown[0]!r} is not a form of placeholder; valid are {', '.join(FORMS)}")
        for pattern in patterns:
            check_pattern(pattern)
        self.names = tuple(name for name in FORMS if name in names)
        self.patterns = tuple(patterns)
        every = [*(f"(?:{pattern})" for pattern in patterns), *(FORMS[name] for name in self.names)]
        # `(?!)` never matches; an empty expression would match everywhere.
        self.regex = re.compile("|".join(every) or "(?!)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forms) and (self.names, self.patterns) == (other.names, other.patterns)

    def __hash__(self) -> int:
        return hash((self.names, self.patterns))

    def find(self, text: str) -> list[str]:
        """Return the placeholders of `text` in order, including repeats."""
        return [match[0] for match in self.regex.finditer(text)]


def check_pattern(pattern: str) -> None:
    """Check that a regular expression can be used as a placeholder form.

    Raises:
        ValueError: it is invalid, has named groups or back-references, or matches the empty string.
    """
    try:
        compiled = re.compile(pattern)
        if compiled.groupindex or re.search(r"\\[1-9]", pattern):
            raise ValueError(f"{pattern!r} has named groups or back-references; use (?:...)")
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a valid regular expression: {error}") from error
    if compiled.fullmatch(""):
        raise ValueError(f"{pattern!r} matches the empty string; a placeholder has at least one character")


STANDARD_FORMS = Forms()
PLACEHOLDER = STANDARD_FORMS.regex


def normalise(text: str) -> str:
    """Return `text` in Unicode NFC without control characters, with runs of white space as one space, and stripped."""
    return clean(text).strip()


def clean(text: str) -> str:
    """Return `text` as `normalise` does, but without stripping it."""
    if text.isprintable():  # most texts: nothing to drop, and no white space but the plain space
        text = text if text.isascii() else unicodedata.normalize("NFC", text)
        return _SPACE.sub(" ", text) if "  " in text else text
    return _SPACE.sub(" ", unicodedata.normalize("NFC", _DROPPED.sub("", text)))


def placeholders(text: str) -> list[str]:
    """Return the placeholders of the standard forms in order, including repeats."""
    return STANDARD_FORMS.find(text)
