import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom import places
from seqloom.cli import main as cli
from seqloom.translation.results import Result
from seqloom.translation.texts import TextTranslator

Fails = Callable[..., str]
PO = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Open"\nmsgstr ""\n'


@pytest.fixture
def model(workspace: Path) -> str:
    """The name of a model folder."""
    return str(workspace / places.CANDIDATE)


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the untrained model's translations by the text in capitals; the first is flagged."""

    def translate(self, texts, *_, **__):
        return [Result(text.upper(), ("copied",) if not row else (), 0.5) for row, text in enumerate(texts)]

    monkeypatch.setattr(TextTranslator, "translate", translate)


def test_a_document_is_translated(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.po").write_text(PO)
    cli.main(["translate", "a.po", "--to", "de", "-o", "b.po", "--model", model, "--report", "r.json"])
    marks = "# machine translation: seqloom, candidate\n#, fuzzy\n"
    assert f'{marks}msgid "Open"\nmsgstr "OPEN"\n' in Path("b.po").read_text()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split() for line in printed.err.splitlines()[:2]] == [
        ["document", "format", "texts", "translated", "kept", "left", "copied"],
        ["a.po", "gettext", "1", "1", "0", "0", "1"],
    ]
    report = json.loads(Path("r.json").read_text())
    assert report["direction"] == "en-de"
    assert report["documents"][0]["flags"] == {"copied": 1}
    assert report["documents"][0]["flagged"][0]["text"] == "OPEN"


def test_a_registered_version_is_named_by_its_number(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "a.po").write_text(PO)
    cli.main(["translate", str(tmp_path / "a.po"), "-o", str(tmp_path / "b.po")])
    assert "# machine translation: seqloom, models:/seqloom-en-de/1\n" in (tmp_path / "b.po").read_text()


def test_several_documents_go_into_a_folder_and_errors_come_last(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text('{"a": "Open"}')
    (tmp_path / "b.yml").write_text("en:\n  a: [")
    output = tmp_path / "out"
    with pytest.raises(SystemExit) as left:
        cli.main(["translate", str(tmp_path / "a.json"), str(tmp_path / "b.yml"), "-o", str(output), "--model", model])
    assert left.value.code == 1
    assert (output / "a.json").read_text() == '{"a": "OPEN"}'
    assert "seqloom: error: " in capsys.readouterr().err.splitlines()[-1]


def test_an_output_that_exists_needs_force(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text('{"a": "Open"}')
    command = ["translate", str(tmp_path / "a.json"), "-o", str(tmp_path / "a.json"), "--model", model]
    with pytest.raises(SystemExit):
        cli.main(command)
    assert "a.json: exists; --force replaces it" in capsys.readouterr().err
    cli.main([*command, "--force"])
    assert (tmp_path / "a.json").read_text() == '{"a": "OPEN"}'


def test_a_direction_that_the_model_lacks_is_an_error(model: str, tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "a.json").write_text('{"a": "Open"}')
    files = [str(tmp_path / "a.json"), "-o", str(tmp_path / "b.json"), "--model", model]
    said = fails("translate", *files, "--from", "fr", "--to", "de")
    assert "the model does not translate --from fr --to de; it translates en to de" in said


def test_a_missing_document_is_an_error(model: str, tmp_path: Path, fails: Fails) -> None:
    assert "no.po: file not found" in fails("translate", "no.po", "-o", str(tmp_path / "b.po"), "--model", model)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.po", "a text", "-o", "b.po"], "'a text' is not a file"),
        (["a.po", "-o", "b.po", "--tsv"], "--tsv does not go with documents"),
        (["a.po", "-o", "b.po", "--target-column", "0"], "two different columns"),
        (["a text", "--from", "en"], "--from needs documents and -o"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["translate", *arguments])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_a_text_can_still_be_written_to_a_file(model: str, tmp_path: Path) -> None:
    cli.main(["translate", "a text", "-o", str(tmp_path / "b.txt"), "--model", model])
    assert len((tmp_path / "b.txt").read_text().splitlines()) == 1
