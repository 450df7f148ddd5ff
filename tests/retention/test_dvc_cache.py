import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from seqloom.errors import SeqloomError
from seqloom.retention.dvc_cache import find_dvc_objects
from tests.commands import dvc


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose data was committed once, then changed three times; DVC's cache has all four states."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    Repo.init(str(tmp_path)).close()
    add(tmp_path, "committed")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    commit = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "1"]
    subprocess.run(commit, cwd=tmp_path, check=True)
    return tmp_path


def add(clone: Path, content: str) -> str:
    """Add a folder with one file to DVC; return the folder's hash."""
    (clone / "data").mkdir(exist_ok=True)
    (clone / "data" / "file").write_text(content, encoding="utf-8")
    dvc(clone, "add", "data")
    return str(yaml.safe_load((clone / "data.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"])


def contents(clone: Path) -> set[str]:
    files = (clone / ".dvc" / "cache" / "files" / "md5").glob("*/*")
    return {path.read_text(encoding="utf-8") for path in files if path.suffix != ".dir"}


def test_only_objects_that_no_commit_no_workspace_and_no_version_needs_go(clone: Path) -> None:
    registered = add(clone, "registered")
    add(clone, "of nobody")
    add(clone, "workspace")
    needed = {"seqloom-en-de/1": [registered, "0" * 32 + ".dir"]}  # the second was never pulled
    (removal,) = find_dvc_objects(clone, needed, None).removals
    assert removal.name == "2 objects"  # the file and the listing of its folder
    assert removal.bytes > len("of nobody")
    assert len(contents(clone)) == 4
    removal.remove()
    assert contents(clone) == {"committed", "registered", "workspace"}
    assert find_dvc_objects(clone, needed, None).removals == []


def test_with_a_date_older_commits_do_not_count(clone: Path) -> None:
    add(clone, "workspace")
    assert find_dvc_objects(clone, {}, None).removals == []
    (removal,) = find_dvc_objects(clone, {}, "2999-01-01").removals
    removal.remove()
    assert contents(clone) == {"workspace"}


def test_a_cache_that_other_clones_may_use_is_left_alone(clone: Path) -> None:
    dvc(clone, "cache", "dir", "--local", str(clone.parent / "shared"))
    with pytest.raises(SeqloomError, match="other clones may use it"):
        find_dvc_objects(clone, {}, None)
