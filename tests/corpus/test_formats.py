import gettext
import gzip
import io
import json
import struct
import zipfile

import polib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqloom.corpus.formats.gettext import read_gettext
from seqloom.corpus.formats.json_catalogue import read_json_catalogue
from seqloom.corpus.formats.moses import read_moses
from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.formats.tsv import read_tsv
from seqloom.corpus.members import Members, expand, open_members
from seqloom.errors import ArchiveError, CorpusError, FormatError
from seqloom.languages import Direction

EN_DE = Direction("en", "de")


# --- tsv


def tsv(members, pattern=None, source=0, target=1):
    return [(pair.source, pair.target) for pair in read_tsv(members, pattern, source, target)]


def test_tsv(members):
    assert tsv(members({"p.tsv": "one\teins\ntwo\tzwei\tmore\n"})) == [("one", "eins"), ("two", "zwei")]


def test_tsv_columns(members):
    assert tsv(members({"p.tsv": "7\teins\tx\tone\n"}), None, 3, 1) == [("one", "eins")]


def test_tsv_gz_bom_crlf_and_no_last_newline(members):
    content = "\ufeffone\teins\r\ntwo\tzwei".encode()
    assert tsv(members({"p.tsv": gzip.compress(content)})) == [("one", "eins"), ("two", "zwei")]


def test_tsv_other_line_separators_are_text(members):
    assert tsv(members({"p.tsv": "a\u2028b\x0bc\teins\n"})) == [("a\u2028b\x0bc", "eins")]


def test_tsv_members_choose(members):
    files = {"a/1.tsv": "one\teins\n", "a/2.tsv": "two\tzwei\n", "b/3.tsv": "no\tnein\n"}
    assert tsv(members(files), "a/*.tsv") == [("one", "eins"), ("two", "zwei")]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("only one", r"has 1 TAB-separated column\(s\), needs at least 2"),
        ("", r"has 1 TAB-separated column\(s\), needs at least 2"),
        ("one\t", r"the target \(column 1, counted from 0\) is empty"),
        (" \teins", r"the source \(column 0, counted from 0\) is empty"),
    ],
)
def test_tsv_names_the_bad_line(members, line, fault):
    with pytest.raises(FormatError, match=r"c: p\.tsv: line 2: " + fault):
        tsv(members({"p.tsv": f"one\teins\n{line}\nthree\tdrei\n"}))


def test_tsv_names_the_line_that_is_not_utf8(members):
    with pytest.raises(FormatError, match=r"c: p\.tsv: line 2: not UTF-8 at byte 6 of the line \(0xfc\).*iconv"):
        tsv(members({"p.tsv": b"one\teins\ntwo\tf\xfcnf\n"}))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_tsv_truncated_gz_is_named(members, share):
    content = gzip.compress("".join(f"{n * n}\teins {n}\n" for n in range(5000)).encode())
    with pytest.raises(FormatError, match=r"p\.tsv\.gz: line \d+: the gzip is truncated"):
        tsv(members({"p.tsv.gz": content[: max(3, int(len(content) * share))]}))


def test_tsv_several_files_want_a_choice(members):
    with pytest.raises(FormatError, match=r"there are 2 files \(a, b\); choose with `members`"):
        tsv(members({"a": "", "b": ""}))


def test_tsv_no_match_is_told(members):
    with pytest.raises(FormatError, match=r"no file matches 'x/\*\.tsv'"):
        tsv(members({"a.tsv": ""}), "x/*.tsv")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r\ufeff")).filter(str.strip)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(texts, texts), max_size=5), packed=st.booleans(), end=st.sampled_from(["\n", "\r\n"]))
def test_tsv_round_trip(members, pairs, packed, end):
    content = "".join(f"{source}\t{target}{end}" for source, target in pairs).encode()
    assert tsv(members({"p": gzip.compress(content) if packed else content})) == pairs


# --- moses


def moses(members, pattern="p.{lang}"):
    return [(pair.source, pair.target) for pair in read_moses(members, pattern, EN_DE)]


def test_moses_plain_and_gz(members):
    files = {"p.en": "one\n\nthree\n", "p.de": gzip.compress(b"eins\nzwei\n\n")}
    assert moses(members(files)) == [("one", "eins"), ("", "zwei"), ("three", "")]


def test_moses_several_files(members):
    files = {"a/b.en-x": "one\n", "a/b.de-x": "eins\n", "a/a.en-x": "two\n", "a/a.de-x": "zwei\n"}
    assert moses(members(files), "**/*.{lang}-x") == [("two", "zwei"), ("one", "eins")]


