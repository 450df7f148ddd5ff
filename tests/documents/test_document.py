import gettext
import gzip
import io
import re
import subprocess
from shutil import which
from xml.etree import ElementTree

import polib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.documents.document import format_for, translate_document
from seqloom.errors import DocumentError, FormatError
from seqloom.formats.catalogue import FORMATS
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Unit
from tests.documents.fakes import DOCUMENTS, LOUD, OPTIONS, loud, text, translated
from tests.examples import examples

BILINGUAL = [name for name in DOCUMENTS if FORMATS[format_for(name)].bilingual]


def units(name: str, content: bytes) -> list[Unit]:
    format = format_for(name)
    file = TextFile(io.BytesIO(content), name, None, FORMATS[format].declared)
    return [each for each in FORMATS[format].read(file, OPTIONS.reading(format)) if isinstance(each, Unit)]


def targets(name: str, content: bytes) -> dict[str, str | None]:
    both = FORMATS[format_for(name)].bilingual
    return {unit.key: unit.target if both else unit.source for unit in units(name, content)}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_untranslated_texts_are_translated_and_read_back(name: str) -> None:
    before = {unit.key: unit for unit in units(name, DOCUMENTS[name].encode())}
    done = translated(name, DOCUMENTS[name])
    after = targets(name, done.content)
    assert list(after) == list(before)
    new = {each.key: each.text for each in done.report.translated}
    assert new
    assert not [each for each in done.report.left if each.reason == "not writable"]
    for key, unit in before.items():
        old = unit.target if FORMATS[done.report.format].bilingual else unit.source
        assert after[key] == new.get(key, old)
        assert key not in new or (new[key] == loud(unit.source).replace("%{NAME}", "%{name}") or "\n" in new[key])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_everything_outside_the_texts_stays(name: str) -> None:
    done = translated(name, DOCUMENTS[name]).content.decode()
    # A translation adds lines or changes letters, never the rest.
    begins = ("#:", "/*", "# a", "---", "```", "ls", "00:")
    kept = [line for line in DOCUMENTS[name].splitlines() if line.startswith(begins)]
    assert [line for line in done.splitlines() if line in kept] == kept
    parts = r'<!--.*?-->|<script>.*?</script>|http://x.org|`code`|"n": 3|a\.png|Fertig|ACME'
    for part in re.findall(parts, DOCUMENTS[name]):
        assert done.count(part) == DOCUMENTS[name].count(part)


@pytest.mark.parametrize("name", BILINGUAL)
def test_a_second_run_changes_nothing(name: str) -> None:
    first = translated(name, DOCUMENTS[name])
    second = translated(name, first.content, lambda text: "other")
    assert second.content == first.content
    assert not second.report.translated
    assert second.report.kept == first.report.kept + len(first.report.translated)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_without_new_translations_keeps_its_bytes(name: str) -> None:
    done = translated(name, DOCUMENTS[name], lambda text: "")
    assert done.content == DOCUMENTS[name].encode()
    assert done.report.reasons["empty translation"]


HOSTILE = st.lists(
    st.sampled_from(
        [
            *"\"'<>&%\\{}#|@?:*_`\t=ä😀[~ $!;,\u2028\0\ud800\n",
            *("\r\n", "]]>", "\\n", "- ", "-->", "<!--", "](", "word", "&amp;", "<b>", "%s", "{a}", "''"),
        ]
    ),
    min_size=1,
    max_size=12,
).map("".join)


@pytest.mark.parametrize("name", DOCUMENTS)
@settings(max_examples=examples(25), deadline=None)
@given(said=HOSTILE, again=HOSTILE)
def test_hostile_translations_are_escaped_or_left_out(name: str, said: str, again: str) -> None:
    say = iter([said, again] * 20)
    before = targets(name, DOCUMENTS[name].encode())
    done = translated(name, DOCUMENTS[name], lambda text: f"{next(say)} {' '.join(re.findall('[{<%][^ ]*', text))}")
    after = targets(name, done.content)
    new = {each.key for each in done.report.translated}
    assert list(after) == list(before)
    assert all(after[key] == before[key] for key in before if key not in new)
    if name.endswith((".xlf", ".tmx", ".xml")):
        ElementTree.fromstring(done.content)


