"""What counts as the same text, and what in a text is a placeholder. Everything that reads text uses these two.

Training data and the sentence that a user types must pass through one normalisation, or the model sees characters at
work that it never saw in training.
"""

import re
import unicodedata
from collections.abc import Sequence

# Control and format characters carry no meaning that a translation keeps; private-use characters are reserved for the
# tokenizer's slots; surrogates stand for bytes that were no UTF-8. Zero-width spaces, soft hyphens and directional
# marks are invisible and go without a gap. ZWNJ and ZWJ (U+200C, U+200D) are spelling in Persian and in Indic scripts
# and stay. Separators (U+001C-1F, U+0085, U+2028, U+2029) are white space: they keep words apart.
_DROPPED = re.compile(
    r"[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069"
    r"\ufeff\ufffe\uffff\ud800-\udfff\ue000-\uf8ff]"
)
_SPACE = re.compile(r"\s+")

FORMS = {
    "erb": r"<%=?\s*[^<>%]*%>",  # <%= name %>
    "double_square": r"\[\[\s*[^\[\]\s][^\[\]]*\]\]",  # [[name]]
    "laravel": r"(?<![\w:]):[a-z_][a-z0-9_]*\b",  # :name
    "percent_pair": r"%[A-Za-z_][A-Za-z0-9_.\-]*%",  # %name%
    "platform": (
        r"\[[A-Z]{1,3}\d+[A-Z]{0,3}\]"  # [X12X]
        r"|\u27e6[^\u27e6\u27e7]*\u27e7"  # \u27e6 1 \u27e7
        r"|__[A-Z]+_?\d+_*__|__[A-Z]+_?\d+__"  # __PH_1__
        r"|\[\d+\}|\{\d+\]|\{\d+>|<\d+\}"  # [1} {1] {1> <1} of memoQ and Trados
    ),
    "numbered_tags": r"</?\d+\s?/?>",  # <0>, </0>, <1/>
    "ruby": r"[%#]\{[A-Za-z0-9_.\-]*\}",  # %{name}, #{name}
    "icu_argument": r"\{\s*\w+\s*,\s*(?:number|date|time|spellout|ordinal|duration)\b[^{}]*\}",  # {n, number}
    "double_braces": r"\{\{\s*[^{}\s][^{}]*\}\}",  # {{ name }}
    "braces": r"\$?\{[A-Za-z0-9_.\-:!\[\]]*\}",  # {}, {0}, {name}, ${name}, {x:.2f}
    "printf_named": r"%\([A-Za-z0-9_.\-]+\)[#0\- +]*(?:[1-9]\d*)?(?:\.\d+)?[diouxXeEfFgGcrsa]",  # %(count)d
    "printf": (  # %s, %1$s, %.2f, %@
        r"%(?:\d+\$)?[#0\-+]*(?:[1-9]\d*)?(?:\.\d+)?[diouxXeEfFgGcrsa@](?![A-Za-z])"
    ),
    "qt": r"(?<![\w%])%[1-9]\d?(?![\w%])",  # %1
    "tags": r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>",  # <b>, </b>, <br/>, <a href="...">
    "entities": r"&(?:[A-Za-z]{2,8}|#\d{1,6});",  # &nbsp;
}
"""The forms of placeholders by name, in the order of precedence: where two match at one place, the first one wins.

The time that a match takes grows with the length of the text and no faster.
"""

STANDARD = ("double_braces", "braces", "printf_named", "printf", "qt", "tags", "entities")
"""The forms that count where nobody has listed any, and those of a stored tokenizer that lists none."""


class Forms:
    """The forms of placeholders that count: named ones of `FORMS`, and regular expressions of one's own, which win.

    Raises:
        ValueError: a name is unknown, or an expression is not valid or matches the empty text.
    """

    def __init__(self, names: Sequence[str] = STANDARD, patterns: Sequence[str] = ()) -> None:
        names = tuple(names)
        if unknown := [name for name in names if name not in FORMS]:
            raise ValueError(f"{unknown[0]!r} is no form of placeholders; valid are {', '.join(FORMS)}")
        for pattern in patterns:
            check_pattern(pattern)
        self.names = tuple(name for name in FORMS if name in names)
        self.patterns = tuple(patterns)
        every = [*patterns, *(FORMS[name] for name in self.names)]
        # Without any form nothing matches: `(?!)` never does.
        self.regex = re.compile("|".join(f"(?:{each})" for each in every) or "(?!)")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forms) and (self.names, self.patterns) == (other.names, other.patterns)

    def __hash__(self) -> int:
        return hash((self.names, self.patterns))

    def find(self, text: str) -> list[str]:
        """Return the placeholders of `text` in their order, repeats included."""
        return [match[0] for match in self.regex.finditer(text)]


def check_pattern(pattern: str) -> None:
    """Raise `ValueError` unless `pattern` is a regular expression that can stand among forms of placeholders."""
    try:
        compiled = re.compile(pattern)
        if compiled.groupindex or re.search(r"\\[1-9]", pattern):
            raise ValueError(f"{pattern!r} has named groups or refers back to groups; use (?:...)")
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    if compiled.fullmatch(""):
        raise ValueError(f"{pattern!r} matches the empty text; a placeholder has at least one character")


STANDARD_FORMS = Forms()
PLACEHOLDER = STANDARD_FORMS.regex


def normalise(text: str) -> str:
    """Return `text` in Unicode NFC, without control characters, every run of white space one space, trimmed."""
    return clean(text).strip()


def clean(text: str) -> str:
    """Return `text` normalised as by `normalise`, but not trimmed."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", _DROPPED.sub("", text)))


def placeholders(text: str) -> list[str]:
    """Return the placeholders of the standard forms in their order, repeats included."""
    return STANDARD_FORMS.find(text)