@pytest.mark.parametrize(("en", "de"), [(3, 2), (2, 3), (0, 1)])
def test_moses_names_both_counts(members, en, de):
    with pytest.raises(FormatError, match=rf"p\.en has {en} lines and p\.de has {de}"):
        moses(members({"p.en": "x\n" * en, "p.de": "y\n" * de}))


@pytest.mark.parametrize(("there", "missing"), [("en", "de"), ("de", "en")])
def test_moses_names_the_missing_side(members, there, missing):
    with pytest.raises(FormatError, match=rf"p\.{there} has no file for '{missing}' beside it"):
        moses(members({f"p.{there}": "x\n"}))


def test_moses_without_any_file(members):
    with pytest.raises(FormatError, match=r"no file matches 'p\.\{lang\}'; there are q\.en"):
        moses(members({"q.en": "x\n"}))


# --- json_catalogue


def catalogue(members, pattern="c/{group}/{lang}.json"):
    return list(read_json_catalogue(members, pattern, EN_DE))


def test_catalogues_are_aligned_by_the_path_of_keys(members):
    en = {"a": "one", "b": {"a": "two", "only": "x"}, "list": ["three", "four"], "n": 5, "none": None}
    de = {"b": {"a": "zwei"}, "a": "eins", "list": ["drei"], "n": 5, "only": "y", "none": "z"}
    files = {
        "c/g/en.json": json.dumps(en),
        "c/g/de.json": json.dumps(de),
        "c/half/en.json": "{}",
        "d/en.json": "not read",
    }
    expected = [RawPair("one", "eins", "g"), RawPair("two", "zwei", "g"), RawPair("three", "drei", "g")]
    assert catalogue(members(files)) == expected


def test_a_text_is_not_aligned_with_an_object(members):
    assert catalogue(members({"c/g/en.json": '{"a": "x"}', "c/g/de.json": '{"a": {"b": "y"}}'})) == []


def test_broken_json_is_named(members):
    files = {"c/g/en.json": '{"a": "x"}', "c/g/de.json": '{"a":\n "y",}'}
    with pytest.raises(FormatError, match=r"c: c/g/de\.json: line 2, column \d+: not JSON"):
        catalogue(members(files))


@pytest.mark.parametrize("content", [b"\xff\xfe\xfd", b"[" * 100_000])
def test_json_that_cannot_be_read_at_all_is_named(members, content):
    with pytest.raises(FormatError, match=r"c/g/de\.json: (line .*)?not JSON"):
        catalogue(members({"c/g/en.json": '{"a": "x"}', "c/g/de.json": content}))


def test_no_group_with_both_languages_is_an_error(members):
    with pytest.raises(FormatError, match=r"no catalogue has both languages: .* matches 2 for 'en' and 1 for 'de'"):
        catalogue(members({"c/g/en.json": "{}", "c/h/en.json": "{}", "c/i/de.json": "{}"}))


