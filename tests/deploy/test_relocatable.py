import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.relocatable import make_movable

SAY = 'import sys\nprint(sys.prefix, *sys.argv[1:], sep="\\n")\n'


def pip_head(python: Path) -> str:
    """Return the first lines of a script that pip installs."""
    if " " in str(python):
        return f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"
    return f"#!{python}\n"


@pytest.fixture(params=["plain", "a ö'space"])
def clone(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clone with an environment as pip makes it: a console script and an editable install of `src`."""
    root = tmp_path / request.param / "clone"
    (root / "src").mkdir(parents=True)
    (root / "src" / "whose.py").write_text('"""Tells where it lies."""\n')
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / ".venv")], check=True)
    bin_ = root / ".venv" / "bin"
    for name, head in {"say": pip_head(bin_ / "python"), "other": "#!/usr/bin/env python3\n"}.items():
        (bin_ / name).write_text(head + SAY)
        (bin_ / name).chmod(0o755)
    (site,) = (root / ".venv").glob("lib/python*/site-packages")
    (site / "_editable_impl_seqloom.pth").write_text(str(root / "src"))
    (site / "another.pth").write_text("/elsewhere\n")
    return root


def run(*command: str | Path, cwd: Path) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()


@pytest.mark.parametrize("kept", [True, False], ids=["copied", "moved"])
def test_scripts_and_code_are_those_of_the_clone(clone: Path, tmp_path: Path, kept: bool) -> None:
    make_movable(clone / ".venv")
    here = tmp_path / "now here ü"
    shutil.copytree(clone, here, symlinks=True)
    if not kept:
        shutil.rmtree(clone)
    bin_ = here / ".venv" / "bin"
    (tmp_path / "say").symlink_to(bin_ / "say")
    for script in (bin_ / "say", tmp_path / "say"):
        assert run(script, "one two", "$HOME", cwd=tmp_path) == [str(here / ".venv"), "one two", "$HOME"]
    assert run(".venv/bin/say", cwd=here) == [str(here / ".venv")]
    assert run(bin_ / "python", "-c", "import whose; print(whose.__file__)", cwd=tmp_path) == [
        str(here / "src" / "whose.py")
    ]
    activated = run("bash", "-c", f'. "{bin_}/activate"; command -v python; echo "$VIRTUAL_ENV"', cwd=tmp_path)
    assert activated == [str(bin_ / "python"), str(here / ".venv")]


def test_a_second_run_changes_nothing_and_the_rest_is_left_alone(clone: Path) -> None:
    make_movable(clone / ".venv")
    files = {path: path.read_bytes() for path in (clone / ".venv").rglob("*") if path.is_file()}
    make_movable(clone / ".venv")
    assert {path: path.read_bytes() for path in (clone / ".venv").rglob("*") if path.is_file()} == files
    assert files[clone / ".venv" / "bin" / "other"].startswith(b"#!/usr/bin/env python3\n")
    (another,) = (clone / ".venv").glob("lib/python*/site-packages/another.pth")
    assert files[another] == b"/elsewhere\n"
    assert os.access(clone / ".venv" / "bin" / "say", os.X_OK)