def test_messages_of_gettext_become_fuzzy_with_a_comment() -> None:
    done = text("a.po", DOCUMENTS["a.po"])
    assert '# machine translation: seqloom\n#: a.c:1\n#, fuzzy, c-format\nmsgid "Save %s"\nmsgstr "SAVE %s"\n' in done
    assert '#, fuzzy\nmsgid "Guess"\nmsgstr "Geraten"\n' in done
    entry = polib.pofile(done).find("Save %s")
    assert (entry.flags, entry.tcomment) == (["fuzzy", "c-format"], "machine translation: seqloom")
    (flags,) = [unit.flags for unit in units("a.po", done.encode()) if unit.source == "Save %s"]
    assert flags == ("fuzzy", "machine")


def test_a_message_that_a_person_reviewed_is_no_longer_by_a_machine() -> None:
    reviewed = text("a.po", DOCUMENTS["a.po"]).replace("#, fuzzy, c-format", "#, c-format")
    assert {unit.flags for unit in units("a.po", reviewed.encode()) if unit.source == "Save %s"} == {()}


def test_fuzzy_messages_are_translated_on_demand() -> None:
    done = text("a.po", DOCUMENTS["a.po"], again=frozenset(["fuzzy"]))
    assert '# machine translation: seqloom\n#, fuzzy\nmsgid "Guess"\nmsgstr "GUESS"\n' in done
    assert text("a.po", done, again=frozenset(["machine"])) == done


def test_the_header_of_a_template_is_filled_in() -> None:
    template = (
        '# Me\n#, fuzzy\nmsgid ""\nmsgstr ""\n"Language: \\n"\n"Content-Type: text/plain; charset=CHARSET\\n"\n'
        '"Plural-Forms: nplurals=INTEGER; plural=EXPRESSION;\\n"\n\n'
        'msgid "Ü"\nmsgid_plural "%d Ü"\nmsgstr[0] ""\nmsgstr[1] ""\n'
    )
    done = text("a.pot", template)
    assert done.startswith(
        '# Me\nmsgid ""\nmsgstr ""\n"Language: de\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
        '"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
    )
    assert 'msgstr[1] "%d Ü"' in done


@pytest.mark.skipif(which("msgfmt") is None, reason="needs msgfmt")
def test_gettext_accepts_what_is_written(tmp_path) -> None:
    hostile = loud("").join(['"', "\\", "<", "100 % ", "ä"])
    (tmp_path / "a.po").write_bytes(translated("a.po", DOCUMENTS["a.po"], lambda text: hostile + text).content)
    command = ["msgfmt", "-c", "-f", "--use-fuzzy", "-o", str(tmp_path / "a.mo"), str(tmp_path / "a.po")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert not checked.returncode or "header field" in checked.stderr, checked.stderr
    with (tmp_path / "a.mo").open("rb") as file:
        assert gettext.GNUTranslations(file).gettext("Done") == "Fertig"


def test_units_of_xliff_1_2_are_suggestions_to_be_reviewed() -> None:
    done = text("a.xlf", DOCUMENTS["a.xlf"])
    state = 'state="needs-review-translation" state-qualifier="mt-suggestion"'
    source, target = '<source>Save <g id="1">it</g> &amp; go</source>', 'SAVE <g id="1">IT</g> &amp; GO</target>'
    assert f'approved="no">{source}<target {state}>{target}' in done
    assert done.count(state) == 1


def test_segments_of_xliff_2_say_that_a_machine_translated_them() -> None:
    done = text("b.xlf", DOCUMENTS["b.xlf"])
    assert '<segment id="1" state="translated" subState="seqloom:mt">' in done
    assert '<target>SAVE <pc id="1">IT</pc></target>' in done
    assert '<segment id="2" state="final">' in done


def test_segments_of_trados_and_units_of_memoq_get_their_own_marks() -> None:
    sdl = (
        '<xliff version="1.2" xmlns:sdl="s" xmlns:mq="m"><file source-language="en-US" target-language="de-DE"><body>'
        '<trans-unit id="1" mq:status="NotStarted"><source>A b. C d.</source><seg-source>'
        '<mrk mtype="seg" mid="1">A b.</mrk> <mrk mtype="seg" mid="2">C d.</mrk></seg-source>'
        '<target><mrk mtype="seg" mid="1"/> <mrk mtype="seg" mid="2">Z.</mrk></target>'
        '<sdl:seg-defs><sdl:seg id="1" conf="Draft" percent="50"/><sdl:seg id="2" conf="Translated"/></sdl:seg-defs>'
        "</trans-unit></body></file></xliff>"
    )
    done = text("a.sdlxliff", sdl)
    assert 'mq:status="MachineTranslated"' in done
    assert '<sdl:seg id="1" conf="Draft" origin="mt"/><sdl:seg id="2" conf="Translated"/>' in done
    marks = '<mrk mtype="seg" mid="1">A B.</mrk> <mrk mtype="seg" mid="2">Z.</mrk>'
    assert f'<target state="needs-review-translation">{marks}</target>' in done


def test_a_target_that_a_tool_copied_from_the_source_is_translated() -> None:
    unit = '<trans-unit id="1"><source>Open</source><target state="needs-translation">{}</target></trans-unit>'
    file = '<xliff version="1.2"><file source-language="en" target-language="de"><body>{}</body></file></xliff>'
    assert ">OPEN</target>" in text("a.xlf", file.format(unit.format("Open")))
    assert ">Offen</target>" in text("a.xlf", file.format(unit.format("Offen")))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ('<xliff version="1.2"><file source-language="en">', '<file source-language="en" target-language="de">'),
        ('<xliff version="2.0" srcLang="en"><file>', '<xliff version="2.0" srcLang="en" trgLang="de"><file>'),
    ],
)
def test_a_missing_target_language_is_declared(head: str, said: str) -> None:
    unit = "<unit id='1'><segment><source>Open</source></segment></unit>"
    if "1.2" in head:
        unit = "<body><trans-unit id='1'><source>Open</source></trans-unit></body>"
    assert said in text("a.xlf", f"{head}{unit}</file></xliff>")


