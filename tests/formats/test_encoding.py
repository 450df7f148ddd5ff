import codecs
import gzip
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.errors import FormatError
from seqloom.formats import encoding
from seqloom.formats.encoding import TextFile
from tests.memory import peak_memory


def opened(content, **given):
    return TextFile(io.BytesIO(content), "c: f", **given)


def lines(content, **given):
    return list(opened(content, **given).lines())


def test_lines_end_in_lf_only():
    assert lines(b"one\r\ntwo\x0b\x1c\n\xc2\x85\xe2\x80\xa8\nlast") == [
        (1, "one\r\n"), (2, "two\x0b\x1c\n"), (3, "\x85\u2028\n"), (4, "last"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_decides(name):
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
            "utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE}[name]  # fmt: skip
    file = opened(mark + "fünf\n".encode(name), encoding="cp1252", declared=lambda head: "shift_jis")
    assert (file.encoding, file.bom, file.read()) == (name, mark, "fünf\n")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_recognised_by_its_zeros(name):
    assert opened("five\tfünf\n".encode(name)).read() == "five\tfünf\n"


def test_single_zero_bytes_do_not_make_utf16():
    assert opened(b"a\0b\tc\n").read() == "a\0b\tc\n"


def test_the_setting_goes_before_the_declaration_and_that_before_utf8():
    content = "€".encode("cp1252")
    assert opened(content, encoding="windows-1252", declared=lambda head: "latin-1").read() == "€"
    assert opened(content, declared=lambda head: "cp1252").read() == "€"
    with pytest.raises(FormatError, match="80 are not utf-8"):
        opened(content).read()


@pytest.mark.parametrize("name", ["klingon", "zip", "rot13", "idna", "unicode_escape", "utf-7", "a\0b", "x" * 999, "ü"])
@pytest.mark.parametrize("who", ["encoding", "declared"])
def test_an_encoding_that_is_none_of_text_is_refused(name, who):
    with pytest.raises(FormatError, match=r"f: (the file|the setting `encoding`) names the encoding .* such as utf-8"):
        opened(b"x", **{who: name if who == "encoding" else lambda head: name})


def test_undecodable_bytes_name_line_bytes_and_the_likely_encoding():
    with pytest.raises(FormatError) as told:
        opened(b"one\neins\ntwo f\xfcnf\n").read()
    assert str(told.value) == (
        "c: f: line 3: the bytes fc are not utf-8; in cp1252 it reads 'two fünf': if that is right, "
        "set `encoding: cp1252`"
    )


def test_undecodable_bytes_behind_the_first_block_name_their_line():
    with pytest.raises(FormatError, match="c: f: line 50002: the bytes ff"):
        opened(b"ok\n" * 50_001 + b"\xff").read()


def test_a_truncated_character_at_the_end_is_told():
    with pytest.raises(FormatError, match="line 2: the bytes c3 are not utf-8"):
        opened(b"a\nb\xc3").read()


def test_gzip_of_several_members_and_a_truncated_one():
    content = gzip.compress(b"one\n") + gzip.compress(b"two\n")
    assert opened(content).read() == "one\ntwo\n"
    for cut in range(3, len(content)):
        if cut != len(gzip.compress(b"one\n")):
            with pytest.raises(FormatError, match="c: f: the gzip is truncated or corrupt"):
                opened(content[:cut]).read()


def test_lines_that_end_in_cr_alone_are_told():
    with pytest.raises(FormatError, match="its lines end in CR alone"):
        lines(b"one\rtwo\rthree\r")
    assert lines(b"one\rtwo\nthree") == [(1, "one\rtwo\n"), (2, "three")]


def test_a_line_without_end_is_bounded(monkeypatch):
    monkeypatch.setattr(encoding, "LONGEST_LINE", 100_000)
    with pytest.raises(FormatError, match="c: f: line 2: is longer than 100,000 characters"):
        lines(b"a\n" + b"x" * 200_001)
    bomb = gzip.compress(b"x" * 50_000_000)

    def read():
        with pytest.raises(FormatError, match="line 1: is longer"):
            lines(bomb)

    assert peak_memory(read) < 2_000_000


def test_a_whole_file_is_bounded(monkeypatch):
    monkeypatch.setattr(encoding, "LARGEST_CATALOGUE", 100_000)
    with pytest.raises(FormatError, match="c: f: is larger than 100,000 characters"):
        opened(b"x" * 300_000).read()


@given(st.text(), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"]), st.booleans())
def test_text_is_written_back_to_the_same_bytes(text, name, marked):
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
            "utf-32-le": codecs.BOM_UTF32_LE}[name]  # fmt: skip
    content = (mark if marked else b"") + text.encode(name)
    file = opened(content, encoding=name)
    if marked or not text.startswith("\ufeff"):
        assert b"".join(file.encode(file.blocks())) == content


def test_a_translation_that_the_encoding_cannot_hold_is_told():
    file = opened(b"x", encoding="latin-1")
    with pytest.raises(FormatError, match="c: f: the translation holds '€', which iso8859-1 cannot write"):
        list(file.encode(["€"]))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    with suppress(FormatError):
        list(opened(content).lines())
