from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.errors import RequestError
from seqloom.serving.markup import Markup, XmlTags, read_html_text, read_xml_text


def shouted(markup: Markup) -> str:
    """The document with each text in angle quotes."""
    return markup.write([f"«{text}»" for text in markup.texts])


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Hello", ["Hello"]),
        ("Press <b>Save</b> now", ["Press <g1>Save</g1> now"]),
        ("  <b>Save</b>\n", ["Save"]),
        ("<b>Hello</b> <i>world</i>", ["<g1>Hello</g1> <g2>world</g2>"]),
        ("<p>One.</p><p>Two.</p>", ["One.", "Two."]),
        ("<doc>\n <h>Title</h>\n <p>A <b>c</b></p>\n</doc>", ["Title", "A <g1>c</g1>"]),
        ("<p>A<br/>B</p>", ["A<x1/>B"]),
        ("one\n  two", ["one two"]),
        ("5 &lt; 6 &amp; &nbsp;7 <![CDATA[<8>]]>", ["5 < 6 & \xa07 <8>"]),
        ("a<!-- note -->b", ["a<x1/>b"]),
        ("<a/><b></b>", []),
        ("", []),
    ],
)
def test_units_of_xml(text, units):
    markup = read_xml_text(text)
    assert markup.texts == units
    assert read_xml_text(markup.write(markup.texts)).texts == units


def test_xml_keeps_everything_around_the_texts():
    text = (
        '<?xml version="1.0"?>\n<doc a="&gt;">\n  <h>Title</h> \n  <p>A &amp; <b k=\'1>2\'>c</b></p><!-- x -->\n</doc>'
    )
    wanted = text.replace("Title", "«Title»").replace("<p>", "<p>«").replace("</p>", "»</p>")
    assert shouted(read_xml_text(text, XmlTags(splitting=frozenset(["h"])))) == wanted


def test_ignored_elements_are_copied():
    markup = read_xml_text('Turn <x id="1">a <b>b</b></x> on', XmlTags(ignored=frozenset(["x"])))
    assert markup.texts == ["Turn <x1/> on"]
    assert markup.write(["An <x1/>"]) == 'An <x id="1">a <b>b</b></x>'
    assert read_xml_text("<x>a</x><x>b</x>", XmlTags(ignored=frozenset(["x"]))).texts == []


@pytest.mark.parametrize(
    ("text", "translation", "wanted"),
    [
        ("Press <b>Save</b> now", "Drücke <g1> auf </g1> jetzt", "Drücke <b>auf</b> jetzt"),
        ("Press <b>Save</b>.", "Drücke<g1> auf </g1>.", "Drücke <b>auf</b>."),
        ("A <b>Save</b> b", "<g1> auf </g1>drücke", "<b>auf</b> drücke"),
        ("Press <b> Save </b> now", "Drücke <g1> auf </g1> jetzt", "Drücke <b> auf </b> jetzt"),
    ],
)
def test_spaces_stay_outside_of_tags(text, translation, wanted):
    assert read_xml_text(text).write([translation]) == wanted


def test_splitting_and_joining_tags():
    text = "<p>Some <b>bold<br/>text</b>.</p>"
    markup = read_xml_text(text, XmlTags(splitting=frozenset(["br"])))
    assert markup.texts == ["Some", "bold", "text", "."]
    assert markup.write(["Etwas", "fetter", "Text", "."]) == "<p>Etwas <b>fetter<br/>Text</b>.</p>"
    assert read_xml_text("<p>a</p><p>b</p>", XmlTags(joining=frozenset(["p"]))).texts == ["<g1>a</g1><g2>b</g2>"]
    assert read_xml_text("<p>a</p><p>b</p>", XmlTags(outline=False)).texts == ["<g1>a</g1><g2>b</g2>"]


def test_line_breaks_can_be_kept():
    assert read_xml_text("one\ntwo", XmlTags(newlines=True)).texts == ["one\ntwo"]


@pytest.mark.parametrize(
    "text", ["<b>", "a</fragment><fragment>b", "</fragment>", "a & b", "&unknown;", "<a b=1/>", "\x00", "<!DOCTYPE a>"]
)
def test_xml_that_is_not_well_formed_is_refused(text):
    with pytest.raises(RequestError, match="not well-formed XML: line 1"):
        read_xml_text(text)


def test_xml_has_limits():
    with pytest.raises(RequestError, match="256 levels"):
        read_xml_text("<a>" * 300 + "</a>" * 300)
    with pytest.raises(RequestError, match="20,000 tags"):
        read_xml_text("<a/>" * 20_001)


FRAGMENTS = st.recursive(
    st.sampled_from(["", " ", "\n", "word", "two words.", "&amp;", "<br/>", "<!-- c -->", "<![CDATA[x>]]>", "é\xa0"]),
    lambda inner: st.builds(
        lambda name, parts: f"<{name}>{''.join(parts)}</{name}>", st.sampled_from("abx"), st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)
TRANSLATION = st.lists(
    st.one_of(
        st.sampled_from(["<g1>", "</g1>", "<g2>", "</g2>", "<x1/>", "<x3/>", "<b>", "&", "<"]), st.text(max_size=5)
    ),
    max_size=8,
).map("".join)


@given(st.lists(FRAGMENTS, max_size=4).map("".join), st.data())
def test_xml_stays_well_formed_and_complete_whatever_the_translation(text, data):
    tags = XmlTags(ignored=frozenset("x"), splitting=frozenset(data.draw(st.sampled_from(["", "a", "b"]))))
    markup = read_xml_text(text, tags)
    written = markup.write([data.draw(TRANSLATION) for _ in markup.texts])

    def elements(document):
        return sorted(each.tag for each in ElementTree.fromstring(f"<all>{document}</all>").iter())

    assert elements(written) == elements(text)


def test_html_is_translated_by_blocks():
    text = '<h1>Title</h1><p title="Tip">Some <b class="x">bold</b> text</p><script>let a</script>'
    markup = read_html_text(text)
    assert markup.texts == ["Title", "Tip", "Some <b>bold</b> text"]
    assert markup.write(["Titel", "Tipp", "Etwas <b>fetter</b> Text"]) == (
        '<h1>Titel</h1><p title="Tipp">Etwas <b class="x">fetter</b> Text</p><script>let a</script>'
    )


def test_html_elements_can_be_ignored():
    markup = read_html_text("Turn <x>it</x> <b>on</b>", frozenset(["x"]))
    assert markup.texts == ["Turn <x1/> <b>on</b>"]
    assert markup.write(["<b>An</b> <x1/>"]) == "<b>An</b> <x>it</x>"
    assert read_html_text("a \ud800 b").texts == ["a ? b"]
