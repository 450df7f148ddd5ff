import io

import pyarrow
import pytest
from pyarrow import parquet

from seqloom.documents.document import format_for
from seqloom.errors import DocumentError, FormatError
from seqloom.formats.catalogue import FORMATS, document_suffixes
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Skip, Unit
from seqloom.languages import Direction

EN_DE = Direction("en", "de")
PAIRS = [{"en": "one", "de": "eins"}, {"en": "two", "de": None}]


def stored(columns, **more) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), stream, **more)
    return stream.getvalue()


def pieces(content: bytes, **names):
    chosen = FORMATS["parquet"]
    return list(chosen.read(TextFile(io.BytesIO(content), "c: f", None, chosen.declared), Options(EN_DE, **names)))


def pairs(content: bytes, **names):
    return [(unit.source, unit.target) for unit in pieces(content, **names) if isinstance(unit, Unit)]


def test_the_fields_of_the_languages_in_translation_are_read():
    assert pairs(stored({"id": [1, 2], "translation": PAIRS})) == [("one", "eins"), ("two", None)]


@pytest.mark.parametrize("names", [("en", "de"), ("both.en", "both.de"), ("en", "both.de")])
def test_named_columns_are_read(names):
    content = stored({"en": ["one", "two"], "de": ["eins", None], "both": PAIRS})
    assert pairs(content, source_name=names[0], target_name=names[1]) == [("one", "eins"), ("two", None)]


def test_a_column_may_have_a_dot_in_its_name():
    assert pairs(stored({"s.en": ["one"], "t": ["eins"]}), source_name="s.en", target_name="t") == [("one", "eins")]


def test_dictionaries_of_texts_are_read():
    coded = pyarrow.array(["one", "one"]).dictionary_encode()
    assert pairs(stored({"s": coded, "t": ["eins", "1"]}), source_name="s", target_name="t")[1] == ("one", "1")


def test_rows_are_numbered_through_all_row_groups():
    content = stored({"s": list("abcde"), "t": list("vwxyz")}, row_group_size=2)
    assert [unit.line for unit in pieces(content, source_name="s", target_name="t")] == [1, 2, 3, 4, 5]


def test_a_file_in_other_languages_is_skipped():
    assert pieces(stored({"translation": [{"en": "a", "fr": "b"}]})) == [Skip("", "other languages", 1, "en, fr")]


@pytest.mark.parametrize(
    ("content", "names", "fault"),
    [
        (stored({"a": ["x"]}), {}, "there is no column 'translation.en'; there are a"),
        (stored({"a": ["x"], "b": [1]}), {"source_name": "a", "target_name": "b"}, "'b' contains int64, not text"),
        (stored({"a": ["x"]}), {"source_name": "a.b", "target_name": "a"}, r"no column 'a\.b'"),
        (b"PAR1 and nothing else", {}, "truncated or corrupt"),
        (stored({"translation": PAIRS})[:-40], {}, "truncated or corrupt"),
        (b"a\tb\n", {}, "truncated or corrupt"),
    ],
)
def test_what_cannot_be_read_is_an_error_with_the_file(content, names, fault):
    with pytest.raises(FormatError, match=f"c: f: .*{fault}"):
        pieces(content, **names)


def test_damaged_pages_are_an_error():
    content = bytearray(stored({"s": [str(n) * 50 for n in range(3000)], "t": ["x"] * 3000}))
    content[40:400] = b"\xff" * 360
    with pytest.raises(FormatError, match="c: f: "):
        pieces(bytes(content), source_name="s", target_name="t")


def test_text_that_is_not_utf8_is_an_error():
    binary = pyarrow.array([b"\xff\xfe"]).view(pyarrow.string())
    with pytest.raises(FormatError, match=r"truncated or corrupt: .*utf-?8"):
        pieces(stored({"s": binary, "t": ["x"]}), source_name="s", target_name="t")


def test_a_parquet_file_is_no_document():
    assert ".parquet" not in document_suffixes()
    with pytest.raises(DocumentError, match="cannot be written into parquet"):
        format_for("pairs.parquet")
