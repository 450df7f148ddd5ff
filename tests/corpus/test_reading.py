import gzip

import pytest
from pydantic import TypeAdapter

from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.reading import CorpusRemark, LeftOut, RawPair, read_corpus
from seqloom.errors import FormatError
from seqloom.languages import Direction

EN_DE = Direction("en", "de")


def found(build, files, format, /, direction=EN_DE, **settings):
    given = {"kind": "url", "url": "https://e.org/p", "sha256": "0" * 64, "format": format, **settings}
    return [each for _, each in read_corpus(build(files), TypeAdapter(Source).validate_python(given), [direction])]


def pairs(*arguments, **settings):
    return [(each.source, each.target) for each in found(*arguments, **settings) if isinstance(each, RawPair)]


def left_out(*arguments, **settings):
    return [(each.reason, each.place) for each in found(*arguments, **settings) if isinstance(each, LeftOut)]


def remarks(*arguments, **settings):
    return [each.message for each in found(*arguments, **settings) if isinstance(each, CorpusRemark)]


def test_members_select_files(members):
    files = {"a/1.tsv": "one\teins\n", "a/2.tsv": "two\tzwei\n", "b/3.tsv": "no\tnein\n"}
    assert pairs(members, files, "tsv", members="a/*.tsv") == [("one", "eins"), ("two", "zwei")]


def test_several_files_require_members(members):
    with pytest.raises(FormatError, match=r"there are 2 files \(a, b\); select them with `members`"):
        found(members, {"a": "", "b": ""}, "tsv")


def test_a_pattern_without_matches_is_an_error(members):
    with pytest.raises(FormatError, match=r"no file matches 'x/\*\.tsv'; there are a\.tsv"):
        found(members, {"a.tsv": ""}, "tsv", members="x/*.tsv")


def test_texts_left_out_have_a_reason_and_place(members):
    rows = {"p.tsv": "one\teins\n\ntwo\tzwei\n"}
    assert pairs(members, rows, "tsv") == [("one", "eins"), ("two", "zwei")]
    assert left_out(members, rows, "tsv") == [("blank line", "p.tsv: line 2")]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("only one", r"found 1 column\(s\) separated by TAB, need at least 2"),
        ("one\t", r"the target \(column 1, counted from 0\) is empty; fill it or delete the row"),
        (" \teins", r"the source \(column 0, counted from 0\) is empty; fill it or delete the row"),
    ],
)
def test_errors_in_tables_name_the_row(members, line, fault):
    with pytest.raises(FormatError, match=r"c: p\.tsv: line 2: " + fault):
        found(members, {"p.tsv": f"one\teins\n{line}\nthree\tdrei\n"}, "tsv")


def test_the_encoding_of_the_settings_is_used(members):
    content = {"p.tsv": "five\tfünf\n".encode("cp1252")}
    assert pairs(members, content, "tsv", encoding="cp1252") == [("five", "fünf")]
    with pytest.raises(FormatError, match=r"c: p\.tsv: line 1: the bytes fc are not utf-8.*`encoding: cp1252`"):
        found(members, content, "tsv")


def test_remarks_name_corpus_file_and_line(members):
    assert remarks(members, {"p.tsv": "source\ttarget\na\tb\n"}, "tsv") == [
        "c: p.tsv: line 1: the first row, 'source | target', looks like a header: set `header: true`"
    ]
    assert remarks(members, {"p.tsv": "source\ttarget\na\tb\n"}, "tsv", header=True) == []


def test_a_remark_is_made_once_per_corpus(members):
    tmx = (
        '<tmx><body><tu><tuv xml:lang="en-US"><seg>a</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu></body></tmx>'
    )
    settings = {"kind": "url", "url": "https://e.org/p", "sha256": "0" * 64, "format": "tmx", "members": "*"}
    source = TypeAdapter(Source).validate_python(settings)
    read = read_corpus(members({"a.tmx": tmx, "b.tmx": tmx}), source, [EN_DE, Direction("de", "en")])
    assert [each.message for _, each in read if isinstance(each, CorpusRemark)] == ["c: en-US is read as en"]


