import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.corpus.members import Members
from seqloom.corpus.reading import LeftOut, RawPair, read_corpus
from seqloom.corpus.source_settings import FileSource
from seqloom.errors import FormatError
from seqloom.languages import Direction
from tests.formats.marked import read, skips, translated, units

SAMPLE = r"""<?xml version="1.0" encoding="utf-8"?>
<!-- Texts of the app -->
<resources xmlns:xliff="urn:oasis:names:tc:xliff:document:1.2" xmlns:tools="http://schemas.android.com/tools">
    <string name="title" product="tablet">Fridge\'s   "lid  open"</string>
    <string name="build" translatable="false">KX-1</string>
    <string name="greeting">Hi <xliff:g id="name" example="Ann">%1$s</xliff:g>, <b>welcome</b> to
        <a href="https://example.org/?a=1&amp;b=2">our <i>site</i></a>!\nBye</string>
    <string name="open">Open <xliff:g id="app">Maps</xliff:g> &amp; &#8220;go&#8221;</string>
    <string name="page"><![CDATA[<p>See <b>this</b> & that</p>]]></string>
    <string name="alias">@string/title</string>
    <string name="empty"/>
    <color name="red">#f00</color>
    <string-array name="days"><item>Monday</item>
        <item>Tuesday</item></string-array>
    <plurals name="files">
        <item quantity="one">%d file</item>
        <item quantity="other">%d files</item>
    </plurals>
</resources>
"""


def strings(*texts):
    body = "".join(f'<string name="t{number}">{text}</string>' for number, text in enumerate(texts))
    return f"<resources>{body}</resources>"


def texts(content):
    return [unit.source for unit in units("android", content)]


def test_texts_and_their_keys_are_read():
    assert [(unit.key, unit.source, unit.other) for unit in units("android", SAMPLE)] == [
        ("title@tablet", "Fridge's lid  open", ""),
        ("build", "KX-1", ""),
        ("greeting", "Hi %1$s, <b>welcome</b> to <a>our <i>site</i></a>!\nBye", ""),
        ("open", 'Open <x id="app"/> & “go”', ""),
        ("page", "<p>See <b>this</b> & that</p>", ""),
        ("empty", "", ""),
        ("days[0]", "Monday", ""),
        ("days[1]", "Tuesday", ""),
        ("files{one}", "%d file", "files{other}"),
        ("files{other}", "%d files", "files{other}"),
    ]
    assert [unit.line for unit in units("android", SAMPLE)][:4] == [4, 5, 6, 8]
    assert [unit.flags for unit in units("android", SAMPLE)][:3] == [(), ("untranslatable",), ()]
    assert skips("android", SAMPLE) == [("reference", "@string/title")]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"a\'b\"c\\d", "a'b\"c\\d"),
        (r"\@home \?x", "@home ?x"),
        (r"caf\u00e9 \uD83D\uDE00", "café 😀"),
        (r"\ud83d", "\ufffd"),
        ("\n   one\n\t two  ", "one two"),
        ('"  one  " two', "  one   two"),
        ('it"s  ', "its  "),
        (r"\u0020a\u0020", " a "),
        ("a\\\nb", "ab"),
        (r"\q\u12", "qu12"),
        ("end\\", "end"),
        ("a&nbsp;b&#160;c", "a\xa0b\xa0c"),
        ("<b> a </b> b", "<b> a </b> b"),
        ("a<br/>b<xliff:g>%s</xliff:g>".replace("xliff:", ""), "a<br/>b%s"),
        ("<font color='#fff'>x</font> &lt;font>", "<g1>x</g1> <font>"),
    ],
)
def test_texts_are_unescaped_as_by_android(written, shown):
    assert texts(strings(written)) == [shown]


def test_translations_are_written_in_place():
    again = translated(
        "android",
        SAMPLE,
        {
            "title@tablet": "Tür  'offen'",
            "greeting": '<a>Seite</a> von %1$s: <b>hallo</b> <i>"da"</i>',
            "empty": "@leer & <b>",
            "days[1]": " Dienstag ",
            "files{one}": "eine\n%d\tDatei",
        },
    ).decode()
    expected = SAMPLE.replace(r"Fridge\'s   " + '"lid  open"', r"Tür \u0020\'offen\'")
    begin, end = expected.index("Hi <xliff"), expected.index(r"\nBye")
    expected = (
        expected[:begin]
        + '<a href="https://example.org/?a=1&amp;b=2">Seite</a> von '
        + '<xliff:g id="name" example="Ann">%1$s</xliff:g>: <b>hallo</b> <i>'
        + r"\"da\"</i>"
        + expected[end + len(r"\nBye") :]
    )
    expected = expected.replace('<string name="empty"/>', r'<string name="empty">\@leer &amp; &lt;b&gt;</string>')
    expected = expected.replace("Tuesday", r"\u0020Dienstag\u0020").replace("%d file<", r"eine\n%d\tDatei<")
    assert again == expected


def test_a_duplicate_name_is_skipped():
    content = "<resources><string name='a'>one</string><string name='a'>two</string></resources>"
    assert texts(content) == ["one"]
    assert skips("android", content) == [("duplicate key", "two")]


def test_errors_name_the_line():
    with pytest.raises(FormatError, match=r"line 1: not a <resources> file: the root element is <html>"):
        read("android", "<html/>")
    with pytest.raises(FormatError, match="line 2: not well-formed"):
        read("android", "<resources>\n<string>a</b></resources>")


def test_two_files_are_paired_by_name_and_plural_form(tmp_path):
    german = SAMPLE.replace("%d files", "%d Dateien").replace('quantity="one">%d file', 'quantity="few">%d Dateie')
    (tmp_path / "en.xml").write_text(SAMPLE)
    (tmp_path / "de.xml").write_text(
        german.replace("Monday", "Montag").replace("Tuesday", "").replace("Maps", "Karten")
    )
    source = FileSource(kind="file", path="data/local/{lang}.xml", format="android")
    found = [each for _, each in read_corpus(Members("c", tmp_path, None), source, [Direction("en", "de")])]
    assert [(each.source, each.target) for each in found if isinstance(each, RawPair)][-3:] == [
        ("Monday", "Montag"), ("%d files", "%d Dateien"), ("%d files", "%d Dateie")
    ]  # fmt: skip
    reasons = [each.reason for each in found if isinstance(each, LeftOut)]
    assert sorted(reasons) == [
        "blank line",
        "not translated",
        "not translated",
        "reference",
        "reference",
        "untranslatable",
    ]


any_text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(list(" \t\n\r\\\"'@?<>&u0")), min_size=1)


@settings(deadline=None)
@given(any_text, st.sampled_from(["utf-8", "utf-16", "iso-8859-1"]))
def test_any_text_survives_a_round_trip(text, encoding):
    content = f'<?xml version="1.0" encoding="{encoding}"?>{strings("x", "<b>y</b>")}'.encode(encoding)
    assert texts(translated("android", content, {"t0": text, "t1": f"<b>{text}</b>"})) == [text, f"<b>{text}</b>"]


def test_arrays_may_be_long_and_items_of_styles_are_not_read():
    items = "".join(f"<item>Text {number}</item>" for number in range(6_000))
    content = (
        f'<resources><style name="s"><item name="c">#fff</item></style><array name="a">{items}</array></resources>'
    )
    found = units("android", content)
    assert [found[0].key, found[-1].key, len(found)] == ["a[0]", "a[5999]", 6_000]
