import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from seqloom.tracking.runs.provenance import current_commit, dvc_hashes, fingerprint, library_versions

LOCK = """
schema: '2.0'
stages:
  a:
    cmd: x
    outs:
    - path: data/corpus
      hash: md5
      md5: 0123.dir
    - path: metrics/corpus.json
      hash: md5
      md5: '4567'
  b:
    cmd: y
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("1")
    (tmp_path / "dvc.lock").write_text("1")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def test_only_files_that_affect_results_make_a_commit_dirty(repository: Path) -> None:
    shaping = [Path("src"), Path("not-there.txt")]
    (repository / "dvc.lock").write_text("2")
    clean = current_commit(repository, shaping)
    assert clean is not None
    head = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert clean == (head.stdout.strip(), False)
    (repository / "src" / "new.py").write_text("")
    assert current_commit(repository, shaping) == (clean.sha, True)


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert current_commit(tmp_path, []) is None
    monkeypatch.setenv("PATH", "")
    assert current_commit(tmp_path, []) is None


def test_hashes_come_from_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(LOCK)
    assert dvc_hashes(lock, [Path("data/corpus"), Path("models/candidate")]) == {"data/corpus": "0123.dir"}


@pytest.mark.parametrize("content", [None, "", "stages: [", "stages: 3", "[]", "stages: {a: 1}"])
def test_a_missing_or_broken_lock_gives_no_hashes(tmp_path: Path, content: str | None) -> None:
    lock = tmp_path / "dvc.lock"
    if content is not None:
        lock.write_text(content)
    assert dvc_hashes(lock, [Path("data/corpus")]) == {}


def test_only_installed_libraries_have_versions() -> None:
    assert list(library_versions(["pytest", "no-such-library"])) == ["pytest"]


def test_the_fingerprint_depends_on_names_contents_and_facts(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"1", b"2"))
    by_hand = hashlib.sha256(json.dumps({"x": 1, "y": 2}).encode() + f"\na {one}\nsub/b {two}".encode()).hexdigest()
    assert fingerprint(tmp_path, {"y": 2, "x": 1}) == by_hand
    (tmp_path / "a").rename(tmp_path / "c")
    assert fingerprint(tmp_path, {"y": 2, "x": 1}) != by_hand
