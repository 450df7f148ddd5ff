"""Placeholders that a program will replace: hide the unusual ones from the model, and check that none was harmed."""

import re
from collections.abc import Callable, Sequence

from seqloom.text import FORMS, STANDARD_FORMS, Forms

_SIZE = r"(?:[1-9][0-9]*+|\*)?(?:\.(?:[0-9]++|\*))?"
_OF_C = (r"%<PRI[A-Za-z0-9]+>", r"%%", rf"%[-#0+']*+{_SIZE}(?:hh?|ll?|[qjztL])[diouxXeEfFgG]")
_OF_JAVASCRIPT = (
    r"\$t\([^()]*\)",
    r"@(?:\.[a-z]+)?:[A-Za-z_][A-Za-z0-9_.]*",
)  # references to other texts: i18next, Vue
_ALL = Forms(tuple(FORMS), (*_OF_C, *_OF_JAVASCRIPT))
_DIRECTIVE = re.compile(
    r"%(?P<number>[0-9]+\$)?(?:\([^()]*\))?(?:<PRI[A-Za-z0-9]+>"
    rf"|[-#0+ ']*+{_SIZE}(?:hh?|ll?|[qjztL])?[A-Za-z@%])"
)
_HIDDEN = re.compile(r"\{x[0-9]+\}")
_SURE_DIRECTIVE = re.compile("|".join((FORMS["printf_named"], FORMS["printf"], *_OF_C)))


def hide(text: str) -> tuple[str, Callable[[str], str]]:
    """Return the text with the placeholders that few models know as `{x1}`, and a function that puts them back.

    `{name}`, `%s`, tags and the other standard forms stay; every model keeps them. Equal placeholders get one name.
    """
    names: dict[str, str] = {}

    def hidden(match: re.Match[str]) -> str:
        found = match[0]
        if STANDARD_FORMS.regex.fullmatch(found):
            return found
        if found not in names:
            number = len(names) + 1
            while f"{{x{number}}}" in text:
                number += 1000
            names[found] = f"{{x{number}}}"
        return names[found]

    changed = _ALL.regex.sub(hidden, text)
    if not names:
        return text, str
    originals = {name: found for found, name in names.items()}
    return changed, lambda translation: _HIDDEN.sub(lambda match: originals.get(match[0], match[0]), translation)


def harmed(source: str, target: str) -> bool:
    """Return whether the target lacks a placeholder of the source, or has another one.

    Directives of `printf` without a number must also keep their order, and there must be no other percent sign.
    """
    if sorted(_ALL.find(source)) != sorted(_ALL.find(target)):
        return True
    if not _SURE_DIRECTIVE.search(source):
        return False
    (numbered, plain), (others, order) = _directives(source), _directives(target)
    return sorted(numbered) != sorted(others) or plain != order or source.count("%") != target.count("%")


def _directives(text: str) -> tuple[Sequence[str], Sequence[str]]:
    """The directives with a number or a name, and those without."""
    found = list(_DIRECTIVE.finditer(text))
    by_name = [each[0] for each in found if each["number"] or "(" in each[0]]
    return by_name, [each[0] for each in found if not (each["number"] or "(" in each[0])]