def test_a_variant_is_added_to_a_unit_of_tmx() -> None:
    done = text("a.tmx", DOCUMENTS["a.tmx"])
    added = '<tuv xml:lang="de" changeid="MT!"><seg>SAVE <ph x="1">{0}</ph></seg></tuv>'
    assert f'<tuv xml:lang="en"><seg>Save <ph x="1">{{0}}</ph></seg></tuv>{added}</tu>' in done
    assert '<tuv xml:lang="de" changeid="MT!"><seg>OPEN</seg></tuv>' in done
    assert [unit.flags for unit in units("a.tmx", done.encode())] == [("machine",), ("machine",), ()]


def test_the_language_of_a_document_changes() -> None:
    assert text("a.yml", DOCUMENTS["a.yml"]).startswith('de:\n  # a comment\n  open: "OPEN %{name}"\n')
    assert '<html lang="de">' in text("a.html", DOCUMENTS["a.html"])
    assert text("a.yml", "title: Open\n") == "title: OPEN\n"


def test_cells_of_tables_are_filled() -> None:
    assert text("a.csv", DOCUMENTS["a.csv"]) == 'Open,OPEN,x\n"Save, now","SAVE, NOW",y\nDone,Fertig,z\n'
    assert text("a.tsv", DOCUMENTS["a.tsv"]) == "Open\tOPEN\tx\nSave\tSAVE\nDone\tFertig\tz\n"
    assert text("a.csv", "en;de\nA;\n;B\n", header=True, delimiter=";") == "en;de\nA;A\n;B\n"


@pytest.mark.parametrize(
    ("name", "document", "written"),
    [
        ("a.md", "See `a` and `b`.\n", "`b` AND `a`.\n"),
        (
            "a.html",
            "<p><i>a</i> and <code translate=no>b</code></p>",
            "<p><code translate=no>b</code> AND <i>a</i></p>",
        ),
    ],
)
def test_inline_codes_may_change_places(name: str, document: str, written: str) -> None:
    labels = {"a.md": "<x2/> AND <x1/>.", "a.html": "<x1/> AND <i>a</i>"}
    assert text(name, document, lambda _: labels[name]) == written


def test_subtitles_are_translated_as_sentences_and_keep_their_lines() -> None:
    asked = []
    done = text("a.srt", DOCUMENTS["a.srt"], lambda text: asked.append(text) or loud(text))
    assert asked == ["Turn on the light in the kitchen.", "- Yes?\n- No."]
    assert "TURN ON THE LIGHT\nIN THE KITCHEN.\n\n" in done
    assert "- YES?\n- NO.\n" in done


def test_branches_of_a_message_are_translated_and_broken_ones_are_left() -> None:
    given = '{"a": "{n, plural, one {# file} other {# files}} left", "b": "{n, plural, one {# file}", "c": "Open"}'
    done = translated("a.json", given)
    assert done.content.decode() == (
        '{"a": "{n, plural, one {# FILE LEFT} other {# FILES LEFT}}", "b": "{n, plural, one {# file}", "c": "OPEN"}'
    )
    assert dict(done.report.reasons) == {"message format": 1}


