import gzip

import pytest

from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.formats.tmx import read_tmx
from seqloom.corpus.formats.xliff import read_xliff
from seqloom.errors import FormatError
from seqloom.languages import Direction
from tests.memory import peak_memory

EN_DE = Direction("en", "de")


def tmx(*units, head='<tmx version="1.4"><header srclang="en-US"/>'):
    tus = []
    for unit in units:
        tuvs = [f'<tuv xml:lang="{language}"><seg>{text}</seg></tuv>' for language, text in unit.items()]
        tus.append(f"<tu>{''.join(tuvs)}</tu>")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<body>\n' + "\n".join(tus) + "\n</body></tmx>"


def units(members, files, direction=EN_DE, pattern=None, read=read_tmx):
    return [(pair.source, pair.target) for pair in read(members(files), pattern, direction)]


def test_units_with_both_languages(members):
    content = tmx({"en-US": "one &amp; two", "DE_at": "eins"}, {"en": "no"}, {"de": "zwei", "fr": "deux", "en": "two"})
    assert units(members, {"m.tmx": content}) == [("one & two", "eins"), ("two", "zwei")]
    assert units(members, {"m.tmx": content}, Direction("fr", "en")) == [("deux", "two")]


def test_the_very_language_comes_before_one_of_a_region(members):
    content = tmx({"en-GB": "colour", "en": "color", "de-AT": "x", "de": "Farbe"})
    assert units(members, {"m.tmx": content}) == [("color", "Farbe")]
    assert units(members, {"m.tmx": content}, Direction("en-GB", "de-AT")) == [("colour", "x")]


def test_inline_elements_are_what_they_mark_and_subflows_are_left_out(members):
    text = 'A <bpt i="1">&lt;b&gt;</bpt>bold<ept i="1">&lt;/b&gt;</ept> <ph x="1">{0}<sub>alt</sub></ph> <hi>end</hi>'
    assert units(members, {"m.tmx": tmx({"en": text, "de": "x"})}) == [("A <b>bold</b> {0} end", "x")]


def test_tmx_gz_other_encodings_a_doctype_and_groups(members):
    content = tmx({"en": "one", "de": "für"}).replace("UTF-8", "ISO-8859-1")
    with_type = content.replace("?>\n", '?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n')
    files = {"a/m.tmx": gzip.compress(with_type.encode("latin-1")), "b/m.tmx": content.encode("latin-1")}
    assert list(read_tmx(members(files), "{group}/m.tmx", EN_DE)) == [
        RawPair("one", "für", "a"), RawPair("one", "für", "b")
    ]  # fmt: skip


@pytest.mark.parametrize("read", [read_tmx, read_xliff])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<other/>", r"c: f\.x: line 1: is no (TMX|XLIFF): it begins with <other>"),
        ("<tmx>\n<body>\n</tmx>", r"c: f\.x: line (3: not well-formed XML: mismatched tag|1: is no XLIFF)"),
        ("", r"c: f\.x: line 1: not well-formed XML: no element found"),
        ("<!DOCTYPE x [\n<!ENTITY a 'b'>]>\n<tmx/>", r"c: f\.x: line 2: declares the entity 'a', which is not read"),
        (gzip.compress(b"<tmx>" * 9999, mtime=0)[:-20], r"c: f\.x: line 1: (the gzip is truncated|is no XLIFF)"),
    ],
)
def test_what_is_broken_is_told_with_its_line(members, read, content, said):
    with pytest.raises(FormatError, match=said):
        list(read(members({"f.x": content}), None, EN_DE))


def test_languages_that_are_not_there_are_told_with_those_that_are(members):
    with pytest.raises(FormatError, match="no unit has both en and de; its languages are en, fr"):
        units(members, {"m.x": tmx({"en": "one", "fr": "un"})})
    with pytest.raises(FormatError, match="holds no translation of en to de; it holds en-US to fr, en to fr"):
        units(members, {"m.x": ONE.replace('"de"', '"fr"')}, read=read_xliff)
    with pytest.raises(FormatError, match=r"line 3: a <tuv> says no language"):
        units(members, {"m.x": tmx({"en": "one"}).replace(' xml:lang="en"', "")})


def test_a_large_memory_needs_no_memory(members):
    def peak(count):
        found = members({"m.tmx": tmx(*({"en": f"text {n} " * 9, "de": "x"} for n in range(count)))})
        return peak_memory(lambda: check(found, count))

    def check(found, count):
        assert sum(1 for _ in read_tmx(found, None, EN_DE)) == count

    assert peak(3_000) < peak(1_000) + 100_000


ONE = """<?xml version="1.0"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file original="app.html" source-language="en-US" target-language="de"><body>
<trans-unit id="1"><source>Save</source><target>Speichern</target>
  <alt-trans><source>No</source><target>Nein</target></alt-trans></trans-unit>
<trans-unit id="2"><source>Hi <x id="N" equiv-text="{{name}}"/>!</source><seg-source>Hi</seg-source>
  <target>Hallo <x id="N" equiv-text="{{name}}"/>!</target></trans-unit>
<trans-unit id="3"><source>Later</source><target/></trans-unit>
<trans-unit id="4"><source>Later</source></trans-unit>
<trans-unit id="5"><source>New</source><target state="needs-translation">New</target></trans-unit>
<trans-unit id="6"><source><g id="1">Bold</g><x id="2"/> <ph id="3">%s</ph><note>n</note></source>
  <target state="final"><g id="1">Fett</g><x id="2"/> <ph id="3">%s</ph></target></trans-unit>
</body></file>
<file original="b" source-language="en" target-language="fr"><body>
<trans-unit id="1"><source>one</source><target>un</target></trans-unit></body></file>
</xliff>"""

TWO = """<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="de"><file id="f">
<unit id="1"><notes><note>About</note></notes>
  <segment><source>One.</source><target>Eins.</target></segment><ignorable><source> </source></ignorable>
  <segment state="translated"><source>Go <pc id="1">on</pc> <ph id="2" disp="{0}"/><ph id="3"/></source>
    <target>Geh <pc id="1">weiter</pc> <ph id="2" disp="{0}"/><ph id="3"/></target></segment>
  <segment state="initial"><source>No</source><target>No</target></segment></unit></file></xliff>"""


def test_translated_units_of_xliff_1_2(members):
    assert list(read_xliff(members({"m.xlf": ONE}), None, EN_DE)) == [
        RawPair("Save", "Speichern", "app.html"),
        RawPair("Hi {{name}}!", "Hallo {{name}}!", "app.html"),
        RawPair('Bold<x id="2"/> %s', 'Fett<x id="2"/> %s', "app.html"),
    ]
    assert units(members, {"m.xlf": ONE}, Direction("en", "fr"), read=read_xliff) == [("one", "un")]


def test_translated_units_of_xliff_2_0(members):
    assert units(members, {"m.de.xlf": TWO, "m.fr.xlf": TWO}, pattern="*.{lang}.xlf", read=read_xliff) == [
        ("One.", "Eins."), ('Go on {0}<ph id="3"/>', 'Geh weiter {0}<ph id="3"/>')
    ]  # fmt: skip
