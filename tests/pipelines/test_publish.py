"""Publishing to Git, without changing the working folder, and to DVC's remote; nothing is done twice."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import PublishError
from pipelines.publish import Publication, is_published, publish
from tests.commands import dvc

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

DAG = """
stages:
  only: {cmd: mkdir -p metrics; cp given data; cp given metrics/a.json, deps: [given], outs: [data],
         metrics: [{metrics/a.json: {cache: false}}]}
"""


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def clone(make_repository: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")  # Git has no user
    root = make_repository(DAG)
    (root / "given").write_text("1", encoding="utf-8")
    (root / ".gitignore").write_text("/data\n/scratch\n/.dvc*\n", encoding="utf-8")
    (root / "scratch").mkdir()
    git(root, "init", "-q", "-b", "work")
    git(root, "add", "dvc.yaml", "given", "params.yaml", ".gitignore")
    git(root, "-c", "user.name=a", "-c", "user.email=b@c", "commit", "-qm", "begin")
    dvc(root, "repro")
    return root


@pytest.mark.slow
def test_results_are_committed_to_their_own_branch_and_the_working_branch_is_unchanged(clone: Path) -> None:
    wanted = Publication(commit="branch")
    (clone / "given").write_text("work in progress", encoding="utf-8")
    (clone / "new.txt").touch()
    git(clone, "add", "new.txt")
    before = (git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain"))
    assert not is_published(clone, wanted, "m/1")
    assert publish(clone, wanted, "m/1", "first") == ["committed (refs/heads/retrained)"]
    assert is_published(clone, wanted, "m/1")
    assert publish(clone, wanted, "m/1", "first") == ["committed already (refs/heads/retrained)"]
    assert (git(clone, "rev-parse", "HEAD"), git(clone, "status", "--porcelain")) == before
    changed = git(clone, "diff", "--name-only", "HEAD", "retrained").split()
    assert changed == ["dvc.lock", "metrics/a.json"]
    (clone / "metrics" / "a.json").write_text("2", encoding="utf-8")
    git(clone, "-c", "user.name=a", "-c", "user.email=b@c", "commit", "-qm", "a person goes on", "--", "given")
    assert not is_published(clone, wanted, "m/2")
    publish(clone, wanted, "m/2", "second")
    assert git(clone, "log", "--format=%s", "--first-parent", "retrained").split() == ["second", "first", "begin"]
    assert git(clone, "show", "retrained:metrics/a.json") == "2"
    assert git(clone, "show", "retrained:given") == "work in progress"  # the later commit of HEAD


@pytest.mark.slow
def test_results_are_committed_to_a_tag_per_version_or_here(clone: Path) -> None:
    publish(clone, Publication(commit="tag"), "m/1", "first")
    assert git(clone, "show", "m/1:metrics/a.json") == "1"
    assert git(clone, "log", "--format=%s") == "begin"
    assert not is_published(clone, Publication(commit="tag"), "m/2")
    (clone / "given").write_text("work in progress", encoding="utf-8")
    publish(clone, Publication(commit="here"), "m/1", "here it is")
    assert git(clone, "log", "--format=%s").splitlines() == ["here it is", "begin"]
    assert git(clone, "status", "--porcelain") == "M given"
    assert is_published(clone, Publication(commit="here"), "m/1")


@pytest.mark.slow
def test_a_failed_push_is_reported_and_completed_by_the_next_call(clone: Path, tmp_path: Path) -> None:
    wanted = Publication(push=True, commit="tag")
    assert publish(clone, Publication(push=True), "m/1", "x")[0].startswith("not pushed: DVC has no default remote")
    remote = tmp_path / "remote"
    remote.touch()  # so that no folder can be made there
    dvc(clone, "remote", "add", "--default", "away", str(remote))
    with pytest.raises(PublishError, match=r"(?s)^dvc push to away: .*done: committed \(refs/tags/m/1\)$"):
        publish(clone, wanted, "m/1", "first")
    assert not is_published(clone, wanted, "m/1")
    remote.unlink()
    assert publish(clone, wanted, "m/1", "first") == [
        "pushed to DVC's remote away", "committed already (refs/tags/m/1)"
    ]  # fmt: skip
    assert is_published(clone, wanted, "m/1")
    assert list(remote.rglob("*"))
