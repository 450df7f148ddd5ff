"""Find the pairs of opening and closing tags in a text, such as `<b>` and `</b>`."""

import re
from collections import Counter
from collections.abc import Sequence

NO_PARTNER = -1  # the placeholder is not a tag, or a tag without a partner

_TAG = re.compile(r"<(/?)([A-Za-z0-9][\w:.\-]*)(?:\s[^<>]*?)?(/?)>")
_SQUARE = re.compile(r"(?:\[(\d+)\}|\{(\d+)\])")  # [1} and {1] of memoQ
_ANGLE = re.compile(r"(?:\{(\d+)>|<(\d+)\})")  # {1> and <1} of Trados


def partners(placeholders: Sequence[str]) -> list[int]:
    """Return for each placeholder of a text the index of its partner tag, or `NO_PARTNER`.

    The pairs are properly nested. If any tag of a name has no partner (`<br>`, a single `</p>`), or a pair of that name
    crosses another pair, no tag of that name is paired. The time is linear.
    """
    named = [name_of(each) for each in placeholders]
    alone = _without_partner(named)
    found = [NO_PARTNER] * len(named)
    stack: list[int] = []
    for index, (name, opens) in enumerate(named):
        if name is None or name in alone:
            continue
        if opens:
            stack.append(index)
        else:
            found[index] = stack.pop()
            found[found[index]] = index
    return found


def name_of(placeholder: str) -> tuple[str | None, bool]:
    """Return the name of an opening or closing tag and whether it opens; the name is None for anything else."""
    if match := _TAG.fullmatch(placeholder):
        return (None, False) if match[3] else (match[2], not match[1])
    for kind, pattern in (("[", _SQUARE), ("{", _ANGLE)):
        if match := pattern.fullmatch(placeholder):
            return kind + (match[1] or match[2]), match[1] is not None
    return None, False


def _without_partner(named: Sequence[tuple[str | None, bool]]) -> set[str]:
    """Return the names of tags that are not paired."""
    alone: set[str] = set()
    stack: list[str] = []
    open_: Counter[str] = Counter()
    for name, opens in named:
        if name is None or name in alone:
            continue
        if opens:
            stack.append(name)
            open_[name] += 1
        elif not open_[name]:
            alone.add(name)
        else:
            while (top := stack.pop()) != name:
                alone.add(top)
                open_[top] = 0
            open_[name] -= 1
    return alone.union(stack)
