import io
import zipfile

import polib
import pytest
from pydantic import TypeAdapter

from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.members import Members, expand, open_members
from seqloom.corpus.reading import RawPair, read_corpus
from seqloom.errors import ArchiveError, CorpusError, FormatError
from seqloom.languages import Direction

WHEEL = {"kind": "package", "package": "p", "version": "1", "sha256": "0" * 64}


def catalogue(members, pattern="c/{group}/{lang}.json", format="json_catalogue"):
    source = TypeAdapter(Source).validate_python({**WHEEL, "format": format, "members": pattern})
    return [each for _, each in read_corpus(members, source, [Direction("en", "de")]) if isinstance(each, RawPair)]


def test_a_wheel_is_read_in_place(tmp_path):
    with zipfile.ZipFile(tmp_path / "w-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("c/g/en.json", '{"a": "one"}')
        wheel.writestr("c/g/de.json", '{"a": "eins"}')
    with open_members("c", tmp_path) as found:
        assert catalogue(found) == [RawPair("one", "eins", "g")]


def test_a_truncated_wheel_is_an_error(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr("c/g/en.json", '{"a": "one"}')
    (tmp_path / "w.whl").write_bytes(packed.getvalue()[:-5])
    with pytest.raises(ArchiveError, match=r"c: w\.whl is truncated"), open_members("c", tmp_path):
        pass


def test_a_corrupt_member_of_a_wheel_is_an_error(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr("c/g/en.json", '{"a": "one"}')
        wheel.writestr("c/g/de.json", '{"a": "eins"}')
    (tmp_path / "w.whl").write_bytes(packed.getvalue().replace(b"eins", b"zwei", 1))
    with (
        pytest.raises(ArchiveError, match=r"c/g/de\.json is truncated or corrupt"),
        open_members("c", tmp_path) as m,
    ):
        catalogue(m)


def test_the_error_for_a_missing_corpus_names_the_stage_to_run(tmp_path):
    with pytest.raises(CorpusError, match="download_corpus"), open_members("c", tmp_path / "absent"):
        pass


def test_mo_files_of_a_language_pack_are_read(tmp_path):
    entry = polib.POEntry(msgid="Save", msgstr="Speichern")
    catalogue_file = polib.POFile()
    catalogue_file.append(entry)
    with zipfile.ZipFile(tmp_path / "pack-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pack_de_DE/locale/de_DE/LC_MESSAGES/lab.mo", catalogue_file.to_binary())
        wheel.writestr("pack_de_DE/locale/de_DE/LC_MESSAGES/lab.json", "{}")
    with open_members("c", tmp_path) as found:
        pairs = catalogue(found, "pack_de_DE/locale/de_DE/LC_MESSAGES/{group}.mo", "gettext")
    assert pairs == [RawPair("Save", "Speichern", "lab")]


def test_no_group_with_both_languages_is_an_error(members):
    with pytest.raises(FormatError, match=r"no catalogue exists in both .* matches 2 for 'en' and 1 for 'de'"):
        catalogue(members({"c/g/en.json": "{}", "c/h/en.json": "{}", "c/i/de.json": "{}"}))


@pytest.mark.parametrize(
    ("pattern", "language", "name", "found"),
    [
        ("a/{group}/{lang}.json", "de", "a/x/de.json", ("x",)),
        ("a/{group}/{lang}.json", "de", "a/x/y/de.json", None),
        ("a/{group}/{lang}.json", "de", "a/x/fr.json", None),
        ("{lang}/{lang}.txt", "de", "de/de.txt", ()),
        ("*/{lang}.txt", "pt-BR", "x/pt_BR.txt", ("x",)),
        ("*/{lang}.txt", "pt-BR", "x/pt-BR.txt", ("x",)),
        ("**/p.{lang}", "de", "p.de", ("",)),
        ("**/p.{lang}", "de", "x/y/p.de", ("x/y/",)),
        ("p.?.{lang}", "de", "p.1.de", ("1",)),
        ("p+(x).{lang}", "de", "p+(x).de", ()),
        ("{group}/{group}.{lang}", "de", "a/a.de", ("a",)),
        ("{group}/{group}.{lang}", "de", "a/b.de", None),
    ],
)
def test_patterns_match_files_of_a_language(pattern, language, name, found):
    match = expand(pattern, language).fullmatch(name)
    assert (match.groups() if match else None) == found


def test_the_size_of_a_catalogue_is_limited(members, monkeypatch):
    monkeypatch.setattr("seqloom.corpus.members._LARGEST_CATALOGUE", 10)
    with pytest.raises(FormatError, match="larger than 10 bytes"):
        Members.read(members({"a": "x" * 11}), "a")
