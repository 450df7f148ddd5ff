import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.errors import FormatError
from tests.formats.rewriting import assert_puts, read, skips, texts, units, written

NESTED = '{\n  "menu": {"file.open": "Open", "a/b~c": "Slash"},\n  "steps": ["One", {"x": "Two"}, 3],\n  "n": 1e5\n}\n'


def test_texts_are_keyed_by_their_paths():
    assert texts("json_catalogue", NESTED) == {
        "/menu/file.open": "Open",
        "/menu/a~1b~0c": "Slash",
        "/steps/0": "One",
        "/steps/1/x": "Two",
    }
    assert [unit.line for unit in units("json_catalogue", NESTED)] == [2, 2, 3, 3]


def test_everything_but_the_texts_is_preserved():
    after = written("json_catalogue", NESTED, {"/steps/1/x": 'Zw"ei\n', "/menu/file.open": "Öffnen"}).decode()
    assert after == NESTED.replace('"Two"', r'"Zw\"ei\n"').replace('"Open"', '"Öffnen"')


def test_an_escaped_file_stays_escaped():
    content = r'{"a": "K\u00fchl", "b": "x"}'
    assert assert_puts("json_catalogue", content, "/b", "Öl") == rb'{"a": "K\u00fchl", "b": "\u00d6l"}'


def test_icu_messages_are_not_split():
    message = "{n, plural, one {# file} other {# files}}"
    assert texts("json_catalogue", json.dumps({"a": message})) == {"/a": message}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_each_encoding_is_read(encoding):
    assert texts("json_catalogue", '{"key": "Kühl"}'.encode(encoding)) == {"/key": "Kühl"}


def test_the_last_text_of_a_duplicate_key_wins():
    content = '{"a": "first", "b": {"x": "1", "x": "2", "x": "3"}, "a": "last"}'
    assert texts("json_catalogue", content) == {"/a": "last", "/b/x": "3"}
    assert skips("json_catalogue", content) == [
        ("duplicate key", "first"),
        ("duplicate key", "1"),
        ("duplicate key", "2"),
    ]


def test_duplicate_keys_are_found_in_a_large_file(monkeypatch):
    monkeypatch.setattr("seqloom.formats.json_catalogue._SMALL", 10)
    assert texts("json_catalogue", '{"a": "first", "b": "x", "a": "last"}') == {"/a": "last", "/b": "x"}


def test_a_lone_surrogate_is_skipped():
    content = r'{"a": "x\ud800y", "b": "\ud83d\ude00"}'
    assert texts("json_catalogue", content) == {"/b": "😀"}
    assert skips("json_catalogue", content) == [("half a character (lone surrogate)", "x\ufffdy")]


@pytest.mark.parametrize("content", ['"x"', "5", "NaN", "[]", "{}", ' {"a": [-Infinity, true, null, {}]} ', "9" * 9999])
def test_any_valid_json_is_read(content):
    assert set(texts("json_catalogue", content)) <= {""}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"a":\n "y",}', r"line 2, column 6: not JSON: expected a key in double quotes"),
        ('{"a" 1}', r"line 1, column 6: not JSON: expected a colon"),
        ('{"a": }', r"line 1, column 7: not JSON: expected a value"),
        ("[1 2]", r"line 1, column 4: not JSON: expected a comma or ]"),
        ('{"a": 1]', r"line 1, column 8: not JSON: expected a comma or }"),
        ("{} {}", r"line 1, column 4: not JSON: there is text after"),
        ("", r"line 1, column 1: not JSON: expected a value"),
        ('{"a": "x\ny"}', r"line 1, column 9: not JSON: Invalid control character"),
        (r'{"a": "\q"}', r"line 1, column 8: not JSON: Invalid \\escape"),
        ("[" * 100_000, r"nested deeper than 200 levels"),
        ('{"a":' * 5_000, r"nested deeper than 200 levels"),
        (f'{{"{"x" * 20_000}": 1}}', r"path of keys is longer than 10,000"),
        (b"\xff\xfe\xfd", "not utf-16-le"),
        (b'{"a": "\xfc"}', "the bytes fc are not utf-8"),
    ],
)
def test_errors_describe_the_fault(content, fault):
    with pytest.raises(FormatError, match=r"c\.json_catalogue: .*" + fault):
        read("json_catalogue", content)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def leaves(value, path=""):
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from leaves(child, f"{path}/{position}")


@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_every_string_is_read(value, ascii_only, indent):
    content = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    assert texts("json_catalogue", content) == dict(leaves(value))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["/menu/file.open", "/steps/0"]))
def test_any_translation_survives_a_round_trip(translation, key):
    after = assert_puts("json_catalogue", NESTED, key, translation)
    json.loads(after)
