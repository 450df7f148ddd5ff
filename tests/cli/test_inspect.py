from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom.cli import main as cli

Fails = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli.main(["inspect", "--source", "en", "--target", "de", *arguments])
    return capsys.readouterr().out


def test_pairs_and_skipped_entries_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "p.tsv").write_text("source\ttarget\none\teins\n\n" + "x\ty\n" * 20, encoding="utf-8")
    output = inspected(capsys, "p.tsv", "--pairs", "2")
    assert output.splitlines() == [
        "p.tsv",
        "  read as    tsv, en to de",
        "  pairs      22",
        "  left out   1 blank line: p.tsv: line 3",
        "  note       .: p.tsv: line 1: the first row, 'source | target', looks like a header: set `header: true`",
        "    source",
        "      -> target",
        "    one",
        "      -> eins",
    ]
    assert "pairs      21" in inspected(capsys, "p.tsv", "--header")


def test_one_file_per_language_is_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for language, text in (("en", "one\n\n"), ("de", "eins\n\n")):
        (folder / language).mkdir()
        (folder / language / "t.txt").write_text(text, encoding="utf-8")
    output = inspected(capsys, "{lang}/t.txt")
    assert "read as    moses" in output
    assert "pairs      1" in output


def test_an_unreadable_file_does_not_stop_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.tsv").write_bytes(b"f\xfcnf\tx\n")
    (folder / "good.tsv").write_bytes("a\x1b[31m\tb\u2028c\n".encode())
    with pytest.raises(SystemExit) as left:
        inspected(capsys, "bad.tsv", "good.tsv", "absent.tsv", "x.what")
    assert left.value.code == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "good.tsv",
        "  read as    tsv, en to de",
        "  pairs      1",
        r"    a\x1b[31m",
        "      -> b c",
    ]
    first, second, third = printed.err.splitlines()
    assert "bad.tsv: line 1: the bytes fc are not utf-8" in first
    assert "absent.tsv: file not found" in second
    assert "x.what: the format cannot be inferred" in third


def test_languages_are_required_without_params(folder: Path, fails: Fails) -> None:
    assert "--source en --target de" in fails("inspect", "p.tsv")


@pytest.mark.parametrize(("option", "valid"), [("--format", "'tmx'"), ("--accept", "'fuzzy'")])
def test_an_invalid_option_is_an_error_with_the_valid_values(
    folder: Path, option: str, valid: str, fails: Fails
) -> None:
    (folder / "p.tsv").write_text("a\tb\n", encoding="utf-8")
    message = fails("inspect", "--source", "en", "--target", "de", option, "klingon", "p.tsv")
    assert "klingon" in message
    assert valid in message


TMX = '<tmx version="1.4"><header/><body><tu><tuv xml:lang="en"><seg>one</seg></tuv><tuv xml:lang="de"><seg>eins</seg>'
TMX += "</tuv></tu></body></tmx>"


@pytest.mark.parametrize(
    ("name", "content", "arguments", "read", "texts"),
    [
        ("n.txt", "eins\n\nzwei\n", [], "text, de", ["eins", "zwei"]),
        ("news.2020", "eins\n", [], "text, de", ["eins"]),
        ("p.tsv", "one\teins\n", ["--column", "1"], "tsv, de", ["eins"]),
        ("m.tmx", TMX, [], "tmx, de", ["eins"]),
        ("m.po", 'msgid "one"\nmsgstr "eins"\n', [], "gettext, de", ["eins"]),
    ],
)
def test_texts_in_one_language_are_shown(folder: Path, capsys, name, content, arguments, read, texts) -> None:
    (folder / name).write_text(content, encoding="utf-8")
    lines = inspected(capsys, "--language", "de", *arguments, name).splitlines()
    assert lines[:3] == [name, f"  read as    {read}", f"  texts      {len(texts)}"]
    assert [line.strip() for line in lines[-len(texts) :]] == texts


def test_the_columns_of_a_parquet_file_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"s": ["one"], "t": ["eins"]}), folder / "p.parquet")
    output = inspected(capsys, "--source-column", "s", "--target-column", "t", "p.parquet")
    assert output.splitlines()[2:] == ["  pairs      1", "    one", "      -> eins"]
