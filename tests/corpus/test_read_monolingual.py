import io

import pyarrow
import pytest
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from seqloom.corpus.monolingual_settings import MonolingualSource
from seqloom.corpus.reading import CorpusRemark, LeftOut, RawText, read_monolingual
from seqloom.errors import FormatError

FILE = {"kind": "file", "path": "data/local/x", "language": "de"}
TMX = """<tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en"><seg>one</seg></tuv><tuv xml:lang="de"><seg>eins</seg></tuv></tu>
<tu><tuv xml:lang="fr"><seg>deux</seg></tuv><tuv xml:lang="de"><seg>zwei</seg></tuv></tu>
</body></tmx>"""


def source(**more):
    return TypeAdapter(MonolingualSource).validate_python({**FILE, **more})


def texts(found):
    return [each.text for each in found if isinstance(each, RawText)]


def test_a_text_file_has_one_text_per_line(members):
    found = list(read_monolingual(members({"x.txt": "eins\n\n zwei \n"}), source()))
    assert found == [RawText("eins", ""), LeftOut("blank line", "x.txt: line 2", ""), RawText(" zwei ", "")]


def test_files_are_selected_by_members_and_language(members):
    corpus = members({"a/x.de": "eins\n", "b/y.de": "zwei\n", "a/x.en": "one\n"})
    found = list(read_monolingual(corpus, source(members="{group}/*.{lang}")))
    assert found == [RawText("eins", "a"), RawText("zwei", "b")]


@pytest.mark.parametrize(("direction", "wanted"), [(("en", "de"), ["eins"]), (("de", "en"), ["eins"])])
def test_one_side_of_pairs_is_read(members, direction, wanted):
    both = {"source": direction[0], "target": direction[1]}
    found = list(read_monolingual(members({"x.tmx": TMX}), source(format="tmx", direction=both)))
    assert texts(found) == wanted
    assert [each.reason for each in found if isinstance(each, LeftOut)] == ["other languages"]


def test_a_column_of_a_table_is_read(members):
    found = read_monolingual(members({"x.tsv": "1\teins\n2\tzwei\n"}), source(format="tsv", column=1))
    assert texts(found) == ["eins", "zwei"]


def test_a_column_of_a_parquet_file_is_read(members):
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table({"id": [1, 2, 3], "text": ["eins", None, "drei"]}), stream)
    found = list(read_monolingual(members({"x.parquet": stream.getvalue()}), source(format="parquet")))
    assert found == [RawText("eins", ""), LeftOut("blank line", "x.parquet: line 2", ""), RawText("drei", "")]


def test_a_flag_refuses_a_target_but_not_a_source(members):
    catalogue = '#, fuzzy\nmsgid "one"\nmsgstr "eins"\n'
    side = {"format": "gettext", "members": "x.po"}
    target = source(**side, direction={"source": "en", "target": "de"})
    assert [type(each) for each in read_monolingual(members({"x.po": catalogue}), target)] == [LeftOut]
    english = source(**side, language="en", direction={"source": "en", "target": "de"})
    assert texts(read_monolingual(members({"x.po": catalogue}), english)) == ["one"]


def test_a_pattern_without_files_is_an_error(members):
    with pytest.raises(FormatError, match=r"no file matches '\*\.fr'; there are x\.txt"):
        list(read_monolingual(members({"x.txt": "eins\n"}), source(members="*.fr")))


def test_files_without_texts_give_a_remark(members):
    assert list(read_monolingual(members({"x.txt": ""}), source())) == [CorpusRemark("c: the files contain no texts")]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"format": "tmx"}, "is required for tmx"),
        ({"direction": {"source": "en", "target": "de"}}, "is only for tmx, xliff, gettext"),
        ({"format": "tmx", "direction": {"source": "en", "target": "fr"}}, r"must have language \(de\)"),
        ({"format": "tsv", "column": "text"}, "give a number"),
        ({"format": "parquet", "column": 1}, "have names"),
        ({"format": "xml"}, "must be one of 'text', 'android'"),
    ],
)
def test_invalid_settings_are_rejected(more, fault):
    with pytest.raises(ValidationError, match=fault):
        source(**more)