def test_a_message_whose_inline_codes_would_double_is_left() -> None:
    plural = "{n, plural, one {a} other {b}}"
    unit = f'<trans-unit id="1"><source>See <g id="1">it</g> {plural}</source></trans-unit>'
    file = f'<xliff version="1.2"><file source-language="en" target-language="de"><body>{unit}</body></file></xliff>'
    done = translated("a.xlf", file)
    assert done.content.decode() == file
    assert dict(done.report.reasons) == {"not writable": 1}


def test_apostrophes_of_a_java_message_are_doubled() -> None:
    assert text("a.properties", "a=Don''t {0}\n") == "a=DON''T {0}\n"
    assert text("a.properties", "a=Don't\n") == "a=DON'T\n"


def test_translations_without_a_placeholder_or_in_another_order_are_left() -> None:
    po = DOCUMENTS["a.po"] + '\nmsgid "%s of %d"\nmsgstr ""\n'
    done = translated("a.po", po, lambda text: "%d von %s" if "%d" in text else "x")
    assert done.content == po.encode()
    assert dict(done.report.reasons) == {"placeholders": 2, "obsolete": 1}


def test_characters_that_the_encoding_lacks_are_left_or_escaped() -> None:
    latin = DOCUMENTS["a.po"].replace("UTF-8", "iso-8859-1").encode("latin-1")
    assert translated("a.po", latin, lambda text: f"ж {text}").report.reasons["not in iso8859-1"] == 1
    xml = b"<?xml version='1.0' encoding='iso-8859-1'?><resources><string name='a'>Open</string></resources>"
    assert "&#1078;" in translated("a.xml", xml, lambda text: "ж").content.decode("latin-1")


def test_a_gzipped_document_stays_gzipped() -> None:
    content = gzip.compress(DOCUMENTS["a.json"].encode(), mtime=0)
    assert gzip.decompress(translated("a.json.gz", content).content).decode() == text("a.json", DOCUMENTS["a.json"])


def test_a_text_that_occurs_twice_is_asked_for_once() -> None:
    asked = []
    text("a.txt", "Open\nOpen\n", lambda text: asked.append(text) or text)
    assert asked == ["Open"]


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("a.docx", b"", DocumentError, "a.docx: the format cannot be told"),
        ("a.json", b'{"a": ', FormatError, "a.json: line 1"),
        ("a.po", b'msgid "a"\n', FormatError, "a.po: line 1"),
        ("a.xlf", b"<xliff><file", FormatError, "a.xlf: line 1"),
        ("a.yml", b"a: [", FormatError, "a.yml: line"),
        ("a.txt", b"a\nb\xff\n", FormatError, "a.txt: line 2"),
    ],
)
def test_broken_documents_are_errors_that_name_the_place(name: str, content: bytes, error, said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        translate_document(content, name, LOUD, OPTIONS)


def test_a_document_in_other_languages_is_an_error_that_names_them() -> None:
    other = DOCUMENTS["a.xlf"].replace('target-language="de"', 'target-language="fr"')
    with pytest.raises(DocumentError, match="has no texts from en to de; it declares en to fr"):
        translate_document(other.encode(), "a.xlf", LOUD, OPTIONS)


@pytest.mark.parametrize(
    ("name", "document", "earlier", "said"),
    [
        ("a.html", "<p>Open", "<p>Offen", "texts of html have no keys"),
        ("a.po", DOCUMENTS["a.po"], DOCUMENTS["a.po"], "texts of gettext have no keys"),
        ("a.json", '{"n_one": "file", "n_other": "files"}', '{"n_few": "x"}', "the plural form /n_few .line 1."),
    ],
)
def test_an_earlier_translation_that_cannot_be_kept_is_an_error(name, document, earlier, said) -> None:
    with pytest.raises(DocumentError, match=said):
        translated(name, document, earlier=earlier.encode())


@pytest.mark.parametrize("name", ["strings.xml", "a.strings", "a.properties", "a.yml", "a.json", "a.srt"])
def test_a_second_run_that_updates_changes_nothing(name: str) -> None:
    first = translated(name, DOCUMENTS[name]).content
    second = translated(name, DOCUMENTS[name], lambda text: "other", earlier=first)
    assert (second.content, second.report.translated) == (first, [])
