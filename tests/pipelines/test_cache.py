"""A broken object of DVC's cache is found by its hash and replaced; DVC alone would check it out as a result."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cache import mend
from pipelines.dag import changed_stages
from tests.commands import dvc

DAG = """
stages:
  first: {cmd: mkdir -p folder; cp given folder/a; echo b > folder/b, deps: [given], outs: [folder]}
"""


@pytest.fixture
def clone(make_repository: Callable[[str], Path]) -> Path:
    root = make_repository(DAG)
    (root / "given").write_text("whole", encoding="utf-8")
    dvc(root, "repro")
    return root


def corrupt(root: Path) -> Path:
    name = hashlib.md5(b"whole").hexdigest()
    path = root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_text("rotten", encoding="utf-8")
    path.chmod(0o444)  # DVC does not check read-only objects
    return path


def test_a_broken_object_is_restored_from_the_workspace(clone: Path) -> None:
    assert mend(clone) == []
    path = corrupt(clone)
    assert mend(clone) == [hashlib.md5(b"whole").hexdigest()]
    assert path.read_text(encoding="utf-8") == "whole"
    assert changed_stages(clone) == set()


def test_a_changed_file_of_the_workspace_is_not_taken_for_the_result(clone: Path) -> None:
    recorded = (clone / "dvc.lock").read_bytes()
    corrupt(clone)
    (clone / "folder" / "a").unlink()
    mend(clone)
    assert (clone / "dvc.lock").read_bytes() == recorded
    assert changed_stages(clone) == {"first"}


@pytest.mark.slow
@pytest.mark.parametrize("remote", [True, False])
def test_a_missing_object_is_fetched_or_made_again(clone: Path, tmp_path: Path, remote: bool) -> None:
    if remote:
        dvc(clone, "remote", "add", "--default", "away", str(tmp_path / "remote"))
        dvc(clone, "push")
    path = corrupt(clone)
    (clone / "folder" / "a").unlink()
    (clone / "folder" / "b").unlink()
    mend(clone)
    assert path.exists() == remote
    dvc(clone, "repro")
    assert (clone / "folder" / "a").read_text(encoding="utf-8") == "whole"
