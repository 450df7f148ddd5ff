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
def test_a_byte_order_mark_determines_the_encoding(name):
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
            "utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE}[name]  # fmt: skip
    file = opened(mark + "fünf\n".encode(name), encoding="cp1252", declared=lambda head: "shift_jis")
    assert (file.encoding, file.bom, file.read()) == (name, mark, "fünf\n")


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_byte_order_mark_is_recognised_by_zero_bytes(name):
    assert opened("five\tfünf\n".encode(name)).read() == "five\tfünf\n"


def test_a_few_zero_bytes_are_not_taken_for_utf16():
    assert opened(b"a\0b\tc\n").read() == "a\0b\tc\n"


def test_the_setting_overrides_the_declaration_which_overrides_utf8():
    content = "€".encode("cp1252")
    assert opened(content, encoding="windows-1252", declared=lambda head: "latin-1").read() == "€"
    assert opened(content, declared=lambda head: "cp1252").read() == "€"
    with pytest.raises(FormatError, match="80 are not utf-8"):
        opened(content).read()


@pytest.mark.parametrize("name", ["klingon", "zip", "rot13", "idna", "unicode_escape", "utf-7", "a\0b", "x" * 999, "ü"])
@pytest.mark.parametrize("who", ["encoding", "declared"])
def test_an_encoding_that_is_unknown_or_not_for_text_is_rejected(name, who):
    with pytest.raises(FormatError, match=r"f: (the file|the setting `encoding`) names the encoding .* such as utf-8"):
        opened(b"x", **{who: name if who == "encoding" else lambda head: name})


def test_the_error_for_undecodable_bytes_names_line_bytes_and_likely_encoding():
    with pytest.raises(FormatError) as raised:
        opened(b"one\neins\ntwo f\xfcnf\n").read()
    assert str(raised.value) == (
        "c: f: line 3: the bytes fc are not utf-8; as cp1252 the text is 'two fünf': if that is right, "
        "set `encoding: cp1252`"
    )


def test_line_numbers_are_right_beyond_the_first_block():
    with pytest.raises(FormatError, match="c: f: line 50002: the bytes ff"):
        opened(b"ok\n" * 50_001 + b"\xff").read()


def test_a_truncated_character_at_the_end_is_an_error():
    with pytest.raises(FormatError, match="line 2: the bytes c3 are not utf-8"):
        opened(b"a\nb\xc3").read()


def test_gzip_may_have_several_members_but_not_be_truncated():
    content = gzip.compress(b"one\n") + gzip.compress(b"two\n")
    assert opened(content).read() == "one\ntwo\n"
    for cut in range(3, len(content)):
        if cut != len(gzip.compress(b"one\n")):
            with pytest.raises(FormatError, match="c: f: the gzip is truncated or corrupt"):
                opened(content[:cut]).read()


def test_lines_that_end_with_cr_only_are_an_error():
    with pytest.raises(FormatError, match="lines end with CR only"):
        lines(b"one\rtwo\rthree\r")
    assert lines(b"one\rtwo\nthree") == [(1, "one\rtwo\n"), (2, "three")]


def test_the_length_of_a_line_is_limited(monkeypatch):
    monkeypatch.setattr(encoding, "LONGEST_LINE", 100_000)
    with pytest.raises(FormatError, match="c: f: line 2: is longer than 100,000 characters"):
        lines(b"a\n" + b"x" * 200_001)
    bomb = gzip.compress(b"x" * 50_000_000)

    def read():
        with pytest.raises(FormatError, match="line 1: is longer"):
            lines(bomb)

    assert peak_memory(read) < 2_000_000


def test_the_size_of_a_file_read_whole_is_limited(monkeypatch):
    monkeypatch.setattr(encoding, "LARGEST_CATALOGUE", 100_000)
    with pytest.raises(FormatError, match="c: f: the file is larger than 100,000 characters"):
        opened(b"x" * 300_000).read()


@given(st.text(), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"]), st.booleans())
def test_text_is_written_back_to_the_same_bytes(text, name, marked):
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
            "utf-32-le": codecs.BOM_UTF32_LE}[name]  # fmt: skip
    content = (mark if marked else b"") + text.encode(name)
    file = opened(content, encoding=name)
    if marked or not text.startswith("\ufeff"):
        assert b"".join(file.encode(file.blocks())) == content


def test_a_character_outside_the_encoding_is_an_error():
    file = opened(b"x", encoding="latin-1")
    with pytest.raises(FormatError, match="c: f: the translation contains '€', which iso8859-1 cannot represent"):
        list(file.encode(["€"]))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_raise_format_error(content):
    with suppress(FormatError):
        list(opened(content).lines())