def test_a_wheel_is_read_in_place(tmp_path):
    with zipfile.ZipFile(tmp_path / "w-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("c/g/en.json", '{"a": "one"}')
        wheel.writestr("c/g/de.json", '{"a": "eins"}')
    with open_members("c", tmp_path) as found:
        assert catalogue(found) == [RawPair("one", "eins", "g")]


def test_a_truncated_wheel_is_named(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr("c/g/en.json", '{"a": "one"}')
    (tmp_path / "w.whl").write_bytes(packed.getvalue()[:-5])
    with pytest.raises(ArchiveError, match=r"c: w\.whl: it is truncated"), open_members("c", tmp_path):
        pass


def test_a_corrupt_member_of_a_wheel_is_named(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr("c/g/en.json", '{"a": "one"}')
        wheel.writestr("c/g/de.json", '{"a": "eins"}')
    (tmp_path / "w.whl").write_bytes(packed.getvalue().replace(b"eins", b"zwei", 1))
    with (
        pytest.raises(ArchiveError, match=r"c/g/de\.json: it is truncated or corrupt"),
        open_members("c", tmp_path) as m,
    ):
        catalogue(m)


def test_what_was_not_downloaded_says_which_stage_to_run(tmp_path):
    with pytest.raises(CorpusError, match="download_corpus"), open_members("c", tmp_path / "absent"):
        pass


# --- gettext

PO = """
msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "Save"
msgstr "Speichern"

msgctxt "menu"
msgid "File"
msgstr "Datei"

msgid "%(n)d file"
msgid_plural "%(n)d files"
msgstr[0] "%(n)d Datei"
msgstr[1] "%(n)d Dateien"

msgid "Untranslated"
msgstr ""

#, fuzzy
msgid "Guessed"
msgstr "Geraten"

#~ msgid "Gone"
#~ msgstr "Weg"
"""
ENTRIES = {("Save", "Speichern"), ("File", "Datei"), ("%(n)d file", "%(n)d Datei")}


def language_pack(members, files, pattern):
    return list(read_gettext(members(files), pattern, EN_DE))


def test_po(members):
    pairs = language_pack(members, {"p/de/LC_MESSAGES/app.po": PO}, "p/{lang}/LC_MESSAGES/{group}.po")
    assert {(pair.source, pair.target) for pair in pairs} == ENTRIES
    assert {pair.group for pair in pairs} == {"app"}
    assert len(pairs) == len(ENTRIES)


def test_mo_as_polib_writes_it_and_the_standard_library_reads_it(members):
    content = polib.pofile(PO).to_binary()
    oracle = gettext.GNUTranslations(io.BytesIO(content))
    pairs = language_pack(members, {"pack_de_DE/de_DE/app.mo": content}, "pack_de_DE/de_DE/{group}.mo")
    assert {(pair.source, pair.target) for pair in pairs} == ENTRIES
    assert oracle.gettext("Save") == "Speichern"
    assert oracle.ngettext("%(n)d file", "%(n)d files", 1) == "%(n)d Datei"


def test_mo_of_a_language_pack_wheel(tmp_path):
    with zipfile.ZipFile(tmp_path / "pack-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pack_de_DE/locale/de_DE/LC_MESSAGES/lab.mo", polib.pofile(PO).to_binary())
        wheel.writestr("pack_de_DE/locale/de_DE/LC_MESSAGES/lab.json", "{}")
    with open_members("c", tmp_path) as found:
        pairs = list(read_gettext(found, "pack_de_DE/locale/de_DE/LC_MESSAGES/{group}.mo", EN_DE))
    assert RawPair("Save", "Speichern", "lab") in pairs


def test_mo_of_the_other_byte_order_and_of_another_charset(members):
    texts = [(b"", b"Content-Type: text/plain; charset=iso-8859-1\n"), (b"five", "fünf".encode("latin-1"))]
    count, tables, data, place = len(texts), [b"", b""], b"", 28 + 16 * len(texts)
    for side in (0, 1):
        for pair in texts:
            tables[side] += struct.pack(">2I", len(pair[side]), place + len(data))
            data += pair[side] + b"\0"
    header = struct.pack(">7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0)
    assert language_pack(members, {"de.mo": header + tables[0] + tables[1] + data}, "{lang}.mo")[0][:2] == (
        "five",
        "fünf",
    )


@pytest.mark.parametrize("size", [0, 3, 10, 30, 60, 100])
def test_a_truncated_mo_is_named(members, size):
    content = polib.pofile(PO).to_binary()
    with pytest.raises(FormatError, match=r"c: de\.mo: (not a \.mo|the catalogue is truncated)"):
        language_pack(members, {"de.mo": content[:size]}, "{lang}.mo")


def test_a_broken_po_is_named_with_its_line(members):
    with pytest.raises(FormatError, match=r"c: de\.po: not a \.po catalogue: .*line 4"):
        language_pack(members, {"de.po": 'msgid "a"\nmsgstr "b"\nnonsense here\n'}, "{lang}.po")


def test_an_unknown_charset_is_named(members):
    with pytest.raises(FormatError, match=r"de\.po: its header names the unknown charset 'klingon'"):
        language_pack(members, {"de.po": PO.replace("utf-8", "klingon")}, "{lang}.po")


def test_no_catalogue_of_the_language_is_an_error(members):
    with pytest.raises(FormatError, match="no catalogue for 'de' matches"):
        language_pack(members, {"fr.mo": b""}, "{lang}.mo")


# --- members


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
def test_patterns(pattern, language, name, found):
    match = expand(pattern, language).fullmatch(name)
    assert (match.groups() if match else None) == found


def test_a_catalogue_of_any_size_is_not_read(members, monkeypatch):
    monkeypatch.setattr("seqloom.corpus.members._LARGEST_CATALOGUE", 10)
    with pytest.raises(FormatError, match="larger than 10 bytes"):
        Members.read(members({"a": "x" * 11}), "a")
