import hashlib
import os

import pytest

from seqloom.corpus.source_settings import FileSource
from seqloom.corpus.sources.file import fetch_file, paths_of
from seqloom.errors import HashError, SourceError
from seqloom.progress import ignore

LANGUAGES = ["en", "de"]


@pytest.fixture
def into(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/local").mkdir(parents=True)
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def source(path, **more):
    form = "moses" if "{lang}" in path else "tsv"
    return FileSource.model_validate({"kind": "file", "format": form, "path": path, **more})


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_file_is_copied(into, tmp_path):
    (tmp_path / "data/local/p.tsv").write_text("a\tb\n")
    reports = []
    fetch_file("c", source("data/local/p.tsv"), LANGUAGES, into, reports.append)
    assert (into / "p.tsv").read_text() == "a\tb\n"
    assert reports[-1][:4] == ("copy c", 4, 4, "bytes")


def test_the_files_of_both_languages_are_copied(into, tmp_path):
    for language in ("en", "de", "fr"):
        (tmp_path / f"data/local/p.{language}").write_text(language)
    fetch_file("c", source("data/local/p.{lang}"), LANGUAGES, into, ignore)
    assert sorted(path.name for path in into.iterdir()) == ["p.de", "p.en"]


def test_the_file_of_every_language_is_copied(into, tmp_path):
    for language in ("en", "de", "fr", "es"):
        (tmp_path / f"data/local/p.{language}").write_text(language)
    languages = ["en", "de", "fr"]
    fetch_file("c", source("data/local/p.{lang}"), languages, into, ignore)
    assert sorted(path.name for path in into.iterdir()) == ["p.de", "p.en", "p.fr"]


def test_a_folder_is_copied(into, tmp_path):
    (tmp_path / "data/local/f/g").mkdir(parents=True)
    (tmp_path / "data/local/f/g/p.tsv").write_text("a\tb\n")
    fetch_file("c", source("data/local/f", members="g/*.tsv"), LANGUAGES, into, ignore)
    assert (into / "g/p.tsv").exists()


def test_a_missing_file_is_an_error(into):
    with pytest.raises(SourceError, match=r"c: file not found: data/local/p\.tsv; see corpora\.c\.path"):
        fetch_file("c", source("data/local/p.tsv"), LANGUAGES, into, ignore)


def test_if_one_language_is_missing_nothing_is_copied(into, tmp_path):
    (tmp_path / "data/local/p.en").write_text("x")
    with pytest.raises(SourceError, match=r"p\.de \(the other one, data/local/p\.en, exists\)"):
        fetch_file("c", source("data/local/p.{lang}"), LANGUAGES, into, ignore)
    assert not list(into.iterdir())


def test_a_pinned_file_may_be_outside_data_local(into, tmp_path):
    (tmp_path / "p.tsv").write_text("a\tb\n")
    fetch_file("c", source(str(tmp_path / "p.tsv"), sha256=sha256("a\tb\n")), LANGUAGES, into, ignore)
    assert (into / "p.tsv").exists()


def test_a_changed_file_is_rejected(into, tmp_path):
    (tmp_path / "p.en").write_text("new")
    (tmp_path / "p.de").write_text("x")
    pins = {"en": sha256("old"), "de": sha256("x")}
    with pytest.raises(HashError, match=r"p\.en does not match its pin in params\.yaml: 3 bytes"):
        fetch_file("c", source("p.{lang}", sha256=pins), LANGUAGES, into, ignore)


def test_devices_and_pipes_are_rejected(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe")):
        endless = FileSource.model_validate({"kind": "file", "format": "tsv", "path": path, "sha256": "0" * 64})
        with pytest.raises(SourceError, match="is neither a file nor a folder"):
            paths_of("c", endless, LANGUAGES)
