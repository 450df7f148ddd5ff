import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.errors import FormatError
from seqloom.formats.catalogue import FORMATS
from seqloom.formats.pieces import Options, Skip, Unit
from seqloom.languages import Direction
from tests.examples import containing
from tests.formats.marked import EN_DE, opened, pairs, read, skips, translated, units
from tests.memory import peak_memory


def tuv(language, text, more=""):
    return f'<tuv xml:lang="{language}"{more}><seg>{text}</seg></tuv>'


def tmx(*tus, head='<tmx version="1.4"><header srclang="en-US"/>', encoding="UTF-8"):
    body = "\n".join(
        f"<tu>{''.join(tuv(*each) for each in tu.items())}</tu>" if isinstance(tu, dict) else tu for tu in tus
    )
    return f'<?xml version="1.0" encoding="{encoding}"?>\n{head}<body>\n{body}\n</body></tmx>'


def test_units_with_both_languages_are_read():
    content = tmx({"en-US": "one &amp; two", "DE_at": "eins"}, {"en": "no"}, {"de": "zwei", "fr": "deux", "en": "two"})
    assert pairs("tmx", content) == [("one & two", "eins"), ("two", "zwei")]
    assert pairs("tmx", content, Direction("fr", "en")) == [("deux", "two")]
    assert skips("tmx", content) == [("other languages", "en")]
    assert [unit.languages for unit in units("tmx", content)] == [("en-US", "DE_at"), ("en", "de")]


def test_a_unit_without_both_languages_is_skipped():
    assert skips("tmx", tmx({"fr": "un", "en": "one", "es": "uno"})) == [("other languages", "fr, en, es")]


def test_an_exact_language_is_preferred_to_a_regional_variant():
    content = tmx({"en-GB": "colour", "en": "color", "de-AT": "x", "de": "Farbe"})
    assert pairs("tmx", content) == [("color", "Farbe")]
    assert skips("tmx", content) == [("another variant", "colour"), ("another variant", "x")]
    assert pairs("tmx", content, Direction("en-GB", "de-AT")) == [("colour", "x")]


def test_a_language_can_be_translated_into_its_regional_variant():
    content = tmx({"pt-PT": "ecrã", "pt-BR": "tela"})
    assert pairs("tmx", content, Direction("pt", "pt-BR")) == [("ecrã", "tela")]
    assert pairs("tmx", content, Direction("pt-BR", "pt")) == [("tela", "ecrã")]


def test_further_target_variants_are_pairs_and_further_source_variants_are_skipped():
    content = tmx(f"<tu>{tuv('en', 'Hi')}{tuv('de', 'Hallo')}{tuv('en', 'Hello')}{tuv('de', 'Guten Tag')}</tu>")
    assert pairs("tmx", content) == [("Hi", "Hallo"), ("Hi", "Guten Tag")]
    assert skips("tmx", content) == [("another variant", "Hello")]
    assert [unit.key for unit in units("tmx", content)] == ["1", "1.2"]
    again = translated("tmx", content, {"1.2": "Moin"}).decode()
    assert again == content.replace("Guten Tag", "Moin")


def test_native_codes_become_placeholders():
    text = r'A <bpt i="1">&lt;b&gt;</bpt>bold<ept i="1">&lt;/b&gt;</ept> <ph x="1">{0}<sub>alt</sub></ph> <hi>end</hi>'
    assert pairs("tmx", tmx({"en": text, "de": "x"})) == [("A <g1>bold</g1> {0} end", "x")]
    text = r'Bolt<ut>{\cs6 </ut>ten<it pos="begin">{\b </it> now<ph x="7"/>please'
    assert pairs("tmx", tmx({"en": text, "de": "x"})) == [("Bolt<x1/>ten<x2/> now<x3/>please", "x")]


def test_codes_have_the_same_placeholders_on_both_sides():
    english = '<ph x="1">{a</ph> of <bpt i="1" x="2">{\\b</bpt>two<ept i="1">}</ept><ph x="3">%s</ph>'
    german = '<bpt i="4" x="2">{\\b</bpt>zwei<ept i="4">}</ept> von <ph x="3">%s</ph><ph x="1">{a</ph><ph x="9">{z</ph>'
    content = tmx({"en": english, "de": german})
    assert pairs("tmx", content) == [("<x1/> of <g2>two</g2>%s", "<g2>zwei</g2> von %s<x1/><x3/>")]
    changed = translated("tmx", content, {"1": "%s <g2>2</g2> & <x1/>"}).decode()
    assert changed == content.replace(
        german, '<ph x="3">%s</ph> <bpt i="1" x="2">{\\b</bpt>2<ept i="1">}</ept> &amp; <ph x="1">{a</ph>'
    )


