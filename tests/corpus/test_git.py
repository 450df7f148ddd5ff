import os
import subprocess

import pytest

from seqloom.corpus.source_settings import GitSource
from seqloom.corpus.sources.download_cache import DownloadCache
from seqloom.corpus.sources.git import fetch_git, newest
from seqloom.errors import ArchiveError, OfflineError, SourceError
from seqloom.progress import ignore

LANGUAGES = ["en", "de"]


def git(folder, *arguments, inp=None):
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True, capture_output=True, input=inp, env={**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null"},
    )  # fmt: skip
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with files of two languages, another file, a link to the outside, and a hook."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for name, text in {"text/en.txt": "one\n", "text/de.txt": "eins\n", "text/fr.txt": "un\n", "run.sh": "#!"}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "text" / "passwd").symlink_to("/etc/passwd")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


def source(repository, commit, members="text/{lang}.txt", **more):
    content = {"kind": "git", "format": "moses", "repository": str(repository), "commit": commit, "members": members}
    return GitSource.model_validate({**content, **more})


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_only_the_members_of_a_commit_are_fetched(repository, downloads, into):
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "text" / "de.txt").write_text("zwei\n")
    git(repository, "commit", "-q", "-a", "-m", "Go on")
    reports = []
    fetch_git("c", source(repository, commit), LANGUAGES, into, downloads, reports.append)
    assert files(into) == {"text/en.txt": "one\n", "text/de.txt": "eins\n"}
    assert reports[-1].done == reports[-1].total == 9


def test_without_members_every_file_except_links_is_fetched(repository, downloads, into):
    whole = source(repository, git(repository, "rev-parse", "HEAD"), None, format="tsv")
    fetch_git("c", whole, LANGUAGES, into, downloads, ignore)
    assert set(files(into)) == {"text/en.txt", "text/de.txt", "text/fr.txt", "run.sh"}
    assert not any(path.is_symlink() for path in into.rglob("*"))
    assert not (into / "run.sh").stat().st_mode & 0o111


def test_a_second_fetch_needs_no_repository(repository, downloads, into, tmp_path):
    wanted = source(repository, git(repository, "rev-parse", "HEAD"))
    fetch_git("c", wanted, LANGUAGES, into, downloads, ignore)
    repository.rename(tmp_path / "gone")
    again = tmp_path / "again"
    again.mkdir()
    fetch_git("c", wanted, LANGUAGES, again, downloads, ignore)
    assert files(again) == files(into)


def test_a_clone_in_the_mirror_replaces_the_repository(repository, into, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    git(repository, "clone", "-q", "--bare", ".", str(mirror / "c.git"))
    wanted = source("https://repository.invalid/x", git(repository, "rev-parse", "HEAD"), branch="main")
    fetch_git("c", wanted, LANGUAGES, into, DownloadCache(tmp_path / "d", mirror), ignore)
    assert "text/de.txt" in files(into)
    assert newest("c", wanted, DownloadCache(tmp_path / "d", mirror)) == wanted.commit


def test_the_newest_commit_of_a_branch_is_found(repository, downloads):
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "branch", "later")
    assert newest("c", source(repository, commit, branch="main"), downloads) == commit
    with pytest.raises(SourceError, match="has no branch 'lat'"):
        newest("c", source(repository, commit, branch="lat"), downloads)


def test_hooks_and_the_callers_repository_have_no_effect(repository, downloads, into, tmp_path, monkeypatch):
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    wanted = source(repository, subprocess.check_output(
        ["git", "--git-dir", str(repository / ".git"), "rev-parse", "HEAD"], text=True).strip())  # fmt: skip
    fetch_git("c", wanted, LANGUAGES, into, downloads, ignore)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_name_pointing_outside_the_folder_is_rejected(repository, downloads, into, tmp_path):
    blob = git(repository, "hash-object", "-w", "--stdin", inp=b"x\n")
    entry = f"100644 {'..'}\0".encode() + bytes.fromhex(blob)  # git itself would not create such a tree
    inner = git(repository, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", inp=entry)
    outer = git(repository, "mktree", inp=f"040000 tree {inner}\ttext\n".encode())
    commit = git(repository, "commit-tree", outer, "-m", "Leave")
    git(repository, "branch", "out", commit)
    with pytest.raises(ArchiveError, match=r"'text/\.\.' points outside the target folder"):
        fetch_git("c", source(repository, commit, None, format="tsv"), LANGUAGES, into, downloads, ignore)
    assert not files(into)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"commit": "0" * 40}, r"git cannot read its repository|has no commit 0000"),
        ({"members": "no/{lang}.txt"}, "no file at .* matches 'no/{lang}.txt'"),
        ({"max_bytes": 5}, "more than max_bytes"),
    ],
)
def test_missing_repositories_commits_and_files_are_errors(repository, downloads, into, changes, message):
    wanted = source(**{"repository": repository, "commit": git(repository, "rev-parse", "HEAD"), **changes})
    with pytest.raises(SourceError, match=message):
        fetch_git("c", wanted, LANGUAGES, into, downloads, ignore)
    assert not files(into)


def test_the_error_for_an_unreachable_host_gives_a_remedy(downloads, into, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    wanted = source("http://127.0.0.1:9/x.git", "0" * 40, branch="main")
    for attempt in (
        lambda: newest("c", wanted, downloads),
        lambda: fetch_git("c", wanted, LANGUAGES, into, downloads, ignore),
    ):
        with pytest.raises(OfflineError, match=r"cannot be reached .*connect, or put a clone .*c\.git.*SEQLOOM_MIRROR"):
            attempt()


def test_a_transport_that_runs_programs_is_rejected(downloads, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.ext::touch {tmp_path}/ran .insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://e.org/")
    with pytest.raises(SourceError, match="transport 'ext' not allowed"):
        newest("c", source("https://e.org/x", "0" * 40, branch="main"), downloads)
    assert not (tmp_path / "ran").exists()
