import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.errors import FormatError
from seqloom.formats.pieces import Remark, Skip
from tests.formats.conftest import Reader

TSV, CSV = Reader("tsv"), Reader("csv")


def remarks(pieces):
    return [piece.message for piece in pieces if isinstance(piece, Remark)]


def skips(pieces):
    return [(piece.line, piece.reason) for piece in pieces if isinstance(piece, Skip)]


def test_each_row_is_a_pair():
    assert TSV.pairs("one\teins\ntwo\tzwei\tmore\n") == [("one", "eins"), ("two", "zwei")]


def test_source_and_target_columns_can_be_set():
    assert TSV.pairs("7\teins\tx\tone\n", source_column=3, target_column=1) == [("one", "eins")]


def test_a_byte_order_mark_crlf_and_a_missing_last_line_end_are_accepted():
    assert TSV.pairs("\ufeffone\teins\r\ntwo\tzwei") == [("one", "eins"), ("two", "zwei")]


def test_unicode_line_separators_are_text():
    assert TSV.pairs("a\u2028b\x0bc\teins\n") == [("a\u2028b\x0bc", "eins")]


def test_utf16_as_written_by_a_spreadsheet_is_read():
    assert TSV.pairs("one\tfünf\r\n".encode("utf-16")) == [("one", "fünf")]


def test_blank_rows_are_skipped():
    assert skips(TSV.pieces("one\teins\n\n \t \ntwo\tzwei\n\n")) == [
        (2, "blank line"), (3, "blank line"), (5, "blank line"),
    ]  # fmt: skip


def test_an_empty_source_is_an_error_and_an_empty_target_is_none():
    assert TSV.pairs("three\t\n") == [("three", None)]
    with pytest.raises(
        FormatError, match=r"f: line 2: the source \(column 0, counted from 0\) is empty; fill it or delete"
    ):
        TSV.pieces("one\teins\n \tzwei\n")


def test_a_row_with_too_few_columns_is_an_error():
    with pytest.raises(FormatError, match=r"f: line 2: found 1 column\(s\) separated by TAB, need at least 2"):
        TSV.pieces("one\teins\nonly one\nthree\tdrei\n")


def test_the_error_for_an_open_quote_suggests_quoting():
    with pytest.raises(FormatError, match=r"line 1: found 1 column.*quoted cells may span lines.*`quoting: true`"):
        TSV.pieces('"two\nlines"\tzwei\n')


def test_rows_with_another_number_of_columns_are_noticed():
    pieces = TSV.pieces("a\tb\nc\td\te\nf\tg\th\n")
    assert remarks(pieces) == ["2 rows do not have 2 columns like the first row"]
    assert TSV.pairs("a\tb\nc\td\te\n") == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("row", ["source\ttarget", "en\tde", "Text\tTranslation", "en-US\tde-DE"])
def test_a_header_is_noticed_and_skipped_if_set(row):
    assert "looks like a header: set `header: true`" in remarks(TSV.pieces(f"{row}\none\teins\n"))[0]
    assert TSV.pairs(f"{row}\none\teins\n", header=True) == [("one", "eins")]


@pytest.mark.parametrize("row", ["no\tja", "one\teins", "Save\tText", "Source of truth\tTarget"])
def test_ordinary_words_are_not_taken_for_a_header(row):
    assert remarks(TSV.pieces(f"{row}\n")) == [] or row == "no\tja"


def test_quoting_is_noticed_and_read_if_set():
    content = '"Say ""hi"""\t"Sag ""hallo"""\n"two\nlines\tand a tab"\tzwei\n'
    message = ["cells are quoted as by a spreadsheet: set `quoting: true`"]
    assert remarks(TSV.pieces(content.split("\n")[0])) == message
    assert remarks(TSV.pieces('"a"\t"b"\nc\td\n"e"\t"f"\n')) == message
    assert remarks(TSV.pieces('"a"\t"b"\nc\td\n')) == []
    assert TSV.pairs(content, quoting=True) == [('Say "hi"', 'Sag "hallo"'), ("two\nlines\tand a tab", "zwei")]


def test_a_csv_is_separated_by_commas_or_the_set_delimiter():
    assert CSV.pairs("one,eins\n", quoting=True, delimiter=",") == [("one", "eins")]
    assert CSV.pairs('"a;b";"c"\n', quoting=True, delimiter=";") == [("a;b", "c")]


def test_an_unclosed_cell_is_an_error():
    with pytest.raises(FormatError, match="f: line 2: a quoted cell begins here and is never closed"):
        TSV.pieces('a\tb\n"c\td\ne\tf\n', quoting=True)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\r\0"), max_size=8)
rows = st.lists(st.tuples(cells.map("s{}".format), cells), max_size=5)


@given(rows, st.sampled_from(["\t", ",", ";"]), st.sampled_from(["\n", "\r\n"]))
def test_output_of_the_csv_module_is_read(rows, delimiter, end):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    read = CSV.pairs(buffer.getvalue(), quoting=True, delimiter=delimiter)
    assert read == [(source, target if target.strip() else None) for source, target in rows]


@given(rows, cells, st.booleans())
def test_a_translation_survives_a_round_trip_and_the_rest_is_preserved(rows, translation, quoting):
    buffer = io.StringIO()
    csv.writer(buffer, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([*rows, ("a", "b")])
    content = buffer.getvalue() if quoting else "x\ty\tz\r\na\tb"
    assert CSV.written(content, {}, quoting=quoting) == content.encode()
    last = CSV.units(content, quoting=quoting)[-1]
    written = CSV.written(content, {last.key: translation}, quoting=quoting).decode()
    expected = translation if quoting else " ".join(translation.replace("\t", " ").splitlines())
    assert CSV.units(written, quoting=quoting)[-1].target == (expected if expected.strip() else None)
    assert written.startswith(content[: content.rindex("b") - quoting])