def test_codes_without_numbers_are_matched_by_content():
    content = tmx({"en": "<ut>{one</ut>a<ut>{two</ut>", "de": "<ut>{two</ut>b<ut>{one</ut>"})
    assert pairs("tmx", content) == [("<x1/>a<x2/>", "<x2/>b<x1/>")]


def test_a_placeholder_that_occurs_in_the_text_is_not_used_for_a_code():
    content = tmx({"en": 'Tag &lt;x1/&gt; and {0}<ph x="1"/><ph x="2">{0}</ph>', "de": "x"})
    assert pairs("tmx", content) == [("Tag <x1/> and {0}<x2/><x3/>", "x")]


@pytest.mark.parametrize(
    ("translation", "written"),
    [
        ("Los", "Los<bpt i='1'>{b</bpt><ept i='1'>}</ept><ph x='1'/>"),
        ("<x2/>a<x2/>b", "<ph x='1'/>ab<bpt i='1'>{b</bpt><ept i='1'>}</ept>"),
        ("</g1>a<g1>b<x2/>", "a<bpt i='1'>{b</bpt>b<ph x='1'/><ept i='1'>}</ept>"),
        ("<g1>a<x2/></g1></g1> <g3>", "<bpt i='1'>{b</bpt>a<ph x='1'/><ept i='1'>}</ept> &lt;g3&gt;"),
    ],
)
def test_a_translation_with_wrong_placeholders_leaves_the_file_valid(translation, written):
    content = tmx({"en": "<bpt i='1'>{b</bpt>Go<ept i='1'>}</ept><ph x='1'/>", "de": "y"})
    assert translated("tmx", content, {"1": translation}).decode() == content.replace("y</seg>", f"{written}</seg>")


@pytest.mark.parametrize(
    ("target", "written"),
    [
        ('<tuv xml:lang="de"></tuv>', '<tuv xml:lang="de"><seg>Los</seg></tuv>'),
        ('<tuv xml:lang="de"/>', '<tuv xml:lang="de"><seg>Los</seg></tuv>'),
        ('<tuv xml:lang="de"><seg/></tuv>', '<tuv xml:lang="de"><seg>Los</seg></tuv>'),
        ('<tuv xml:lang="de"><seg a="1" /></tuv>', '<tuv xml:lang="de"><seg a="1">Los</seg></tuv>'),
        ('<tuv xml:lang="de"><seg> </seg></tuv>', '<tuv xml:lang="de"><seg>Los</seg></tuv>'),
    ],
)
def test_an_empty_target_is_untranslated_and_can_be_filled(target, written):
    content = tmx(f"<tu>{tuv('en', 'Go')}{target}</tu>", {"en": "Stop", "de": "Halt"})
    assert pairs("tmx", content) == [("Go", None), ("Stop", "Halt")]
    assert translated("tmx", content, {"1": "Los"}).decode() == content.replace(target, written)


def test_a_missing_source_is_an_empty_text():
    assert pairs("tmx", tmx(f'<tu><tuv xml:lang="en"/>{tuv("de", "Los")}</tu>')) == [("", "Los")]


def test_notes_and_properties_are_not_read():
    extra = "<note>n</note><prop type='p'>c</prop>"
    content = tmx(f"<tu>{extra}<tuv xml:lang='en'>{extra}<seg>Empty cup</seg></tuv>{tuv('de', 'Leere Tasse')}</tu>")
    assert pairs("tmx", content) == [("Empty cup", "Leere Tasse")]


def test_srclang_all_and_languages_with_underscores_are_read():
    content = tmx({"pt_BR": "Tranque", "EN_us": "Lock"}, head='<tmx version="1.4"><header srclang="*all*"/>')
    assert pairs("tmx", content, Direction("en", "pt")) == [("Lock", "Tranque")]


def test_a_file_without_units_is_empty():
    assert pairs("tmx", tmx()) == []


@pytest.mark.parametrize(
    ("more", "props", "flags"),
    [
        ("", "", ()),
        (' creationid="Ann"', "", ()),
        (' creationid="MT!"', "", ("machine",)),
        (' creationid="MT!" changeid="Ann"', "", ()),
        ("", '<prop type="x-mt">true</prop>', ("machine",)),
        ("", '<prop type="x-MT">no</prop>', ()),
        ("", '<prop type="x-Origin">MachineTranslation</prop>', ("machine",)),
        ("", '<prop type="x-ConfirmationLevel">Draft</prop>', ("draft",)),
        ("", '<prop type="x-ConfirmationLevel">RejectedTranslation</prop>', ("rejected",)),
        ("", '<prop type="x-ConfirmationLevel">ApprovedTranslation</prop>', ()),
    ],
)
def test_origin_and_confirmation_become_flags(more, props, flags):
    content = tmx(f'<tu>{tuv("en", "Go")}<tuv xml:lang="de"{more}>{props}<seg>Los</seg></tuv></tu>')
    assert [unit.flags for unit in units("tmx", content)] == [flags]


