"""Plural forms of gettext: which form is the singular, by the C expression in a catalogue's header.

The expression is parsed here, never passed to `eval`.
"""

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from seqloom.text import placeholders

_HEADER = re.compile(r"nplurals\s*=\s*([0-9]{1,3})\s*;\s*plural\s*=\s*([^;\n]{1,500})")
_TOKEN = re.compile(r"\s*(?:([0-9]{1,9})|(n)|(\|\||&&|==|!=|<=|>=|[-+*/%<>!?:()]))")
_MOST_NESTED = 40
_SAMPLE = range(200)  # the expression is evaluated for these numbers

_Value = Callable[[int], int]

_BINARY: list[dict[str, Callable[[int, int], int]]] = [
    {"||": lambda a, b: int(bool(a) or bool(b))},
    {"&&": lambda a, b: int(bool(a) and bool(b))},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.floordiv, "%": operator.mod},
]
"""C's binary operators by precedence, lowest first."""


class Plurals(NamedTuple):
    """The plural rule declared in a header."""

    forms: int
    singular: int | None  # the form for n = 1; None if every number takes the same form
    shared: bool  # other numbers take the singular form too, as 21 does in Russian

    def source(self, form: int, one: str, many: str, target: str) -> str:
        """Return the source text, `one` or `many`, that a form translates.

        The singular form translates `one`, all others `many`. Exception: a singular form shared with other numbers
        usually contains the number, so it translates `many` if it has the placeholders of `many`, not of `one`.
        """
        if form != self.singular:
            return many
        if self.shared and sorted(placeholders(one)) != sorted(placeholders(target)) == sorted(placeholders(many)):
            return many
        return one


GERMANIC = Plurals(2, 0, False)
"""The singular form for n = 1, the plural form for all other numbers: gettext's default without a declared rule."""


@lru_cache(maxsize=64)
def plurals_of(header: str) -> Plurals | None:
    """Return the plural rule in a catalogue's header; None if it has none or an invalid one."""
    found = _HEADER.search(header)
    if found is None:
        return None
    try:
        form = _Parser(found[2]).parse()
        forms = [form(number) for number in _SAMPLE]
    except (ValueError, ZeroDivisionError):
        return None
    count = int(found[1])
    if count < 1 or not all(0 <= each < count for each in forms):
        return None
    if len(set(forms)) == 1:
        return Plurals(count, None, False)
    return Plurals(count, forms[1], forms[1] in forms[2:])


class _Parser:
    """Compiles an expression in `n` to a function of n. Raises `ValueError` if the expression is invalid."""

    def __init__(self, expression: str) -> None:
        self._tokens, end, self._nested = [], 0, 0
        expression = expression.rstrip()
        while end < len(expression):
            found = _TOKEN.match(expression, end)
            if found is None:
                raise ValueError(expression[end : end + 1])
            self._tokens.append(found[1] or found[2] or found[3])
            end = found.end()
        self._tokens.reverse()

    def parse(self) -> _Value:
        value = self._choice()
        if self._tokens:
            raise ValueError(self._tokens[-1])
        return value

    def _next(self, *wanted: str) -> str | None:
        return self._tokens.pop() if self._tokens and self._tokens[-1] in wanted else None

    def _deeper(self) -> None:
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise ValueError("nested too deeply")

    def _choice(self) -> _Value:
        self._deeper()
        value = self._binary(0)
        if self._next("?"):
            yes = self._choice()
            if not self._next(":"):
                raise ValueError("a ? without :")
            no = self._choice()
            value = _conditional(value, yes, no)
        self._nested -= 1
        return value

    def _binary(self, level: int) -> _Value:
        if level == len(_BINARY):
            return self._unary()
        value = self._binary(level + 1)
        while sign := self._next(*_BINARY[level]):
            value = _applied(_BINARY[level][sign], value, self._binary(level + 1))
        return value

    def _unary(self) -> _Value:
        negations = 0
        while self._next("!"):
            negations += 1
        value = self._atom()
        if not negations:
            return value
        return lambda n: int(bool(value(n)) == (negations % 2 == 0))

    def _atom(self) -> _Value:
        if self._next("("):
            value = self._choice()
            if not self._next(")"):
                raise ValueError("a ( without )")
            return value
        if not self._tokens:
            raise ValueError("ends too early")
        token = self._tokens.pop()
        if token == "n":
            return lambda n: n
        number = int(token)  # raises ValueError for an operator
        return lambda n: number


def _conditional(test: _Value, yes: _Value, no: _Value) -> _Value:
    return lambda n: yes(n) if test(n) else no(n)


def _applied(apply: Callable[[int, int], int], left: _Value, right: _Value) -> _Value:
    return lambda n: int(apply(left(n), right(n)))