def test_remarks_beyond_a_limit_are_only_counted(members):
    files = {f"{number:02}.po": 'msgid ""\nmsgstr "Language: fr\\n"\n\nmsgid "a"\nmsgstr "b"\n' for number in range(25)}
    messages = remarks(members, files, "gettext", members="*.po")
    assert len(messages) == 21
    assert messages[19].startswith("c: 19.po: line 1: ")
    assert messages[20] == "c: 5 further remarks are not shown"


def test_an_empty_file_gets_a_remark(members):
    assert remarks(members, {"p.tsv": ""}, "tsv") == ["c: the files contain no texts"]


def test_a_csv_has_quotes_and_commas_or_the_set_delimiter(members):
    assert pairs(members, {"p.csv": '"a, b",c\n'}, "csv") == [("a, b", "c")]
    assert pairs(members, {"p.csv": '"a; b";c\n'}, "csv", delimiter="semicolon") == [("a; b", "c")]


# --- one file per language, paired by position


def test_moses_files_may_be_gzipped(members):
    files = {"p.en": "one\n\nthree\n\n", "p.de": gzip.compress(b"eins\nzwei\n\n\n")}
    assert pairs(members, files, "moses", members="p.{lang}") == [("one", "eins")]
    assert [reason for reason, _ in left_out(members, files, "moses", members="p.{lang}")] == [
        "empty source", "not translated", "blank line",
    ]  # fmt: skip


def test_several_moses_files_are_paired_by_name(members):
    files = {"a/b.en-x": "one\n", "a/b.de-x": "eins\n", "a/a.en-x": "two\n", "a/a.de-x": "zwei\n"}
    assert pairs(members, files, "moses", members="**/*.{lang}-x") == [("two", "zwei"), ("one", "eins")]


@pytest.mark.parametrize(("en", "de"), [(3, 2), (2, 3), (0, 1)])
def test_the_error_for_moses_files_of_different_length_names_both_counts(members, en, de):
    with pytest.raises(FormatError, match=rf"p\.en has {en} lines and p\.de has {de}"):
        found(members, {"p.en": "x\n" * en, "p.de": "y\n" * de}, "moses", members="p.{lang}")


@pytest.mark.parametrize(("there", "missing"), [("en", "de"), ("de", "en")])
def test_a_moses_file_without_counterpart_is_an_error(members, there, missing):
    with pytest.raises(FormatError, match=rf"p\.{there} has no counterpart for '{missing}'"):
        found(members, {f"p.{there}": "x\n"}, "moses", members="p.{lang}")


def test_a_moses_pattern_without_matches_is_an_error(members):
    with pytest.raises(FormatError, match=r"no file matches 'p\.\{lang\}'; there are q\.en"):
        found(members, {"q.en": "x\n"}, "moses", members="p.{lang}")


def test_moses_lines_end_in_lf_only(members):
    files = {"p.en": "a\u2028b\x85c\nd", "p.de": "e\nf"}
    assert pairs(members, files, "moses", members="p.{lang}") == [("a\u2028b\x85c", "e"), ("d", "f")]


XLIFF = """<xliff version="1.2"><file original="a" source-language="en" datatype="plaintext"><body>
<trans-unit id="1"><source>one</source><target>eins</target></trans-unit></body></file></xliff>"""


def test_a_file_without_target_language_is_read_in_the_only_direction(members):
    assert pairs(members, {"a.xlf": XLIFF}, "xliff") == [("one", "eins")]
    source = TypeAdapter(Source).validate_python(
        {"kind": "url", "url": "https://e.org/p", "sha256": "0" * 64, "format": "xliff"}
    )
    with pytest.raises(FormatError, match=r"c: a\.xlf: line 2: the target language is not .*set its `direction`"):
        list(read_corpus(members({"a.xlf": XLIFF}), source, [EN_DE, Direction("de", "en")]))


def test_documents_with_different_numbers_of_texts_are_an_error(members):
    files = {"a.en.html": "<p>one</p><p>two</p>", "a.de.html": "<p>eins</p>"}
    with pytest.raises(FormatError, match=r"a\.en\.html has 2 texts and a\.de\.html has 1; text N of one file"):
        found(members, files, "html", members="a.{lang}.html")