@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1", "windows-1252", "shift_jis", "gb18030", "koi8-r"])
def test_declared_encodings_are_read(encoding):
    word = {"shift_jis": "門", "gb18030": "门😀", "koi8-r": "дом"}.get(encoding, "Schließe")
    content = tmx({"en": "Gate", "de": word}, encoding=encoding).encode(encoding)
    assert pairs("tmx", content) == [("Gate", word)]
    assert pairs("tmx", gzip.compress(content)) == [("Gate", word)]
    again = translated("tmx", content, {"1": "“\U0001f6aa” & ü门"})
    assert pairs("tmx", again) == [("Gate", "“\U0001f6aa” & ü门")]
    assert translated("tmx", content, {}) == content


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_wide_encodings_are_read_with_and_without_byte_order_mark(encoding):
    content = tmx({"en": "Gate", "de": "Tür"}, encoding="utf-16").encode(encoding)
    assert pairs("tmx", content) == [("Gate", "Tür")]
    assert translated("tmx", content, {"1": "Tor"}).decode(encoding) == content.decode(encoding).replace("Tür", "Tor")


def test_a_utf_16_declaration_in_a_converted_file_is_ignored():
    assert pairs("tmx", tmx({"en": "Gate", "de": "Tür"}, encoding="utf-16")) == [("Gate", "Tür")]


def test_the_error_for_another_encoding_suggests_the_setting():
    content = tmx({"en": "Gate", "de": "Schließe"}).encode("cp1252")
    with pytest.raises(FormatError, match=r"f\.tmx: line 3: the bytes df are not utf-8.*set `encoding: cp1252`"):
        pairs("tmx", content)
    found = [piece for piece in read("tmx", content, encoding="cp1252") if isinstance(piece, Unit)]
    assert found[0].target == "Schließe"
    with pytest.raises(FormatError, match="the file names the encoding 'klingon'"):
        pairs("tmx", tmx(encoding="klingon"))


@pytest.mark.parametrize("doctype", ["", '<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n', "<!DOCTYPE tmx>"])
def test_html_character_names_need_no_declaration(doctype):
    content = tmx({"en": "Ten&nbsp;bolts&#160;&lt;left&hellip;", "de": "x"}).replace("<tmx", f"{doctype}<tmx", 1)
    assert pairs("tmx", content) == [("Ten\xa0bolts\xa0<left…", "x")]
    with pytest.raises(FormatError, match="line 3: entity &bolts; is not declared"):
        pairs("tmx", tmx({"en": "&bolts;", "de": "x"}))
    with pytest.raises(FormatError, match="line 3: entity &bolts; is not declared"):
        pairs("tmx", tmx(f'<tu creationid="&bolts;">{tuv("en", "a")}{tuv("de", "b")}</tu>'))


def test_character_names_are_resolved_in_attributes():
    content = tmx(f"<tu>{tuv('en', 'Go')}{tuv('de', 'Los', ' creationid=' + chr(34) + 'M&Tab;T!&#65;' + chr(34))}</tu>")
    assert units("tmx", content)[0].flags == ()
    content = tmx(f"<tu>{tuv('en', 'Go')}{tuv('de', 'Los', ' creationid=' + chr(39) + 'MT&excl;' + chr(39))}</tu>")
    assert units("tmx", content)[0].flags == ("machine",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<other/>", r"c: f\.tmx: line 1: not TMX: the root element is <other>, not <tmx>"),
        ("<tmx>\n<body>\n</tmx>", r"c: f\.tmx: line 3: not well-formed XML: mismatched tag"),
        ("", r"c: f\.tmx: line 1: not well-formed XML: no element found"),
        (tmx({"en": "a", "de": "b"})[:-40], "line 3: not well-formed XML"),
        (
            "<!DOCTYPE x [\n<!ENTITY a 'b'>]>\n<tmx/>",
            r"c: f\.tmx: line 2: declares the entity 'a': entity declarations",
        ),
        (
            "<!DOCTYPE x [\n<!ENTITY % a 'b'>]>\n<tmx/>",
            r"c: f\.tmx: line 2: declares the entity 'a': entity declarations",
        ),
        (gzip.compress(b"<tmx>" * 9999, mtime=0)[:-20], r"c: f\.tmx: the gzip is truncated"),
        (tmx("<tu>\n<tuv><seg>a</seg></tuv></tu>"), "line 4: a <tuv> has no language: add xml:lang"),
        (tmx("<tu>" * 300), "line 3: elements are nested deeper than 256 levels"),
        (tmx("<prop/>" * 3 + f'<tu note="{"x" * 1_000_000}"/>'), "line 3: a tag is longer than 262,144 bytes"),
        (tmx({"en": "<ph/>" * 5_001, "de": "x"}), "line 3: a <tu> has more than 5,000 elements"),
        (tmx({"en": "a\0b", "de": "x"}), "line 3: not well-formed XML"),
        (tmx({"en": "a", "de": "b"}).replace("<body>", "<body>\ufffe"), "not well-formed XML"),
    ],
)
def test_errors_name_the_line(content, message):
    with pytest.raises(FormatError, match=message):
        read("tmx", content)


