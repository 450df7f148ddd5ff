"""What counts as the same text, and what in a text is a placeholder. Everything that reads text uses these two.

Training data and the sentence that a user types must pass through one normalisation, or the model sees characters at
work that it never saw in training.
"""

import re
import unicodedata

# Control and format characters carry no meaning that a translation keeps; private-use characters are reserved for the
# tokenizer's slots; surrogates stand for bytes that were no UTF-8. Zero-width spaces, soft hyphens and directional
# marks are invisible and go without a gap. ZWNJ and ZWJ (U+200C, U+200D) are spelling in Persian and in Indic scripts
# and stay. Separators (U+001C-1F, U+0085, U+2028, U+2029) are white space: they keep words apart.
_DROPPED = re.compile(
    r"[\u0000-\u0008\u000e-\u001b\u007f-\u0084\u0086-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069"
    r"\ufeff\ufffe\uffff\ud800-\udfff\ue000-\uf8ff]"
)
_SPACE = re.compile(r"\s+")

# In the order of precedence: ICU/format braces, printf with a name, printf, template variables, entities, tags.
PLACEHOLDER = re.compile(
    r"\{\{\s*[^{}\s][^{}]*\}\}"  # {{ name }}
    r"|\$?\{[A-Za-z0-9_.\-:!\[\]]*\}"  # {}, {0}, {name}, ${name}, {x:.2f}
    r"|%\([A-Za-z0-9_.\-]+\)[#0\- +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]"  # %(count)d
    r"|%(?:\d+\$)?[#0\-+]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa@](?![A-Za-z])"  # %s, %1$s, %.2f, %@
    r"|(?<![\w%])%[1-9]\d?(?![\w%])"  # %1 of Qt and others
    r"|</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>"  # <b>, </b>, <br/>, <a href="...">
    r"|&(?:[A-Za-z]{2,8}|#\d{1,6});"  # &nbsp;
)


def normalise(text: str) -> str:
    """Return `text` in Unicode NFC, without control characters, every run of white space one space, trimmed."""
    return _SPACE.sub(" ", unicodedata.normalize("NFC", _DROPPED.sub("", text))).strip()


def placeholders(text: str) -> list[str]:
    """Return the placeholders of `text` in their order, repeats included: `{name}`, `%s`, `%(n)d`, `<b>`, `&nbsp;`."""
    return PLACEHOLDER.findall(text)
