"""Find every module and library that a module imports, directly or through others, by reading the source.

A test compares dvc.yaml's deps with the result, and the identity of a training run is computed from it, so neither can
miss a module.
"""

import ast
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).parent

# These decide whether and how a stage runs, never what it writes. The values of settings are in params.yaml and, as
# defaults, in the settings modules of the rooms, which are not exempt. Moving a place also changes dvc.yaml.
EXEMPT = frozenset({
    "seqloom.collector", "seqloom.errors", "seqloom.exits", "seqloom.params", "seqloom.places", "seqloom.plain_yaml",
    "seqloom.printable", "seqloom.progress", "seqloom.settings", "seqloom.sharding.launching", "seqloom.sharding.local",
    "seqloom.sharding.ray", "seqloom.sharding.slurm", "seqloom.stages.console", "seqloom.telemetry",
})  # fmt: skip


def closure(module: str, package: Path = PACKAGE) -> dict[str, Path]:
    """Return the modules of the package that `module` needs, itself included, as a mapping from name to file.

    Imports inside functions count. Packages are omitted, since their `__init__` holds only a docstring, and so are
    the modules in `EXEMPT`. `package` is the seqloom source folder to read.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = package.parent.joinpath(*name.split(".")).with_suffix(".py")
        if name in found or name in EXEMPT or name.split(".")[0] != PACKAGE.name or not file.is_file():
            continue
        found[name] = file
        waiting += imports(file)
    return found


def imports(file: Path) -> list[str]:
    """Return the modules that a source file imports, and each name imported from one as `module.name`."""
    return list(_imports(file.read_text(encoding="utf-8")))


def libraries(files: Iterable[Path], also: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of the third-party distributions that the files import, and of those named in `also`.

    Distributions that are not installed are omitted.
    """
    modules = {name.split(".")[0] for file in files for name in imports(file)}
    outside = modules - {PACKAGE.name} - sys.stdlib_module_names
    wanted = {distribution for module in outside for distribution in _distributions(module)}
    found = ((distribution, _version(distribution)) for distribution in sorted(wanted | set(also)))
    return {distribution: version for distribution, version in found if version is not None}


def _distributions(module: str) -> list[str]:
    if _version(module) is not None:
        return [module]
    return importlib.metadata.packages_distributions().get(module, [])  # e.g. the module yaml belongs to PyYAML


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=512)
def _imports(source: str) -> tuple[str, ...]:
    return tuple(_named(ast.parse(source)))


def _named(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: relative imports are not followed; use an absolute import"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
