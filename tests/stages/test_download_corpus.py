import hashlib
import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from seqloom.errors import HashError, SourceError
from seqloom.params import load_params
from seqloom.places import RAW
from seqloom.progress import ignore
from seqloom.stages import download_corpus

PARAMS = Path(__file__).parents[2] / "params.yaml"
WHEEL = "words-1.0-py3-none-any.whl"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project and a mirror with a wheel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "data/local").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "mirror" / WHEEL, "w") as wheel:
        wheel.writestr("w/g/en.json", '{"a": "one"}')
    monkeypatch.setenv("SEQLOOM_MIRROR", str(tmp_path / "mirror"))
    return tmp_path


def params(languages=None, **corpora):
    given = load_params(PARAMS).model_dump(by_alias=True, mode="python")
    given["languages"] |= languages or {}
    return load_params(PARAMS).__class__.model_validate({**given, "corpora": corpora})


def wheel(project, **more):
    sha256 = hashlib.sha256((project / "mirror" / WHEEL).read_bytes()).hexdigest()
    source = {"kind": "package", "package": "words", "version": "1.0", "sha256": sha256}
    return {**source, "format": "json_catalogue", "members": "w/{group}/{lang}.json", **more}


MINE = {"kind": "file", "path": "data/local/p.{lang}", "format": "moses"}


def lying():
    return sorted(path.relative_to(RAW).as_posix() for path in RAW.rglob("*") if path.is_file())


def test_corpora_are_stored_unchanged_with_a_manifest(project):
    for language, text in (("en", "one\n"), ("de", "eins\n")):
        (project / f"data/local/p.{language}").write_text(text)
    download_corpus.run(params(words=wheel(project), mine=MINE), ignore)
    assert lying() == ["manifest.json", "mine/p.de", "mine/p.en", f"words/{WHEEL}"]
    manifest = json.loads((RAW / "manifest.json").read_text())
    assert list(manifest) == ["mine", "words"]
    assert manifest["mine"] == {
        "kind": "file",
        "files": [
            {"path": "mine/p.de", "sha256": hashlib.sha256(b"eins\n").hexdigest(), "bytes": 5},
            {"path": "mine/p.en", "sha256": hashlib.sha256(b"one\n").hexdigest(), "bytes": 4},
        ],
    }
    assert (RAW / "words" / WHEEL).read_bytes() == (project / "mirror" / WHEEL).read_bytes()


def test_files_of_every_language_or_of_the_given_direction_are_fetched(project):
    for language in ("en", "de", "fr", "es"):
        (project / f"data/local/p.{language}").write_text("x\n")
    one = {**MINE, "direction": {"source": "en", "target": "fr"}}
    download_corpus.run(params({"target": ["de", "fr"]}, mine=MINE, one=one), ignore)
    assert lying() == ["manifest.json", "mine/p.de", "mine/p.en", "mine/p.fr", "one/p.en", "one/p.fr"]


def test_a_second_run_gives_the_same_bytes_and_removes_dropped_corpora(project, monkeypatch):
    download_corpus.run(params(words=wheel(project), again=wheel(project)), ignore)
    before = (RAW / "manifest.json").read_bytes()
    download_corpus.run(params(again=wheel(project), words=wheel(project)), ignore)
    assert (RAW / "manifest.json").read_bytes() == before
    monkeypatch.delenv("SEQLOOM_MIRROR")  # the files in data/raw are used again
    download_corpus.run(params(words=wheel(project)), ignore)
    assert lying() == ["manifest.json", f"words/{WHEEL}"]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (lambda project: wheel(project, sha256="0" * 64), HashError),
        (lambda project: MINE, SourceError),
        (lambda project: {**MINE, "path": "data/local", "members": "{lang}"}, SourceError),
    ],
)
def test_one_bad_corpus_leaves_data_raw_as_it_was(project, bad, error):
    download_corpus.run(params(words=wheel(project)), ignore)
    before = lying()
    with pytest.raises(error):
        download_corpus.run(params(words=wheel(project), bad=bad(project)), ignore)
    assert lying() == before
    assert sorted(path.name for path in RAW.iterdir()) == ["manifest.json", "words"]


def test_an_interruption_leaves_data_raw_as_it_was(project):
    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_corpus.run(params(words=wheel(project)), interrupt)
    assert list(RAW.iterdir()) == []


def test_a_git_repository_is_fetched(project):
    repository = project / "repository"
    repository.mkdir()
    for language in ("en", "de", "fr"):
        (repository / f"p.{language}").write_text("x\n")
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    for command in ("init -q", "add -A", "commit -q -m Begin", "rev-parse HEAD"):
        done = subprocess.run(
            ["git", "-C", str(repository), *command.split()],
            check=True, capture_output=True, text=True, env={**os.environ, **identity},
        )  # fmt: skip
    source = {"kind": "git", "repository": str(repository), "commit": done.stdout.strip()}
    download_corpus.run(params(theirs={**source, "format": "moses", "members": "p.{lang}"}), ignore)
    assert lying() == ["manifest.json", "theirs/p.de", "theirs/p.en"]
    assert json.loads((RAW / "manifest.json").read_text())["theirs"]["kind"] == "git"
