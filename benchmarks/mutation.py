"""Find small faults in a module that its tests do not notice.

    python -m benchmarks.mutation src/seqloom/gate/rules.py tests/gate -m "not slow"
    python -m benchmarks.mutation src/seqloom/batching/store.py tests/batching/test_store.py --every 3

Each mutant has one change inside a function: another operator, a number one larger, a keyword argument or a statement
left out, and the like. It runs in a fork of this process, which has imported the module and the tests already, until a
test fails; tests that found the last mutants run first. A mutant that no test notices is printed: it deserves a test,
shows code that is not needed, or is equivalent. Processes that tests start do not see the change.
"""

import argparse
import ast
import gc
import os
import resource
import signal
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import hypothesis
import pytest

_OTHERS: dict[type[ast.AST], list[type[ast.AST]]] = {
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.FloorDiv], ast.Div: [ast.Mult], ast.FloorDiv: [ast.Mult],
    ast.Mod: [ast.FloorDiv], ast.Pow: [ast.Mult], ast.LShift: [ast.RShift], ast.RShift: [ast.LShift],
    ast.BitAnd: [ast.BitOr], ast.BitOr: [ast.BitAnd], ast.And: [ast.Or], ast.Or: [ast.And], ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is], ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq],
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt], ast.Gt: [ast.GtE, ast.LtE], ast.GtE: [ast.Gt, ast.Lt],
    ast.Break: [ast.Continue], ast.Continue: [ast.Break], ast.AugAssign: [ast.Pass], ast.Raise: [ast.Pass],
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "amin": "amax", "amax": "amin", "sorted": "list"}


class Mutant(NamedTuple):
    """A changed function of a module."""

    function: str  # its qualified name; of nested ones the outermost
    change: str
    code: CodeType


def variants(node: Any) -> Iterator[ast.AST]:
    """Yield the changed versions of a node of a syntax tree."""
    yield from (other() for other in _OTHERS.get(type(node), ()))
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Name(id=name) if name in _NAMES:
            yield ast.Name(_NAMES[name], node.ctx)
        case ast.Attribute(attr=name) if name in _NAMES:
            yield ast.Attribute(node.value, _NAMES[name], node.ctx)
        case ast.Call(keywords=keywords):
            yield from (ast.Call(node.func, node.args, [k for k in keywords if k is not out]) for out in keywords)
        case ast.If(test=test) | ast.While(test=test):
            yield type(node)(ast.UnaryOp(ast.Not(), test), node.body, node.orelse)
        case ast.IfExp(test=test):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), node.body, node.orelse)
        case ast.comprehension(ifs=[_, *_]):
            yield ast.comprehension(node.target, node.iter, [], node.is_async)
        case ast.Return(value=ast.expr()):
            yield ast.Return()
        case ast.Expr(value=value) if not isinstance(value, ast.Constant):
            yield ast.Pass()


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, function by function."""
    tree = ast.parse(source)
    for name, function in _functions(tree, ""):
        original = _code(tree, path, name)
        for parent in ast.walk(function):
            for field, value in ast.iter_fields(parent):
                for place, node in enumerate(value if isinstance(value, list) else [value]):
                    line = getattr(node, "lineno", getattr(parent, "lineno", function.lineno))
                    for variant in variants(node):
                        _put(parent, field, place, variant)
                        code = _code(tree, path, name)
                        _put(parent, field, place, node)
                        if code != original:  # an annotation, for example, is not part of the code
                            yield Mutant(name, f"{path}:{line}: {_short(node)}  ->  {_short(variant)}", code)


def _functions(tree: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node


def _put(parent: ast.AST, field: str, place: int, node: ast.AST) -> None:
    if isinstance(value := getattr(parent, field), list):
        value[place] = node
    else:
        setattr(parent, field, node)


def _short(node: ast.AST) -> str:
    return (ast.unparse(ast.fix_missing_locations(node)) or type(node).__name__).splitlines()[0]


def _code(tree: ast.Module, path: str, function: str) -> CodeType:
    code = compile(ast.fix_missing_locations(tree), path, "exec")
    for name in function.split("."):
        code = next(part for part in code.co_consts if isinstance(part, CodeType) and part.co_name == name)
    return code


class Runner:
    """A pytest plugin that runs every n-th mutant of a module, with at most `seconds` of CPU time each."""

    def __init__(self, module: Path, every: int, seconds: int) -> None:
        self._path, self._every, self._seconds = str(module.resolve()), every, seconds

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the mutants instead of the tests and print those that no test notices."""
        gc.unfreeze()  # tests/conftest.py froze them, and the collector does not list frozen objects
        functions = [each for each in gc.get_objects() if type(each) is FunctionType]
        functions = [each for each in functions if each.__code__.co_filename == self._path]
        gc.freeze()  # a collection in a fork would copy all memory
        if self._fork(session, [], None):
            raise pytest.UsageError("a test fails without a mutant")
        survived = tried = 0
        source = Path(self._path).read_text(encoding="utf-8")
        for mutant in islice(mutants(source, self._path), 0, None, self._every):
            changed = [each for each in functions if each.__qualname__ == mutant.function]
            tried += 1
            if not self._fork(session, changed, mutant.code):
                survived += 1
                print(mutant.change, flush=True)
        print(f"{survived} of {tried} mutants survived")
        return True

    def _fork(self, session: pytest.Session, changed: list[FunctionType], code: CodeType | None) -> bool:
        """Run the tests in a fork with the code of `changed` replaced; return whether one fails."""
        pipe, end = os.pipe()
        if not (child := os.fork()):
            try:
                self._child(session, changed, code, end)
            finally:
                os._exit(99)
        os.close(end)
        killer = os.read(pipe, 8)
        os.close(pipe)
        if killer:
            items = session.items
            items.insert(0, items.pop(int(killer)))
        return os.waitpid(child, 0)[1] != 0

    def _child(self, session: pytest.Session, changed: list[FunctionType], code: CodeType | None, end: int) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (self._seconds, self._seconds))
        signal.alarm(10 * self._seconds)  # for a mutant that waits forever
        for function in changed:
            function.__code__ = code or function.__code__
        for place, item in enumerate(session.items):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if session.testsfailed:
                os.write(end, str(place).encode())
                os._exit(1)
        os._exit(0)


def main() -> None:
    """Run the mutants of the module given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path)
    parser.add_argument("--every", type=int, default=1, help="run every n-th mutant only")
    parser.add_argument("--seconds", type=int, default=60, help="most CPU time of a mutant")
    args, tests = parser.parse_known_args()
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # no need to simplify what fails
    hypothesis.settings.register_profile("mutation", phases=phases, deadline=None, database=None, derandomize=True)
    hypothesis.settings.load_profile("mutation")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:terminalreporter", "-p", "no:faulthandler"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning", "--assert=plain", *tests]  # Hypothesis is loaded
    sys.exit(pytest.main(options, plugins=[Runner(args.module, args.every, args.seconds)]))


if __name__ == "__main__":
    main()
