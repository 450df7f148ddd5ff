import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.corpus.members import Members
from seqloom.corpus.reading import RawPair, read_corpus
from seqloom.corpus.source_settings import FileSource
from seqloom.errors import FormatError
from seqloom.languages import Direction
from tests.examples import containing
from tests.formats.marked import read, translated, units

SAMPLE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Bread &amp; butter</title>
<meta name="description" content="How to bake"><meta name="viewport" content="width=device-width">
<style>p { color: red }</style><script>if (a < b) { alert("</p>") }</script></head>
<body>
  <h1 title="The oven">Warm <em>up</em></h1>
  <p>
    Take a <a href="bowl.html" title="A bowl">bowl</a><br>
    and caf&eacute;&nbsp;au lait.
  </p>
  <ul><li>Flour<li>Water <img src="w.png" alt="Cold water"> and <b><i>salt</i></b></ul>
  <img alt='A "loaf"' src=loaf.png><pre>  keep <b>this</b></pre>
  <p translate="no">KX-1</p><p>Type <span translate="no">make <b>all</b></span> now</p>
  <input type="submit" value="Send"><input value="no text" placeholder=Name>
  <!-- nothing --><p> &nbsp; </p>
  <svg><title>x</title></svg>
</body></html>
"""
TEXTS = [
    ("1", "Bread & butter"),
    ("2@content", "How to bake"),
    ("3@title", "The oven"),
    ("4", "Warm <em>up</em>"),
    ("5@title", "A bowl"),
    ("6", "Take a <a>bowl</a><br> and café\xa0au lait."),
    ("7", "Flour"),
    ("8@alt", "Cold water"),
    ("9", "Water <img> and <b><i>salt</i></b>"),
    ("10@alt", 'A "loaf"'),
    ("11", "Type <x1/> now"),
    ("12@value", "Send"),
    ("13@placeholder", "Name"),
]


def texts(content):
    return [unit.source for unit in units("html", content)]


def test_blocks_and_attributes_are_read():
    assert [(unit.key, unit.source) for unit in units("html", SAMPLE)] == TEXTS
    lines = [unit.line for unit in units("html", SAMPLE)]
    assert lines == [2, 3, 6, 6, 8, 8, 11, 11, 11, 12, 13, 14, 14]


def test_translations_are_written_in_place():
    again = translated(
        "html",
        SAMPLE,
        {
            "1": "Brot < Butter",
            "4": "<em>Vor</em>wärmen",
            "5@title": 'Eine "Schüssel"',
            "8@alt": "Kaltes Wasser",
            "9": "<b>Salz</b> und Wasser",
            "10@alt": "Ein 'Laib'",
            "11": "Tippe <x1/>",
            "13@placeholder": "Dein Name",
        },
    ).decode()
    expected = SAMPLE
    for old, new in (
        ("Bread &amp; butter", "Brot &lt; Butter"),
        ("Warm <em>up</em>", "<em>Vor</em>wärmen"),
        ('title="A bowl"', 'title="Eine &quot;Schüssel&quot;"'),
        (
            'Water <img src="w.png" alt="Cold water"> and <b><i>salt</i></b>',
            '<b>Salz</b> und Wasser<img src="w.png" alt="Kaltes Wasser"><i></i>',
        ),
        ("'A \"loaf\"'", "'Ein &#39;Laib&#39;'"),
        ('Type <span translate="no">make <b>all</b></span> now', 'Tippe <span translate="no">make <b>all</b></span>'),
        ("placeholder=Name", 'placeholder="Dein Name"'),
    ):
        assert old in expected
        expected = expected.replace(old, new)
    assert again == expected


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", []),
        ("only text", ["only text"]),
        ("a < b and c<d", ["a < b and c"]),
        ("a <b x='", ["a"]),
        ("a <!-- b", ["a"]),
        ("a <script>b", ["a"]),
        ("<pre>a</p>b", []),
        ("<pre>a<pre>b</pre>c</pre>d", ["d"]),
        ("one<p>two</P >three", ["one", "two", "three"]),
        ("<b><i>a</b></i>", ["<b><x1/>a</b><x2/>"]),
        ("</b>a<b>", ["<x1/>a<x2/>"]),
        ("<b>&lt;b&gt;</b>", ["<g1><b></g1>"]),
        ("a<?php echo $b->c; ?>d", ["a<x1/>d"]),
        ("a<!-- c -->b", ["ab"]),
        ("<p>a&#x10FFFFFFFFFF;&#99999999999999999999;&amp b&notit;", ["a\ufffd\ufffd& b¬it;"]),
        ("<p title=>a<p title>b<p title=''>c", ["a", "b", "c"]),
        ("<p a='1>2' title=\"x>y\">b", ["x>y", "b"]),
        ("<title>a <b>c</b></title>", ["a <b>c</b>"]),
        ("<a title='t' alt=s><p>x", ["t", "s", "x"]),
        ("<b>a</b>" * 3, ["<b>a</b><b>a</b><b>a</b>"]),
        ("<my-tag>a</my-tag>b", ["a", "b"]),
    ],
)
def test_markup_is_read_as_by_browsers(content, found):
    assert texts(content) == found
    assert translated("html", content, {}).decode() == content


def test_identical_tags_in_a_text_keep_their_own_attributes():
    content = "<p>a<img alt='x'>b<img alt='x'>c</p>"
    assert translated("html", content, {"1@alt": "one", "2@alt": "two"}).decode() == (
        "<p>a<img alt='one'>b<img alt='two'>c</p>"
    )


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="shift_jis">', "cp932"),
        ("<meta charset=windows-1252>", "cp1252"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1">', "cp1252"),
        ('<?xml version="1.0" encoding="koi8-r"?>', "koi8-r"),
        ('<meta charset="utf-16">', "utf-8"),
        ('<meta charset="utf-16">', "utf-16"),
        ("", "utf-8"),
    ],
)
def test_declared_encodings_are_read_as_by_browsers(head, encoding):
    word = {"cp932": "門", "koi8-r": "дом"}.get(encoding, "Größe")
    content = f"{head}<p>{word}</p>".encode(encoding)
    assert texts(content) == [word]
    assert texts(translated("html", content, {"1": f"{word} 😀"})) == [f"{word} 😀"]
    with pytest.raises(FormatError, match="names the encoding 'klingon'"):
        texts("<meta charset=klingon>")


def test_a_block_with_very_many_tags_is_split():
    assert len(texts("<b>a</b>" * 2_000)) == 3


def test_two_documents_are_paired_by_the_order_of_their_texts(tmp_path):
    (tmp_path / "a.en.html").write_text("<h1>Bread</h1><p>Take <b>flour</b>.<img alt='Oven'>")
    (tmp_path / "a.de.html").write_text("<h1>Brot</h1>\n<p>Nimm <b>Mehl</b>.<img alt='Ofen'>")
    source = FileSource(kind="file", path="data/local/a.{lang}.html", format="html")
    found = [each for _, each in read_corpus(Members("c", tmp_path, None), source, [Direction("en", "de")])]
    assert [(each.source, each.target) for each in found if isinstance(each, RawPair)] == [
        ("Bread", "Brot"), ("Oven", "Ofen"), ("Take <b>flour</b>.<img>", "Nimm <b>Mehl</b>.<img>")
    ]  # fmt: skip
    (tmp_path / "a.de.html").write_text("<h1>Brot</h1>")
    with pytest.raises(FormatError, match=r"a\.en\.html has 3 .* a\.de\.html has 1"):
        list(read_corpus(Members("c", tmp_path, None), source, [Direction("en", "de")]))


parts = st.lists(
    st.sampled_from(
        [
            *("word", " ", "\n", "&amp;", "&", "<", ">", "<p>", "</p>", "<b>", "</b>", "<br>", "<a title='t'>", "</a>"),
            *(
                "<!--",
                "-->",
                "<pre>",
                "</pre>",
                "<img alt=x>",
                '<p title="',
                '"',
                "'",
                "<script>",
                "</script>",
                "=",
                "/",
            ),
        ]
    )
).map("".join)
characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff<")
visible = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="\ufffe\uffff<")
any_text = containing(characters | st.sampled_from(list(" \n\t\r&>'\"")), visible)


@settings(deadline=None)
@given(parts, st.data())
def test_random_documents_are_lossless_and_accept_any_translation(content, data):
    assert translated("html", content, {}).decode() == content
    before = units("html", content)
    chosen = {unit.key: data.draw(any_text) for unit in before}
    written = translated("html", content, chosen)
    after = units("html", written)
    assert [unit.key for unit in after] == [unit.key for unit in before]
    for unit in after:
        expected = chosen[unit.key].strip() if "@" in unit.key else chosen[unit.key]
        assert unit.source.strip().startswith(expected.strip())


def test_units_inside_a_unit_have_an_empty_raw():
    inner = [unit for unit in units("html", SAMPLE) if unit.key in ("5@title", "8@alt")]
    assert [(unit.raw, unit.put("x")) for unit in inner] == [("", ""), ("", "")]
    assert read("html", SAMPLE)
