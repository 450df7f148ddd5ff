import gettext
import io
import struct
import tracemalloc

import polib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.errors import FormatError
from tests.formats.rewriting import assert_puts, read, remarks, skips, texts, units, written

HEADER = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""
PO = (
    HEADER
    + """#. To a file
#: a.c:1
msgid "Save"
msgstr "Speichern"

msgctxt "menu"
msgid "File"
msgstr "Datei"

msgctxt "tool"
msgid "File"
msgstr "Feile"

msgid "%(n)d file"
msgid_plural "%(n)d files"
msgstr[0] "%(n)d Datei"
msgstr[1] "%(n)d Dateien"

msgid "Untranslated"
msgstr ""

#, fuzzy, c-format
#| msgid "Guess"
msgid "Guessed"
msgstr "Geraten"

#~ msgid "Gone"
#~ msgstr ""
#~ "Weg"
"""
)
PAIRS = [
    ("Save", "Speichern"),
    ("File", "Datei"),
    ("File", "Feile"),
    ("%(n)d file", "%(n)d Datei"),
    ("%(n)d files", "%(n)d Dateien"),
]


def pairs(content, encoding=None, target="de"):
    return [
        (unit.source, unit.target)
        for unit in units("gettext", content, encoding, target)
        if unit.target and not unit.flags
    ]


def test_messages_of_a_po_are_read():
    assert pairs(PO) == PAIRS
    flagged = {unit.source: unit.flags for unit in units("gettext", PO) if unit.flags}
    assert flagged == {"Guessed": ("fuzzy",), "Gone": ("obsolete",)}
    assert [unit.source for unit in units("gettext", PO) if unit.target is None] == ["Untranslated"]
    assert {unit.key for unit in units("gettext", PO)} >= {"Save", "menu\x04File", "tool\x04File", "%(n)d file\x001"}
    assert {unit.line for unit in units("gettext", PO) if unit.source == "Save"} == {8}


@pytest.mark.parametrize("mark", ["\n", "\r\n"])
def test_a_byte_order_mark_and_line_ends_are_kept(mark):
    content = ("\ufeff" + PO).replace("\n", mark).encode()
    assert pairs(content) == PAIRS
    after = written("gettext", content, {"Save": "Sichern\nSofort"})
    assert after == content.replace(b'"Speichern"', f'""{mark}"Sichern\\n"{mark}"Sofort"'.encode())


def test_the_charset_is_read_from_the_header_not_from_comments():
    content = "# was charset=ISO-8859-1 once\n" + HEADER + 'msgid "Cool"\nmsgstr "K\u00fchl"\n'
    assert pairs(content) == [("Cool", "Kühl")]
    latin = content.replace("charset=UTF-8", "charset=ISO-8859-1").replace("once", "and charset=utf-8")
    assert pairs(latin.encode("latin-1")) == [("Cool", "Kühl")]


def test_a_charset_after_a_long_comment_is_found():
    content = "# licence\n" * 2000 + HEADER.replace("UTF-8", "CP1252") + 'msgid "Cool"\nmsgstr "K\u00fchl \u2013"\n'
    assert pairs(content.encode("cp1252")) == [("Cool", "Kühl –")]


def test_the_error_for_another_charset_names_the_line():
    with pytest.raises(FormatError, match=r"line 7: the bytes fc are not utf-8; as cp1252 .*'msgstr \"Kühl\"'"):
        read("gettext", (HEADER + 'msgid "Cool"\nmsgstr "K\u00fchl"\n').encode("latin-1"))


def test_an_unknown_charset_is_an_error():
    with pytest.raises(FormatError, match="the file names the encoding 'klingon'"):
        read("gettext", PO.replace("UTF-8", "klingon"))


def test_the_charset_placeholder_of_a_template_means_utf8():
    assert pairs(PO.replace("UTF-8", "CHARSET")) == PAIRS


def test_the_setting_overrides_the_header():
    content = HEADER + 'msgid "Cool"\nmsgstr "K\u00fchl"\n'
    assert pairs(content.encode("latin-1"), "cp1252") == [("Cool", "Kühl")]


def test_only_lf_ends_a_line():
    content = (
        HEADER + 'msgid "Cool\u0085air"\nmsgstr "K\u00fchle\u2028Luft\x1c"\n\nmsgid "Warm air"\nmsgstr "Warme Luft"\n'
    )
    assert pairs(content) == [("Cool\u0085air", "Kühle\u2028Luft\x1c"), ("Warm air", "Warme Luft")]


