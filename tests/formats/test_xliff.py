import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.errors import FormatError
from seqloom.formats.pieces import Remark
from seqloom.languages import Direction
from tests.examples import containing, examples
from tests.formats.marked import pairs, read, skips, translated, units


def xliff(*trans_units, languages='source-language="en" target-language="de"', more=""):
    body = "\n".join(trans_units)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<xliff version="1.2" {more}>\n'
        f'<file original="a.html" datatype="html" {languages}><body>\n{body}\n</body></file></xliff>'
    )


def unit(source, target=None, attributes="", of_target="", more=""):
    written = "" if target is None else f"<target{of_target}>{target}</target>"
    return f'<trans-unit id="1"{attributes}><source>{source}</source>{written}{more}</trans-unit>'


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
<group id="g"><trans-unit id="6"><source><g id="1">Bold</g><x id="2"/> <ph id="3">%s</ph><note>n</note></source>
  <target state="final"><g id="1">Fett</g><x id="2"/> <ph id="3">%s</ph></target></trans-unit></group>
</body></file>
<file original="b" source-language="en" target-language="fr"><body>
<trans-unit id="1"><source>one</source><target>un</target></trans-unit></body></file>
</xliff>"""

TWO = """<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="de"><file id="f">
<unit id="1"><notes><note>About</note></notes>
  <segment><source>One.</source><target>Eins.</target></segment><ignorable><source> </source></ignorable>
  <segment state="translated"><source>Go <pc id="1">on</pc> <ph id="2" disp="{0}"/><ph id="3"/></source>
    <target>Geh <pc id="1">weiter</pc> <ph id="2" disp="{0}"/><ph id="3"/></target></segment>
  <segment id="s" state="initial" subState="a:b">
    <source>No</source></segment></unit></file></xliff>"""


def test_units_of_xliff_1_2_are_read():
    found = units("xliff", ONE)
    assert [(each.source, each.target, each.flags) for each in found[:6]] == [
        ("Save", "Speichern", ()),
        ("Hi {{name}}!", "Hallo {{name}}!", ()),
        ("Later", None, ()),
        ("Later", None, ()),
        ("New", "New", ("draft",)),
        ("<g1>Bold</g1><x2/> %s", "<g1>Fett</g1><x2/> %s", ()),
    ]
    assert [each.languages for each in found[4:]] == [("en-US", "de"), ("en-US", "de"), ("en", "fr")]
    assert [each.group for each in found[4:]] == ["app.html", "app.html", "b"]
    assert [each.key for each in found] == ["1:1", "2:2", "3:3", "4:4", "5:5", "6:6", "7:1"]
    assert [each.line for each in found] == [4, 6, 8, 9, 10, 11, 15]


def test_units_of_xliff_2_0_are_read():
    found = units("xliff", TWO)
    assert [(each.source, each.target, each.flags) for each in found] == [
        ("One.", "Eins.", ()),
        ("Go <g1>on</g1> {0}<x2/>", "Geh <g1>weiter</g1> {0}<x2/>", ()),
        ("No", None, ("draft",)),
    ]
    assert {each.languages for each in found} == {("en", "de")}
    assert {each.group for each in found} == {"f"}
    assert [each.key for each in found] == ["1:1/1:", "1:1/2:", "1:1/3:s"]


def test_targets_are_written_into_xliff_1_2():
    again = translated("xliff", ONE, {"1:1": "<&>", "3:3": "Bald", "4:4": "Dann", "5:5": "Neu", "6:6": "%s</g1>"})
    expected = (
        ONE.replace("Speichern", "&lt;&amp;&gt;")
        .replace("<target/>", "<target>Bald</target>")
        .replace("Later</source></trans", 'Later</source><target state="translated">Dann</target></trans')
        .replace('"needs-translation">New', '"translated">Neu')
        .replace(
            '"final"><g id="1">Fett</g><x id="2"/> <ph id="3">%s</ph>',
            '"translated"><ph id="3">%s</ph><g id="1"></g><x id="2"/>',
        )
    )
    assert again.decode() == expected


def test_targets_are_written_into_xliff_2_0():
    again = translated("xliff", TWO, {"1:1/1:": "1", "1:1/2:": "<g1>2", "1:1/3:s": "Nein"}).decode()
    assert again == TWO.replace("Eins.", "1").replace(
        'Geh <pc id="1">weiter</pc> <ph id="2" disp="{0}"/><ph id="3"/>',
        '<pc id="1">2</pc><ph id="2" disp="{0}"/><ph id="3"/>',
    ).replace(
        ' state="initial" subState="a:b">\n    <source>No</source>',
        ' state="translated">\n    <source>No</source>\n    <target>Nein</target>',
    )


def test_a_standalone_code_never_joins_words():
    found = pairs("xliff", xliff(unit('now<x id="1"/>please', '<bx id="1" rid="9"/>a<ex id="2" rid="9"/>b')))
    assert found == [("now<x1/>please", "<g2>a</g2>b")]


def test_a_declared_placeholder_replaces_the_code():
    code = base64.b64encode(b"{{1}}").decode()
    source = f'<ph id="1" equiv-text="base64:{code}"/><ph id="2" equiv-text="base64:?"/><ph id="3">&lt;br></ph>'
    source += '<x id="4" equiv-text="&lt;br/&gt;"/><x id="5" equiv-text="two words"/>'
    assert pairs("xliff", xliff(unit(source))) == [("{{1}}<x1/><x2/><br/><x3/>", None)]


def test_original_data_of_xliff_2_is_resolved():
    content = TWO.replace(
        "<notes>", '<originalData><data id="d">%d</data><data id="e">{\\b</data></originalData><notes>'
    )
    content = content.replace('disp="{0}"', 'dataRef="d"').replace('<ph id="3"/>', '<ph id="3" dataRef="e"/>')
    assert pairs("xliff", content)[1] == ("Go <g1>on</g1> %d<x2/>", "Geh <g1>weiter</g1> %d<x2/>")


def test_spanning_codes_of_xliff_2_are_paired():
    source = 'a<sc id="1"/>b<pc id="2">c<ec startRef="1"/>d</pc><sc id="9" isolated="yes"/><cp hex="0001"/>'
    target = '<pc id="2">d</pc><sc id="1"/>b<ec startRef="1"/><mrk id="m" translate="no">K</mrk>'
    target += '<sm id="s"/>e<em startRef="s"/>'
    content = TWO.replace("<source>One.", f"<source>{source}").replace("<target>Eins.", f"<target>{target}")
    assert pairs("xliff", content)[0] == ("a<g1>b<g2>c</g1>d</g2><x3/><x4/>", "<g2>d</g2><g1>b</g1><x5/>e")


def test_marks_are_read_as_text_and_protected_ones_as_placeholders():
    source = '<mrk mtype="term">Lid</mrk> <mrk mtype="protected">KX-1</mrk><mrk mtype="x-sdl-deleted">gone</mrk>'
    assert pairs("xliff", xliff(unit(source, "x"))) == [("Lid <x1/>", "x")]
    assert pairs("xliff", xliff(unit('<mrk its:translate="no">a</mrk>b', "x"), more='xmlns:its="i"'))[0][0] == "<x1/>b"


SEGMENTS = (
    '<seg-source><g id="7"><mrk mtype="seg" mid="1">Open it.</mrk> '
    '<mrk mtype="seg" mid="2">Close <x id="1"/>.</mrk></g></seg-source>'
)


def segmented(target):
    return xliff(f'<trans-unit id="1"><source>Open it. Close <x id="1"/>.</source>{SEGMENTS}{target}</trans-unit>')


def test_segments_are_paired_by_id():
    content = segmented(
        '<target><mrk mtype="seg" mid="2">Schließe <x id="1"/>.</mrk> <mrk mtype="seg" mid="1"/></target>'
    )
    assert pairs("xliff", content) == [("Close <x1/>.", "Schließe <x1/>."), ("Open it.", None)]
    again = translated("xliff", content, {"1:1/1": "Öffne."}).decode()
    assert again == content.replace('mid="1"/>', 'mid="1">Öffne.</mrk>')


def test_a_missing_target_segment_is_added():
    content = segmented('<target><mrk mtype="seg" mid="1">Öffne.</mrk><mrk mtype="seg" mid="5">Was?</mrk></target>')
    assert pairs("xliff", content) == [("Open it.", "Öffne."), ("Close <x1/>.", None)]
    assert skips("xliff", content) == [("no source", "Was?")]
    again = translated("xliff", content, {"1:1/2": "Zu."}).decode()
    assert again == content.replace("</target>", ' <mrk mtype="seg" mid="2">Zu.<x id="1"/></mrk></target>')


@pytest.mark.parametrize("target", ["", "<target/>", "<target></target>", "<target> </target>"])
def test_a_missing_target_is_created_with_the_segments_of_the_source(target):
    content = segmented(target)
    assert pairs("xliff", content) == [("Open it.", None), ("Close <x1/>.", None)]
    state = "" if target else ' state="translated"'
    anew = f'<target{state}><g id="7"><mrk mtype="seg" mid="1">Auf.</mrk> <mrk mtype="seg" mid="2"></mrk></g></target>'
    assert translated("xliff", content, {"1:1/1": "Auf."}).decode() == segmented(anew)
    both = translated("xliff", content, {"1:1/1": "Auf.", "1:1/2": "Zu <x1/>."})
    assert pairs("xliff", both) == [("Open it.", "Auf."), ("Close <x1/>.", "Zu <x1/>.")]


def test_an_unsegmented_target_translates_the_whole_unit():
    content = segmented("<target>Auf und zu.</target>")
    assert pairs("xliff", content) == [("Open it. Close <x1/>.", "Auf und zu.")]


def test_the_state_of_a_segmented_target_changes_with_its_segments():
    content = segmented('<target state="new"><mrk mtype="seg" mid="1">a</mrk></target>')
    assert translated("xliff", content, {}).decode() == content
    again = translated("xliff", content, {"1:1/1": "b"}).decode()
    assert again == content.replace('"new"', '"translated"').replace(">a<", ">b<")


def test_a_duplicate_segment_id_is_skipped():
    cut = '<seg-source><mrk mtype="seg" mid="1">a</mrk><mrk mtype="seg" mid="1">b</mrk></seg-source>'
    content = xliff(f"<trans-unit id='1'><source>ab</source>{cut}</trans-unit>")
    assert pairs("xliff", content) == [("a", None)]
    assert skips("xliff", content) == [("duplicate segment id", "b")]


@pytest.mark.parametrize(
    ("of_unit", "of_target", "flags"),
    [
        ("", "", ()),
        ("", ' state="new"', ("draft",)),
        ("", ' state="needs-l10n"', ("draft",)),
        ("", ' state="needs-review-translation"', ("fuzzy",)),
        ("", ' state="translated"', ()),
        ("", ' state="signed-off"', ()),
        ("", ' state="rejected"', ("rejected",)),
        ("", ' state="x-mt"', ("machine",)),
        ("", ' state="x-machine-translated"', ("machine",)),
        ("", ' state="x-whatever"', ()),
        ("", ' state="x-mtx"', ()),
        ("", ' state-qualifier="mt-suggestion"', ("machine",)),
        ("", ' state="translated" state-qualifier="leveraged-mt"', ("machine",)),
        ("", ' state="final" state-qualifier="leveraged-mt"', ()),
        (' approved="yes"', ' state-qualifier="mt-suggestion"', ()),
        ("", ' state-qualifier="tm-suggestion"', ("fuzzy",)),
        ("", ' state="translated" state-qualifier="leveraged-tm"', ()),
        ("", ' state-qualifier="exact-match"', ()),
        ("", ' state="translated" state-qualifier="rejected-grammar"', ("rejected",)),
        (' approved="no"', "", ("unapproved",)),
        (' approved="yes"', "", ()),
        (' translate="no"', "", ("untranslatable",)),
        (' q:status="MachineTranslated"', "", ("machine",)),
        (' q:status="NotStarted"', "", ("draft",)),
        (' q:status="Rejected"', "", ("rejected",)),
        (' q:status="ManuallyConfirmed"', "", ()),
        (' q:status="Pretranslated" q:percent="87"', "", ("fuzzy",)),
        (' q:status="Pretranslated" q:percent="101"', "", ()),
        (' q:confirmed="0" q:trans-origin="mt"', "", ("draft", "machine")),
        (' q:confirmed="1" q:trans-origin="mt"', "", ()),
    ],
)
def test_states_become_flags(of_unit, of_target, flags):
    content = xliff(unit("one", "eins", of_unit, of_target), more='xmlns:q="q"')
    assert [each.flags for each in units("xliff", content)] == [flags]


def test_units_of_an_untranslatable_group_are_flagged():
    own = unit("one", "eins").replace("<trans-unit", '<trans-unit translate="yes"')
    content = xliff(f'<group translate="no">{unit("one", "eins")}{own}</group>', unit("one", "eins"))
    assert [each.flags for each in units("xliff", content)] == [("untranslatable",), (), ()]


@pytest.mark.parametrize(
    ("attributes", "flags"),
    [
        ('conf="Translated" origin="interactive"', ()),
        ('conf="ApprovedTranslation" origin="mt"', ()),
        ('conf="Translated" origin="mt"', ("machine",)),
        ('conf="Draft" origin="nmt"', ("draft", "machine")),
        ('conf="Draft" origin="tm" percent="85"', ("draft", "fuzzy")),
        ('conf="Translated" origin="tm" percent="85"', ()),
        ('conf="RejectedTranslation"', ("rejected",)),
        ("", ("draft",)),
    ],
)
def test_trados_segment_states_become_flags(attributes, flags):
    definitions = f'<sdl:seg-defs><sdl:seg id="1" {attributes}/><sdl:seg id="2" conf="Translated"/></sdl:seg-defs>'
    marks = [f'<mrk mtype="seg" mid="{n}">text {n}</mrk>' for n in (1, 2)]
    content = xliff(
        f'<trans-unit id="1"><source>x</source><seg-source>{"".join(marks)}</seg-source>'
        f"<target>{''.join(marks)}</target>{definitions}</trans-unit>",
        more='xmlns:sdl="http://sdl.com/FileTypes/SdlXliff/1.0"',
    )
    assert [each.flags for each in units("xliff", content)] == [flags, ()]


def test_large_parts_of_trados_files_are_copied():
    inside = f'<header><internal-file form="base64">{"QUJD" * 500_000}</internal-file></header><body>'
    assert pairs("xliff", xliff(unit("one", "eins")).replace("<body>", inside)) == [("one", "eins")]


def test_the_language_of_a_target_overrides_that_of_its_file():
    content = xliff(unit("one", "uno", "", ' xml:lang="es"'), languages='source-language="en"')
    assert [each.languages for each in units("xliff", content)] == [("en", "es")]
    assert not [piece for piece in read("xliff", content) if isinstance(piece, Remark)]


def test_a_missing_target_language_is_noticed_once_and_written():
    content = xliff(unit("one", "eins"), unit("two"), languages='source-language="en"')
    remarks = [piece for piece in read("xliff", content) if isinstance(piece, Remark)]
    assert [remark.line for remark in remarks] == [4]
    assert "is read as de" in remarks[0].message
    assert "corpora.NAME.direction" in remarks[0].message
    assert [each.languages for each in units("xliff", content)] == [("en", "")] * 2
    again = translated("xliff", content, {"2:1": "zwei"})
    assert units("xliff", again)[1].languages == ("en", "de")
    two = TWO.replace(' trgLang="de"', "").replace("<target>Eins", '<target xml:lang="de">Eins').replace("Geh", "x")
    assert [piece.line for piece in read("xliff", two) if isinstance(piece, Remark)] == []


def test_namespace_prefixes_are_kept():
    content = (
        '<x:xliff xmlns:x="x" version="1.2"><x:file source-language="en" target-language="de"><x:trans-unit id="1">'
    )
    content += "<x:source>one</x:source></x:trans-unit></x:file></x:xliff>"
    again = translated("xliff", content, {"1:1": "e"})
    assert b'</x:source><x:target state="translated">e</x:target>' in again


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<other/>", r"c: f\.xliff: line 1: not XLIFF: the root element is <other>, not <xliff>"),
        ("<xliff>\n<body>\n</xliff>", r"c: f\.xliff: line 3: not well-formed XML: mismatched tag"),
        ("", r"c: f\.xliff: line 1: not well-formed XML: no element found"),
        (
            "<!DOCTYPE x [\n<!ENTITY a 'b'>]>\n<xliff/>",
            r"line 2: declares the entity 'a': entity declarations",
        ),
    ],
)
def test_errors_name_the_line(content, message):
    with pytest.raises(FormatError, match=message):
        read("xliff", content)


def test_a_unit_without_source_is_copied():
    assert pairs("xliff", xliff("<trans-unit id='1'><target>x</target></trans-unit>", unit("a", "b"))) == [("a", "b")]
    assert pairs("xliff", TWO.replace("<source>One.</source>", ""))[0][0].startswith("Go")


def test_another_target_language_is_declared_by_the_file():
    assert units("xliff", ONE, Direction("en", "fr"))[-1].languages == ("en", "fr")


pieces = st.recursive(  # not `deferred`: without a bound, Hypothesis discards most of what it draws
    st.sampled_from(
        [
            "word ",
            "&amp;",
            "<x id='1'/>",
            "<ph id='2'>%s</ph>",
            "<bx id='3'/>",
            "<ex id='3'/>",
            "<it id='5' pos='open'/>",
        ]
    ),
    lambda inner: (
        st.builds("<g id='{}'>{}</g>".format, st.integers(1, 3), st.lists(inner, max_size=4).map("".join))
        | st.builds(
            "<mrk mtype='{}'>{}</mrk>".format,
            st.sampled_from(["term", "protected"]),
            st.lists(inner, max_size=4).map("".join),
        )
    ),
    max_leaves=8,
)
inline = st.lists(pieces, max_size=4).map("".join)
marks = st.lists(st.builds('<mrk mtype="seg" mid="{}">{}</mrk>'.format, st.integers(1, 4), inline), max_size=3).map(
    " ".join
)
targets = st.none() | inline | marks
documents = st.lists(
    st.builds(
        lambda source, cut, target, end: unit(source, None, "", "", f"{cut}{target}{end}"),
        inline | marks,
        st.just("") | st.builds("<seg-source>{}</seg-source>".format, marks),
        st.sampled_from(["", "<target/>"]) | st.builds("<target state='new'>{}</target>".format, inline | marks),
        st.sampled_from(["", "\n", "<note/>"]),
    ),
    max_size=3,
)
texts = containing(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff<%") | st.sampled_from("\n\r\t>&"),
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="\ufffe\uffff<%"),
)


@settings(deadline=None, max_examples=examples(50))
@given(documents, st.data())
def test_random_documents_are_lossless_and_accept_any_translation(trans_units, data):
    content = xliff(*trans_units)
    assert translated("xliff", content, {}).decode() == content
    chosen = {each.key: data.draw(texts) for each in units("xliff", content)}
    again = {each.key: each.target for each in units("xliff", translated("xliff", content, chosen))}
    for key, text in chosen.items():
        assert again[key] is not None
        assert again[key].startswith(text)
