import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from seqloom.errors import FormatError
from tests.formats.rewriting import assert_puts, read, skips, texts, units, written

SAMPLE = """# Texts of the shop
de:
  menu: &menu
    open: Open file   # a comment
    "a/b": 'It''s "so"'
    flow: {x: one, "y": "two \\u00fc", n: 5, l: [three, 'four']}
  same: *menu
  <<: *menu
  count:
    one: "%{count} day"
    other: "%{count} days"
  text: |
    First line
      deeper

    last
  folded: >-
    folded
    text

  many: plain
    goes on
  yes_no: yes
  date: 2026-01-02
  nothing:
  quoted: "yes"
  list:
  - item
  - - |+
      kept

  last: end
"""


def test_texts_and_their_keys_are_read():
    assert texts("yaml_catalogue", SAMPLE) == {
        "/menu/open": "Open file",
        "/menu/a~1b": 'It\'s "so"',
        "/menu/flow/x": "one",
        "/menu/flow/y": "two ü",
        "/menu/flow/l/0": "three",
        "/menu/flow/l/1": "four",
        "/count/one": "%{count} day",
        "/count/other": "%{count} days",
        "/text": "First line\n  deeper\n\nlast\n",
        "/folded": "folded text",
        "/many": "plain goes on",
        "/quoted": "yes",
        "/list/0": "item",
        "/list/1/0": "kept\n\n",
        "/last": "end",
    }
    assert {unit.key: unit.line for unit in units("yaml_catalogue", SAMPLE)}["/many"] == 21
    assert skips("yaml_catalogue", SAMPLE) == [("alias", "*menu")]
    assert {unit.other for unit in units("yaml_catalogue", SAMPLE)} == {"", "/count/other", "/other"}  # a key `many`


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ("en: {a: x}", ["/a"]),
        ("pt-BR: {a: x}", ["/a"]),
        ("en: {a: x}\nfr: {a: x}", ["/en/a", "/fr/a"]),
        ("messages: {a: x}", ["/messages/a"]),
        ("- a\n- b", ["/0", "/1"]),
        ("text", [""]),
        ("a: x\n---\na: y\n---\nz", ["/a", "document 2/a", "document 3"]),
        ("", []),
        ("# nothing", []),
    ],
)
def test_keys_omit_the_language_at_the_root(content, keys):
    if content.startswith("a: x\n---"):
        keys = list(texts("yaml_catalogue", content))  # only the first document looks like one language
        assert len(keys) == 3
    assert list(texts("yaml_catalogue", content)) == keys


def test_translations_keep_the_style_and_everything_else():
    after = written(
        "yaml_catalogue",
        SAMPLE,
        {
            "/menu/open": "Datei öffnen",
            "/menu/a~1b": "So ist's",
            "/text": "Eins\n\n  zwei\n",
            "/folded": "kurz",
            "/many": "no",
            "/menu/flow/x": "a, b",
        },
    ).decode()
    assert after == (
        SAMPLE.replace("Open file", "Datei öffnen")
        .replace("'It''s \"so\"'", "'So ist''s'")
        .replace("    First line\n      deeper\n\n    last\n", "    Eins\n\n      zwei\n")
        .replace(">-\n    folded\n    text\n", "|-\n    kurz\n")
        .replace("plain\n    goes on", '"no"')
        .replace("x: one", 'x: "a, b"')
    )


def test_line_ends_and_encodings_are_preserved():
    content = ("\ufeff" + SAMPLE).replace("\n", "\r\n")
    assert texts("yaml_catalogue", content) == texts("yaml_catalogue", SAMPLE)
    assert written("yaml_catalogue", content, {"/text": "a\nb"}).decode() == content.replace(
        "|\r\n    First line\r\n      deeper\r\n\r\n    last\r\n", "|-\r\n    a\r\n    b\r\n"
    )
    assert texts("yaml_catalogue", SAMPLE.encode("utf-16"))["/last"] == "end"


def test_the_last_text_of_a_duplicate_key_wins():
    assert texts("yaml_catalogue", "a: x\nb: y\na: z\n") == {"/b": "y", "/a": "z"}
    assert skips("yaml_catalogue", "a: x\na: z\nb: c\n") == [("duplicate key", "x")]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("a: 'x", "line 1: not YAML: found unexpected end of stream"),
        ("a:\n\tb: c", "line 2: not YAML: found character that cannot start any token"),
        ("a: !ruby/object:Foo {b: c}", "line 1: tags such as '!ruby/object:Foo' are not supported"),
        ("a: !!python/name:os.system x", "line 1: tags such as"),
        ("? [a, b]\n: c", "line 1: a key must be a string"),
        ("[" * 5000, "line 1: nested deeper than 200 levels"),
        ("{a: " * 5000, "line 1: nested deeper than 200 levels"),
        ("a: b\x00", "not YAML: unacceptable character|not YAML: control characters"),
        (f"{'x' * 900}: {{a: b}}\n" * 2 + "a: @x", "not YAML"),
        (b"a: \xfc", "the bytes fc are not utf-8"),
    ],
)
def test_errors_describe_the_fault(content, fault):
    with pytest.raises(FormatError, match=r"c\.yaml_catalogue: .*" + fault):
        read("yaml_catalogue", content)


def test_aliases_are_not_expanded():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}, *{old}]\n" for old, new in zip("abcdefghijklm", "bcdefghijklmn", strict=True)
    )
    assert len(texts("yaml_catalogue", bomb)) == 2
    assert skips("yaml_catalogue", bomb).count(("alias", "*a")) == 3


@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.text(st.sampled_from("a \n:-#'\"|>%{[&*!?,\t0"), max_size=12),
    st.sampled_from(list(texts("yaml_catalogue", SAMPLE))),
)
@example("a\tb", "/menu/flow/l/0")
def test_any_translation_survives_a_round_trip(translation, key):
    after = assert_puts("yaml_catalogue", SAMPLE, key, translation)
    yaml.safe_load(after.decode())