def test_every_plural_form_is_paired_with_its_source():
    content = HEADER.replace("nplurals=2; plural=(n != 1)", "nplurals=3; plural=(n==1 ? 0 : n<5 ? 1 : 2)") + (
        'msgid "one wheel"\nmsgid_plural "%d wheels"\nmsgstr[0] "a"\nmsgstr[1] "b"\nmsgstr[2] "c"\n'
    )
    assert pairs(content) == [("one wheel", "a"), ("%d wheels", "b"), ("%d wheels", "c")]
    assert remarks("gettext", content) == []
    single = content.replace("nplurals=3; plural=(n==1 ? 0 : n<5 ? 1 : 2)", "nplurals=1; plural=0")
    assert pairs(single)[0] == ("%d wheels", "a")


def test_more_forms_than_declared_are_noticed():
    content = HEADER + 'msgid "%d wheel"\nmsgid_plural "%d wheels"\nmsgstr[0] "a"\nmsgstr[1] "b"\nmsgstr[2] "c"\n'
    assert pairs(content) == [("%d wheel", "a"), ("%d wheels", "b"), ("%d wheels", "c")]
    assert remarks("gettext", content) == ["the header declares 2 plural forms, but messages have 3"]


def test_plural_forms_without_a_rule_are_noticed():
    content = 'msgid "%d wheel"\nmsgid_plural "%d wheels"\nmsgstr[0] "a"\nmsgstr[1] "b"\n'
    assert pairs(content) == [("%d wheel", "a"), ("%d wheels", "b")]
    assert ["no valid Plural-Forms" in each for each in remarks("gettext", content)] == [True]


@pytest.mark.parametrize("content", [HEADER, polib.pofile(HEADER).to_binary()])
def test_a_file_with_only_a_header_is_noticed(content):
    assert remarks("gettext", content) == ["has a header but no messages"]
    assert units("gettext", content) == []


def test_a_second_header_is_skipped():
    assert skips("gettext", HEADER + HEADER + 'msgid "a"\nmsgstr "b"\n') == [("second header", "")]


def test_another_language_is_noticed():
    content = HEADER.replace('"Plural', '"Language: fr_FR\\n"\n"Plural') + 'msgid "a"\nmsgstr "b"\n'
    assert remarks("gettext", content) == ["the header declares Language: fr_FR; it is read as de"]
    assert remarks("gettext", content.replace("fr_FR", "de_AT")) == []


def catalogue(*messages):
    return HEADER + "".join(f'msgid "{source}"\nmsgstr "{target}"\n\n' for source, target in messages)


def test_symbolic_ids_are_skipped():
    content = catalogue(("menu.file.open", "Datei öffnen"), ("SAVE_BUTTON", "Speichern"), ("title", "Titel"))
    expected = [("symbolic id", each) for each in ("menu.file.open", "SAVE_BUTTON", "title")]
    assert skips("gettext", content) == expected
    assert sorted(skips("gettext", polib.pofile(content).to_binary())) == sorted(expected)


def test_a_text_that_looks_like_an_id_is_read_if_most_keys_are_texts():
    content = catalogue(("README.md", "LIESMICH.md"), ("Open file", "Datei öffnen"), ("Save", "Sichern"))
    assert skips("gettext", content) == []


def test_units_of_a_template_have_no_targets():
    content = HEADER + 'msgid "a"\nmsgstr ""\n\nmsgid "b"\nmsgid_plural "c"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    assert [(unit.source, unit.target) for unit in units("gettext", content)] == [("a", None), ("b", None), ("c", None)]
    after = written("gettext", content, {"a": "x", "b\x001": "y"})
    assert after.decode() == content.replace('msgstr ""\n\nmsgid "b"', 'msgstr "x"\n\nmsgid "b"').replace(
        'msgstr[1] ""', 'msgstr[1] "y"'
    )


def test_escapes_are_decoded():
    content = HEADER + 'msgid "a"\nmsgstr "\\t\\"\\\\n\\101\\x42\\303\\274\\q" "more"\n"end"\n'
    assert pairs(content) == [("a", '\t"\\nABü\\qmoreend')]
    with pytest.raises(FormatError, match=r"line 6: escaped bytes are not valid utf-8"):
        read("gettext", HEADER + 'msgid "a"\nmsgstr "\\377"\n')


def test_a_translated_message_is_no_longer_fuzzy():
    after = assert_puts("gettext", PO, "Guessed", "Erraten")
    assert b'#, c-format\nmsgid "Guessed"\nmsgstr "Erraten"' in after
    assert b"fuzzy" not in after
    assert b"#| msgid" not in after


