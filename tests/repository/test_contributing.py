"""The worked diffs of CONTRIBUTING.md apply to this tree, their tests pass, and the page shows lines of them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "contributing"
DIFFS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.diff"))}
COPIED = ("src", "tests", "pipelines", "pyproject.toml", "params.yaml", "dvc.yaml")
# The tests that the diffs add, and those of the repository that concern a new family and a new stage.
TESTS = {
    "tests/formats/test_dtd.py": "dtd",
    "tests/gate/test_rules.py": "copies_its_sources",
    "tests/models/test_contract.py": "(context_gru and not thousands) or every_family",
    "tests/stages/test_count_pairs.py": "count_pairs",
    "tests/repository/test_stages.py": "one_name or exactly_one_stage or wrong_params",
}


def added(diff: str) -> list[str]:
    return [line[1:] for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]


def shown() -> dict[str, list[str]]:
    """Return the lines of code that the page shows, by the diff that it links to."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(
        r"\(tests/repository/contributing/(\w+)\.diff\)(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE
    )
    code = {name: re.findall(r"```(?:python|yaml)\n(.*?)```", text, re.DOTALL) for name, text in blocks}
    return {name: [line for block in found for line in block.splitlines() if line] for name, found in code.items()}


def test_the_page_shows_lines_of_every_diff() -> None:
    lines = shown()
    assert set(lines) == set(DIFFS)
    for name, diff in DIFFS.items():
        assert lines[name]
        assert set(lines[name]) <= set(added(diff))


@pytest.mark.parametrize("name", ["format", "gate_rule"])
def test_a_format_and_a_gate_rule_take_few_lines(name: str) -> None:
    files = re.split(r"(?=^--- )", DIFFS[name], flags=re.MULTILINE)[1:]
    code = [file for file in files if "\n+++ b/tests/" not in file]
    assert (len(code), len(files)) == (2, 3)
    assert sum(len(added(file)) for file in code) < 30


@pytest.mark.slow
@pytest.mark.drill
def test_the_diffs_apply_and_their_tests_pass(tmp_path: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    for diff in DIFFS.values():
        subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=diff, text=True, check=True)
    chosen = " or ".join(f"({each})" for each in TESTS.values())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, "-k", chosen], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path / 'src'}{os.pathsep}{tmp_path}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stdout[-2000:] + done.stderr[-500:]
