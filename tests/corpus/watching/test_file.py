import json

import pytest

from seqloom.corpus.source_settings import FileSource
from seqloom.corpus.sources.file import fetch_file
from seqloom.corpus.watching.file import check_file
from seqloom.errors import SourceError
from seqloom.files import sha256_of
from seqloom.progress import ignore

LANGUAGES = ["en", "de"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "local" / "po" / "app").mkdir(parents=True)
    return tmp_path


def take(here, source):
    """Fetch the file as download_corpus does."""
    into = here / "raw" / "c"
    into.mkdir(parents=True, exist_ok=True)
    for old in into.rglob("*.*"):
        old.unlink()
    fetch_file("c", source, LANGUAGES, into, ignore)
    files = [path for path in into.rglob("*") if path.is_file()]
    entries = [{"path": f"c/{path.relative_to(into).as_posix()}", "sha256": sha256_of(path)} for path in files]
    (here / "raw" / "manifest.json").write_text(json.dumps({"c": {"kind": "file", "files": entries}}))


@pytest.mark.parametrize("path", ["data/local/po", "data/local/po/app/de.tsv", "data/local/po/app/{lang}.txt"])
def test_files_are_new_until_they_are_downloaded(here, path):
    folder = here / "data" / "local" / "po" / "app"
    for name in ("de.tsv", "en.txt", "de.txt"):
        (folder / name).write_text("one\teins\n")
    source = FileSource(kind="file", path=path, format="moses" if "{lang}" in path else "tsv")
    manifest = here / "raw" / "manifest.json"
    never = check_file("c", source, LANGUAGES, manifest)
    assert (never.changed, never.known) == (True, None)
    take(here, source)
    taken = check_file("c", source, LANGUAGES, manifest)
    assert (taken.changed, taken.known) == (False, never.found)
    for name in ("de.tsv", "de.txt"):
        (folder / name).write_text("two\tzwei\n")
    changed = check_file("c", source, LANGUAGES, manifest)
    assert (changed.changed, changed.pins) == (True, {})
    assert changed.found != changed.known == never.found
    take(here, source)
    assert not check_file("c", source, LANGUAGES, manifest).changed


def test_changes_in_a_folder_are_counted(here):
    folder = here / "data" / "local" / "po"
    source = FileSource(kind="file", path="data/local/po", format="tsv")
    for name in "abc":
        (folder / f"{name}.tsv").write_text(name)
    take(here, source)
    (folder / "a.tsv").unlink()
    (folder / "b.tsv").write_text("other")
    for name in "xy":
        (folder / f"{name}.tsv").write_text(name)
    assert check_file("c", source, LANGUAGES, here / "raw" / "manifest.json").why.endswith("2 new, 1 changed, 1 gone")


def test_a_pinned_file_is_compared_with_its_pin(here):
    for name in ("en.txt", "de.txt"):
        (here / name).write_text(name)
    pins = {name: sha256_of(here / f"{name}.txt") for name in ("en", "de")}
    both = FileSource(kind="file", path=f"{here}/{{lang}}.txt", format="moses", sha256=pins)
    one = FileSource(kind="file", path=f"{here}/de.txt", format="tsv", sha256=pins["de"])
    assert not any(check_file("c", each, LANGUAGES, here / "none").changed for each in (both, one))
    (here / "de.txt").write_text("other")
    new = sha256_of(here / "de.txt")
    assert check_file("c", one, LANGUAGES, here / "none").pins == {"sha256": new}
    assert check_file("c", both, LANGUAGES, here / "none").pins == {"sha256": {**pins, "de": new}}


def test_a_missing_file_is_an_error(here):
    with pytest.raises(SourceError, match=r"file not found: data/local/x\.tsv"):
        check_file("c", FileSource(kind="file", path="data/local/x.tsv", format="tsv"), LANGUAGES, here / "none")