def test_a_long_comment_is_accepted():
    content = tmx({"en": "a", "de": "b"}).replace("<body>", f"<body><!--{'long ' * 200_000}-->")
    assert pairs("tmx", content) == [("a", "b")]


def test_default_attributes_of_a_dtd_are_ignored():
    content = tmx({"en": "a", "de": "b"}).replace("<tmx", '<!DOCTYPE tmx [<!ATTLIST tuv changeid CDATA "MT!">]><tmx', 1)
    assert units("tmx", content)[0].flags == ()


def test_a_large_file_is_read_in_constant_memory():
    def peak(count):
        content = tmx(*({"en": f"text {n} " * 9, "de": "x"} for n in range(count))).encode()
        return peak_memory(lambda: check(content, count), tries=2)

    def check(content, count):
        pieces = FORMATS["tmx"].read(opened("tmx", content), Options(EN_DE))
        assert sum(1 for piece in pieces if isinstance(piece, Unit)) == count

    assert peak(1_000) < peak(500) + 50_000


characters = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from(
    list("\n\t\r\x85\u2028<>&;'\"]{}%s")
)
visible = st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="\ufffe\uffff")
texts = containing(characters, visible)


@settings(deadline=None)
@given(st.lists(st.tuples(texts, texts), max_size=4), texts, st.sampled_from(["utf-8", "utf-16", "iso-8859-1"]))
def test_any_text_survives_a_round_trip(given_pairs, text, encoding):
    content = tmx(*({"en": "x", "de": "y"} for _ in given_pairs), encoding=encoding).encode(encoding)
    written = translated("tmx", content, {f"{n}": pair[1] for n, pair in enumerate(given_pairs, 1)})
    assert [target for _, target in pairs("tmx", written)] == [pair[1] for pair in given_pairs]


def test_characters_that_xml_forbids_become_a_space_or_are_dropped():
    again = translated("tmx", tmx({"en": "a", "de": "b"}), {"1": "one\x1ftwo\x00\ufffe\ud800 \x0bthree"})
    assert pairs("tmx", again) == [("a", "one two  three")]


plain = st.sampled_from(
    [
        *("word ", "&amp;", "{0}", "&lt;x1/&gt;", "<!--c-->", "<![CDATA[<g1>]]>", "<hi>h</hi>", "<hi/>"),
        *("<ph x='1'/>", "<ph>{0}</ph>", "<ph>%s</ph>", "<ut>{\\b</ut>", "<it pos='end'/>", "<b>bold<ph/></b>"),
    ]
)
# TMX wants each `i` once in a segment; codes that share one and cross cannot be told apart.
numbered = st.sampled_from(
    ["<bpt i='1'>a</bpt>c<ept i='1'>b</ept>", "<bpt i='2'/>", "<bpt i='3'/><bpt i='4'/>d<ept i='3'/><ept i='4'/>"]
)
segments = st.tuples(st.lists(plain), st.lists(numbered, unique=True)).flatmap(
    lambda pieces: st.permutations(pieces[0] + pieces[1])
)


@settings(deadline=None)
@given(segments, segments)
def test_writing_the_same_target_changes_no_text(source, target):
    content = tmx({"en": f"a{''.join(source)}", "de": f"b{''.join(target)}"})
    (unit,) = units("tmx", content)
    assert unit.target is not None
    written = translated("tmx", content, {unit.key: unit.target})
    (again,) = units("tmx", written)
    assert (again.source, again.target[: len(unit.target)]) == (unit.source, unit.target)
    rest = again.target[len(unit.target) :]
    assert translated("tmx", written, {again.key: again.target}) == written, rest


def test_skipped_units_stay_in_the_file():
    content = tmx({"fr": "un"}, {"en": "a", "de": "b"})
    skip = next(piece for piece in read("tmx", content) if isinstance(piece, Skip))
    assert skip.raw == '<tu><tuv xml:lang="fr"><seg>un</seg></tuv></tu>'
    assert skip.line == 3
