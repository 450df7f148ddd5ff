"""Whatever params.yaml contains, reading it never raises an unexpected error, takes minutes or needs gigabytes."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqloom.errors import ParamsError, SeqloomError
from seqloom.params import load_params, parse_params
from seqloom.plain_yaml import LARGEST, read, read_text
from tests.examples import examples
from tests.memory import peak_memory

TEXT = (Path(__file__).parent / "whole_params.yaml").read_text(encoding="utf-8")
ANCHORS = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
BOMB = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *ANCHORS])
MERGES = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 9))]
)


def refused(text: str) -> str:
    with pytest.raises(ParamsError) as raised:
        parse_params(text, "p.yaml")
    (line,) = str(raised.value).splitlines()
    assert line.startswith("p.yaml: ")
    return line


@pytest.mark.parametrize("bomb", [BOMB, MERGES, TEXT + BOMB, "corpora: " + "[" * 20 + "&a [" + "]" * 21 + "\n" + BOMB])
def test_an_alias_bomb_is_rejected_quickly(bomb: str) -> None:
    assert "values, counting each use of an alias" in refused(bomb)
    assert peak_memory(lambda: refused(bomb)) < 20_000_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]\n", "line 1: .*is inside its own anchor"),
        ("a: &a\n  b: *a\n", "line 2: .*is inside its own anchor"),
        ("a: *b\n", "line 1: .*undefined alias"),
        ("a: 1\n? [b, c]\n: 2\n", "line 2: .*a key must be text"),
        ("{[1, 2]: 3}", "a key must be text"),
        ("? {a: 1}\n: 2\n", "a key must be text"),
        ("a: 1\n7: 2\n", "line 2: .*YAML does not read the key '7' as text"),
        ("no: 2\n", "YAML does not read the key 'no' as text: put it in quotes"),
        ("null: 2\n", "does not read the key 'null' as text"),
        ("a: 1\nb: 2\na: 3\n", "line 3: .*the key 'a' is given twice"),
        ("a: !!python/object/apply:os.system [x]\n", "the tag '.*' is not allowed"),
        ("a: !!int foo\n", "the tag .* is not allowed"),
        ("a: !!bool foo\n", "the tag .* is not allowed"),
        ("a: !!timestamp foo\n", "the tag .* is not allowed"),
        ("a: !!binary '%%'\n", "the tag .* is not allowed"),
        ("a: !!set {b}\n", "the tag .* is not allowed"),
        ("a: ! b\n", "the tag .* is not allowed"),
        ("a: !<x> b\n", "the tag .* is not allowed"),
        ("a: 2026-13-45\n", "line 1: .*2026-13-45 is a date"),
        ("a: 2026-11-29 24:61:61\n", "is a date"),
        ("a: 2026-11-29\n", "is a date, but no setting is one: put it in quotes"),
        ("a: =\n", "put it in quotes"),
        ("\na: 40:00\n", "line 2: .*read 40:00 as different numbers"),
        ("a: 1:20:30.5\n", "YAML 1.1 and 1.2 read .* as different numbers"),
        ("a: 010\n", "YAML 1.1 and 1.2 read .* as different numbers"),
        (f"a: {'9' * 5000}\n", "a number of 5,000 characters is too long"),
        (f"a: 0x{'f' * 5000}\n", "a number of 5,002 characters is too long"),
        ("a: 9223372036854775808\n", "too large a number"),
        ("a: -0b" + "1" * 60 + "\nb: 0xffffffffffffffffff\n", "line 2: .*too large a number"),
        ("a: [" * 5000, "nested more than 32 levels deep"),
        ("[" * 5000, "nested more than 32 levels deep"),
        ("".join(f"{' ' * n}a:\n" for n in range(5000))[: LARGEST - 9], "nested more than 32 levels deep"),
        ("- " * 5000, "nested more than 32 levels deep"),
        ("{a: " * 5000, "nested more than 32 levels deep"),
        ("\na: \x00\n", r"line 2: not valid YAML: the character U\+0000 is not allowed"),
        ("a: \x1b[31m\n", r"the character U\+001B"),
        ("a: \ud800\n", r"the character U\+D800"),
        ('\na: "\\0"\n', r"line 2: .*the character U\+0000 is not allowed in a value"),
        ('a: "\\ud800"\n', r"the character U\+D800"),
        ('a: "\\e[31m"\n', r"the character U\+001B"),
        ('a: "x\\ny"\n', r"the character U\+000A"),
        ('a: "\\N"\n', r"the character U\+0085"),
        ("a: x\u202ey\n", r"the character U\+202E"),
        ('"\\0": x\n', r"the character U\+0000"),
        ('a: "\\U00110000"\n', "not valid YAML"),
        ('a: "\\Uffffffff"\n', "not valid YAML"),
        ("%YAML 1." + "9" * 5000 + "\n---\na: 1\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: " + "x" * LARGEST, "is larger than the limit of 524,288 bytes"),
        ("\n".join(f"a{n}: 1" for n in range(30_000)), "more than 20,000 values"),
    ],
)
def test_an_error_is_one_line(text: str, message: str) -> None:
    line = refused(text)
    assert re.search(message, line), line
    assert len(line) < 400


def test_numbers_and_words_keep_their_type() -> None:
    text = 'a: 3e-4\nb: -12\nc: 0.5\nd: "40:00"\ne: 2026.11.0\nf: "2026-11-29"\ng: 0\nh: 0.0\ni: 9223372036854775807\n'
    assert read(text, "x").content == {
        "a": 3e-4, "b": -12, "c": 0.5, "d": "40:00", "e": "2026.11.0", "f": "2026-11-29", "g": 0, "h": 0.0,
        "i": 2**63 - 1,
    }  # fmt: skip
    assert read("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: [*x, *x]", "x").content == {
        "a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": [{"b": 1, "c": 2}] * 2,
    }  # fmt: skip
    assert read("", "x").content is None


def test_a_file_that_is_not_utf8_or_too_large_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ParamsError, match=r"p\.yaml: line 2: cannot be read: not UTF-8 \(0xff\)"):
        load_params(file)
    file.write_bytes(b"a" * (LARGEST + 1))
    with pytest.raises(ParamsError, match="is larger than"):
        read_text(file)
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load_params(file) == parse_params(TEXT)


def test_many_errors_are_counted_and_long_values_truncated() -> None:
    text = TEXT + "\n".join(f"extra{n}: 1" for n in range(5000)) + "\n"
    with pytest.raises(ParamsError) as raised:
        parse_params(text, "p.yaml")
    lines = str(raised.value).splitlines()
    assert len(lines) == 101
    assert lines[-1] == "p.yaml: 4,900 more errors are not shown"
    long = TEXT.replace("lr: 1.2e-2", f"lr: {'x' * 100_000}")
    assert len(refused(long)) < 300


LINES = st.sampled_from(TEXT.splitlines(keepends=True))
SPLICED = st.tuples(st.integers(0, len(TEXT)), st.integers(0, 40), st.binary(max_size=30)).map(
    lambda cut: TEXT[: cut[0]].encode() + cut[2] + TEXT[cut[0] + cut[1] :].encode()
)
ODD = st.sampled_from(
    ["? ", "- ", "[", "]", "{", "}", "&a ", "*a", "<<: *a\n", "!!int ", "!!set ", "~", "0x", "1:2", "\n  ", ": ", "no",
     "|\n", ">-\n", "'", '"', "\\", "%YAML 1.1\n", "---\n", "...\n", "2026-1-1",
     "1e999", ".nan", "#", "\t", "a", "train", "7"]
)  # fmt: skip
YAMLISH = st.lists(ODD, max_size=30).map(lambda parts: "".join(parts).encode())


@settings(max_examples=examples(150), deadline=None)
@given(st.one_of(st.binary(max_size=200), SPLICED, YAMLISH))
@example(b"")
@example(b"\xef\xbb\xbf")
@example(TEXT.encode("utf-16"))
def test_arbitrary_bytes_raise_only_params_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(content)
    try:
        load_params(file)
    except SeqloomError as error:
        message = str(error)
    else:
        return
    assert all(line.isprintable() for line in message.splitlines())