def test_long_translations_are_wrapped_like_the_file():
    long = "word " * 40
    after = assert_puts("gettext", PO, "Save", long).decode()
    assert max(map(len, after.splitlines())) <= 80
    unwrapped = PO + f'\nmsgid "x"\nmsgstr "{long}"\n'
    lines = assert_puts("gettext", unwrapped, "x", long * 2).decode().splitlines()
    assert f'msgstr "{long * 2}"' in lines


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.sampled_from(["Save", "#~Gone", "Guessed"]))
def test_any_translation_of_a_po_survives_a_round_trip(translation, key):
    after = assert_puts("gettext", PO, key, translation)
    if translation.isprintable():  # polib ends lines at U+0085 and the like
        entries = {entry.msgid: entry.msgstr for entry in polib.pofile("\n" + after.decode())}
        assert entries[key.removeprefix("#~")] == translation


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('msgid "a"\nmsgstr "b"\nnonsense here\n', "line 3: not a .po catalogue: invalid line 'nonsense here'"),
        ('msgid "a"\nmsgid "b"\nmsgstr ""\n', "line 2: not a .po catalogue: misplaced msgid"),
        ('msgid "a"\n', "line 1: not a .po catalogue: the message has no msgstr"),
        ('msgid "a"\nmsgstr "b\n', "line 2: not a .po catalogue"),
        ('"a"\n', "line 1: not a .po catalogue: a string without msgid"),
        ('msgstr "a"\n', "line 1: not a .po catalogue: misplaced msgstr"),
        ('msgid "a"\nmsgstr "b"\nmsgstr "c"\n', "line 3: not a .po catalogue: misplaced msgstr"),
        ('msgid "a"\rmsgstr "b"\r', "line 1: not a .po catalogue"),
    ],
)
def test_errors_in_a_po_name_the_line(content, fault):
    with pytest.raises(FormatError, match=r"c\.gettext: " + fault):
        read("gettext", content)


# --- .mo


def test_a_mo_from_polib_is_read_like_the_standard_library_does():
    content = polib.pofile(PO).to_binary()
    assert sorted(pairs(content)) == sorted(PAIRS)
    oracle = gettext.GNUTranslations(io.BytesIO(content))
    assert oracle.ngettext("%(n)d file", "%(n)d files", 1) == "%(n)d Datei"


def compiled(messages, order="<"):
    tables, data, place = [b"", b""], b"", 28 + 16 * len(messages)
    for side in (0, 1):
        for pair in messages:
            tables[side] += struct.pack(order + "2I", len(pair[side]), place + len(data))
            data += pair[side] + b"\0"
    count = len(messages)
    return struct.pack(order + "7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0) + tables[0] + tables[1] + data


LATIN = (b"", b"Content-Type: text/plain; charset=iso-8859-1\n")


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_mo_of_either_byte_order_and_another_charset_is_read(order):
    content = compiled([LATIN, (b"five", "fünf".encode("latin-1"))], order)
    assert pairs(content) == [("five", "fünf")]
    after = written("gettext", content, {"five": "fünfe"})
    assert pairs(after) == [("five", "fünfe")]
    assert after[:4] == content[:4]
    with pytest.raises(FormatError, match="contains '☃', which is not in iso8859-1"):
        written("gettext", content, {"five": "☃"})


def test_the_error_for_a_wrong_mo_charset_names_the_setting():
    content = compiled([(b"five", "fünf".encode("latin-1"))])
    with pytest.raises(FormatError, match=r"entry 1: the text is not valid utf-8.*set `encoding`"):
        read("gettext", content)
    assert pairs(content, "latin-1") == [("five", "fünf")]


def test_a_written_mo_is_readable_by_the_standard_library():
    content = polib.pofile(PO).to_binary()
    assert written("gettext", content, {}) == content
    after = written("gettext", content, {"menu\x04File": "Akte", "%(n)d file\x001": "%(n)d Akten"})
    catalogue = gettext.GNUTranslations(io.BytesIO(after))
    assert catalogue.pgettext("menu", "File") == "Akte"
    assert catalogue.ngettext("%(n)d file", "%(n)d files", 2) == "%(n)d Akten"
    assert catalogue.gettext("Save") == "Speichern"


@pytest.mark.parametrize("size", [4, 10, 30, 60, 100])
def test_a_truncated_mo_is_an_error(size):
    with pytest.raises(FormatError, match=r"c\.gettext: the catalogue is truncated"):
        read("gettext", polib.pofile(PO).to_binary()[:size])


def test_overlapping_texts_are_rejected_before_decoding():
    count, size = 2000, 1_000_000
    entry = struct.pack("<2I", size, 28 + 16 * count)
    content = struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0) + entry * 2 * count + b"x" * size
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="its texts overlap"):
            read("gettext", content)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(content)
    finally:
        tracemalloc.stop()


def test_an_impossible_number_of_entries_is_an_error():
    with pytest.raises(FormatError, match="4,294,967,295 entries do not fit in 28 bytes"):
        read("gettext", struct.pack("<7I", 0x950412DE, 0, 2**32 - 1, 28, 28, 0, 0))


def test_keys_of_a_po_contain_the_context_and_form():
    assert texts("gettext", PO)["menu\x04File"] == "Datei"
