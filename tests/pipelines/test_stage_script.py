"""pipelines/stage.sh: which interpreter and which code a stage gets, by the folder that it runs in."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "pipelines" / "stage.sh"
SYSTEM = "/usr/bin:/bin"


def interpreter(folder: Path) -> Path:
    """Make a stand-in for Python that prints its path, its arguments and PYTHONPATH."""
    folder.mkdir(parents=True)
    program = folder / "python"
    program.write_text(
        '#!/bin/sh\necho "$0"\necho "$@"\necho "$PYTHONPATH"\necho "fonts: $MPLCONFIGDIR"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    return program


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(parents=True, exist_ok=True)
    given = {"PATH": SYSTEM, "GIT_CEILING_DIRECTORIES": "/", "HOME": str(folder)} | environment
    return subprocess.run(
        ["sh", str(SCRIPT), "train_model", "--profile"],
        cwd=folder,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone of Jörg"
    interpreter(folder / ".venv/bin")
    return folder


@pytest.mark.parametrize("place", [".", ".dvc/tmp/exps/tmp1", ".dvc/tmp/exps/standalone/tmp2"])
def test_copies_of_a_clone_use_its_interpreter_and_their_own_code(clone: Path, place: str) -> None:
    here = (clone / place).resolve()
    done = run(here)
    assert done.stdout.splitlines() == [
        f"{clone}/.venv/bin/python", "-m seqloom.stages train_model --profile", f"{here}/src", "fonts: "
    ]  # fmt: skip


def test_a_worktree_uses_the_interpreter_of_its_clone(clone: Path, tmp_path: Path) -> None:
    person = ["-c", "user.name=A Person", "-c", "user.email=person@example.org"]
    worktree = tmp_path / "beside it"
    for words in (["init"], ["commit", "--allow-empty", "-m", "Begin"], ["worktree", "add", "--detach", str(worktree)]):
        subprocess.run(["git", *person, *words], cwd=clone, check=True, capture_output=True)
    for folder in (worktree, worktree / ".dvc/tmp/exps/tmp1"):
        assert run(folder).stdout.splitlines()[0] == f"{clone}/.venv/bin/python"
    interpreter(worktree / ".venv/bin")
    assert run(worktree).stdout.splitlines()[0] == f"{worktree}/.venv/bin/python"


def test_without_a_virtual_environment_the_python_on_path_is_used(tmp_path: Path) -> None:
    program = interpreter(tmp_path / "bin")
    done = run(tmp_path / "clone", PATH=f"{program.parent}{os.pathsep}{SYSTEM}", PYTHONPATH="/elsewhere")
    assert done.stdout.splitlines()[0] == str(program)
    assert done.stdout.splitlines()[2] == f"{tmp_path}/clone/src:/elsewhere"


def test_without_any_python_the_error_says_what_to_do(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "git"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    done = run(tmp_path / "clone/.dvc/tmp/exps/tmp1", PATH=str(tools))
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: there is neither {tmp_path}/clone/.venv nor a python on PATH; run `make run`"
    )


def test_a_copy_of_a_clone_sees_the_files_that_git_ignores(clone: Path) -> None:
    (clone / "data/local/folder").mkdir(parents=True)
    for name in ("README.md", "my pairs.tsv", "folder/part.tsv"):
        (clone / "data/local" / name).write_text(name, encoding="utf-8")
    copy = clone / ".dvc/tmp/exps/tmp1"
    (copy / "data/local").mkdir(parents=True)
    (copy / "data/local/README.md").write_text("of the commit", encoding="utf-8")
    for _ in range(2):  # every stage links them
        assert run(copy).returncode == 0
    found = {
        str(path.relative_to(copy / "data/local")): path.read_text(encoding="utf-8")
        for path in (copy / "data/local").glob("**/*.*")
    } | {"folder/part.tsv": (copy / "data/local/folder/part.tsv").read_text(encoding="utf-8")}
    assert found == {"README.md": "of the commit", "my pairs.tsv": "my pairs.tsv", "folder/part.tsv": "folder/part.tsv"}


def test_if_home_is_not_writable_the_font_cache_is_in_the_clone(clone: Path) -> None:
    done = run(clone / ".dvc/tmp/exps/tmp1", HOME="/proc/nohome")
    assert done.stdout.splitlines()[3] == f"fonts: {clone}/scratch/matplotlib"
    assert run(clone, HOME="/proc/nohome", MPLCONFIGDIR="/mine").stdout.splitlines()[3] == "fonts: /mine"
