"""Statements of the repository's files about each other are true."""

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dvc.cli import parse_args
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from seqloom.cli.main import main as seqloom

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
}
ABOVE = {"stages", "tracking", "serving", "cli"}  # modules outside the core


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_pins_are_exact_and_name_no_host_and_no_build() -> None:
    for name, version in PINS.items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}=={version}"


def test_every_requirement_is_pinned_within_its_bounds() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    groups = [PROJECT["build-system"]["requires"], PROJECT["project"]["dependencies"], *extras.values()]
    for requirement in (Requirement(text) for group in groups for text in group):
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)]), str(requirement)


def test_no_tracked_file_names_a_private_path_or_a_registry() -> None:
    private = re.compile(
        "|".join(
            ["/" + "home/[a-z]+/", "/" + "root/", "/" + "Users/[a-z]+/", "://[^/ ]*py" + "pi", "python" + "hosted"]
        )
    )
    for path in tracked():
        if path.is_file():
            found = private.search(path.read_bytes().decode("utf-8", "replace"))
            assert not found, f"{path}: {found and found[0]}"


def test_continuous_integration_can_be_started() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_continuous_integration_runs_each_test() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    chosen = dict(re.findall(r"^([a-z]+): .*\n\t@\$\(PYTEST\) -m (.*)$", makefile, re.MULTILINE))
    assert chosen == {"test": "'not drill'", "drills": "'drill or property'"}
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make test", "make drills"} <= set(run)


def commands() -> list[str]:
    """Return the lines that a user types, from the blocks of the README and of the tutorial."""
    text = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/TUTORIAL.md"))
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    typed = [line for line in lines if re.match(r"(make|seqloom|dvc|python|\.venv/bin/\S+)\b", line)]
    return list(dict.fromkeys(typed))


@pytest.mark.parametrize("command", commands())
def test_commands_of_the_readme_and_the_tutorial_exist(command: str) -> None:
    words = shlex.split(command, comments=True)
    program = words[0].removeprefix(".venv/bin/")
    match program:
        case "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            assert set(words[1:]) - {word for word in words if "=" in word} <= set(targets)
        case "python":
            assert words[1] == "-m"
            place = ROOT / Path(*words[2].split("."))
            assert (
                place.with_suffix(".py").exists()
                or (ROOT / "src" / place.relative_to(ROOT)).with_suffix(".py").exists()
            )
        case "seqloom" | "dvc":
            with pytest.raises(SystemExit) as left:
                {"seqloom": seqloom, "dvc": parse_args}[program]([words[1], "--help"])
            assert left.value.code == 0


def core_modules() -> list[str]:
    package = ROOT / "src" / "seqloom"
    paths = [path.relative_to(package.parent) for path in sorted(package.rglob("*.py"))]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if not ABOVE & set(name.split(".")[1:2])]


def needed(names: list[str]) -> set[str]:
    """Return the distributions that the given ones install, including themselves."""
    found: set[str] = set()
    waiting = [canonicalize_name(Requirement(name).name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            brought = [Requirement(text) for text in importlib.metadata.requires(name) or []]
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [canonicalize_name(r.name) for r in brought if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


IMPORT_WITHOUT = """
import importlib, json, sys
hidden, modules = json.load(sys.stdin)
hidden = set(hidden)
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)
sys.meta_path.insert(0, Hidden())
for module in modules:
    importlib.import_module(module)
"""


def test_the_core_imports_with_only_its_own_dependencies() -> None:
    allowed = needed(PROJECT["project"]["dependencies"]) | {"seqloom"}
    brought_by = importlib.metadata.packages_distributions()
    hidden = [
        module
        for module, names in brought_by.items()
        if not allowed & {canonicalize_name(name) for name in names} and module not in sys.stdlib_module_names
    ]
    assert {"dvc", "mlflow", "prefect", "matplotlib", "polib", "pandas"} <= set(hidden)
    modules = core_modules()
    assert "seqloom.training.engine" in modules
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_WITHOUT],
        input=json.dumps([hidden, modules]),
        text=True,
        check=False,
    )
    assert done.returncode == 0
