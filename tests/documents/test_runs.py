import json
from pathlib import Path

import pytest

from seqloom.documents import journal as journals
from seqloom.documents.journal import Journal
from seqloom.documents.runs import Outcome, plan, run
from seqloom.errors import DocumentError
from seqloom.translation.results import Flag, Result
from tests.documents.fakes import LOUD, OPTIONS, loud

IDENTITY = {"model": "m"}


class Killed(BaseException):
    """Ends a run as a kill would."""


def translate(documents: list[Path], output: Path, say=LOUD, existing="refuse", identity=IDENTITY) -> Outcome:
    planned = plan(documents, output)
    with Journal(planned.journal, identity) as journal:
        return run(planned, say, journal, OPTIONS, existing=existing)


def failing_after(count: int, error: BaseException, asked: list[str]):
    """A translate function that raises at the call after `count` texts."""

    def say(texts):
        if len(asked) >= count:
            raise error
        asked.extend(texts)
        return [Result(loud(text), (Flag.COPIED,), 0.25) for text in texts]

    return say


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"line {number}\n" for number in range(10)))
    return path


def test_a_file_is_written_and_nothing_is_left_beside_it(document: Path, tmp_path: Path) -> None:
    outcome = translate([document], tmp_path / "new" / "b.txt")
    assert (tmp_path / "new" / "b.txt").read_text().startswith("LINE 0\nLINE 1\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b.txt"]
    assert outcome.faults == []
    assert outcome.reports[0].texts == 10


def test_an_existing_output_is_refused_and_kept(document: Path, tmp_path: Path) -> None:
    output = tmp_path / "b.txt"
    output.write_text("old")
    assert translate([document], output).faults == [
        f"{output}: exists; --force replaces it, --update keeps its translations"
    ]
    assert output.read_text() == "old"
    assert translate([document], output, existing="replace").faults == []
    assert output.read_text().startswith("LINE 0")


def test_a_killed_run_goes_on_where_it_stopped(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "CHUNK", 3)
    output, asked = tmp_path / "b.txt", list[str]()
    with pytest.raises(Killed):
        translate([document], output, failing_after(6, Killed(), asked))
    assert not output.exists()
    assert asked == [f"line {number}" for number in range(6)]
    with (tmp_path / ".b.txt.journal").open("ab") as file:
        file.write(b'{"source": "line 9", "te')  # cut off by the kill
    again = list[str]()
    outcome = translate([document], output, failing_after(99, Killed(), again))
    assert again == [f"line {number}" for number in range(6, 10)]
    assert output.read_text() == document.read_text().upper()
    assert {(each.flags, each.confidence) for each in outcome.reports[0].translated} == {(("copied",), 0.25)}
    assert not (tmp_path / ".b.txt.journal").exists()


def test_a_journal_of_another_model_is_not_used(document: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journals, "CHUNK", 3)
    with pytest.raises(Killed):
        translate([document], tmp_path / "b.txt", failing_after(6, Killed(), []))
    asked = list[str]()
    with pytest.raises(Killed):
        translate([document], tmp_path / "b.txt", failing_after(3, Killed(), asked), identity={"model": "n"})
    assert len(asked) == 3
    lines = (tmp_path / ".b.txt.journal").read_text().splitlines()
    assert json.loads(lines[0])["identity"] == {"model": "n"}
    assert len(lines) == 4


@pytest.mark.parametrize("content", [b"", b"\xff\n", b"[]\n", b"{}\n{}\n", b"[" * 100_000 + b"\n"])
def test_a_damaged_journal_is_begun_anew(document: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".b.txt.journal").write_bytes(content)
    assert translate([document], tmp_path / "b.txt").faults == []
    assert not (tmp_path / ".b.txt.journal").exists()


def test_finished_documents_are_not_translated_again(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in "abc":
        (source / f"{name}.txt").write_text(name)
    asked = list[str]()
    with pytest.raises(Killed):
        translate([source], tmp_path / "out", failing_after(2, Killed(), asked))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.txt", "b.txt", ".seqloom.journal"}
    outcome = translate([source], tmp_path / "out", failing_after(9, Killed(), asked))
    assert asked == ["a", "b", "c"]
    assert outcome.finished == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.txt", "b.txt", "c.txt"}


def test_a_changed_output_of_an_earlier_run_is_not_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.txt").write_text("a")
    (source / "b.txt").write_text("b")
    with pytest.raises(Killed):
        translate([source], tmp_path / "out", failing_after(1, Killed(), []))
    (tmp_path / "out" / "a.txt").write_text("by a person")
    assert len(translate([source], tmp_path / "out").faults) == 1
    assert (tmp_path / "out" / "a.txt").read_text() == "by a person"


def test_a_broken_document_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"a": "b"}')
    outcome = translate([tmp_path / "a.json", tmp_path / "b.json"], tmp_path / "out")
    assert len(outcome.faults) == 1
    assert "a.json: line 1" in outcome.faults[0]
    assert (tmp_path / "out" / "b.json").read_text() == '{"a": "B"}'
    assert not (tmp_path / "out" / "a.json").exists()


def test_a_document_can_be_translated_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("Open\t\n")
    assert translate([tmp_path / "a.tsv"], tmp_path / "a.tsv", existing="replace").faults == []
    assert (tmp_path / "a.tsv").read_text() == "Open\tOPEN\n"


def test_files_of_a_folder_keep_their_paths_without_hidden_ones_and_the_output(tmp_path: Path) -> None:
    for name in ("a.txt", "d/b.json", "d/c.png", ".git/x.txt", "out/old.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    planned = plan([tmp_path], tmp_path / "out")
    found = [(job.document.name, str(job.output.relative_to(tmp_path))) for job in planned.jobs]
    assert found == [("a.txt", "out/a.txt"), ("b.json", "out/d/b.json")]
    assert planned.ignored == 1


def test_a_single_file_goes_into_an_existing_folder(document: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert plan([document], tmp_path / "out").jobs[0].output == tmp_path / "out" / "a.txt"


@pytest.mark.parametrize(
    ("names", "output", "said"),
    [
        (["a.txt", "b.txt"], "c.txt", "c.txt: is a file; several documents need a folder"),
        (["a.txt", "d/a.txt"], "out", "another document would be written to"),
        (["no.txt"], "out", "no.txt: file not found"),
        (["a.bin"], "out", "the format cannot be told"),
        (["e"], "out", "no file here has a name that suggests a format"),
    ],
)
def test_plans_that_cannot_be_carried_out_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], output: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt", "c.txt", "a.bin", "d/a.txt", "e/a.bin"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("")
    with pytest.raises(DocumentError, match=said):
        plan([Path(name) for name in names], Path(output))


def test_two_runs_never_write_the_same_output(document: Path, tmp_path: Path) -> None:
    planned = plan([document], tmp_path / "b.txt")
    with Journal(planned.journal, IDENTITY):
        with pytest.raises(DocumentError, match="another run is writing there"), Journal(planned.journal, IDENTITY):
            pass
        assert planned.journal.exists()
    assert not planned.journal.exists()


def test_an_output_is_updated_and_keeps_its_translations(tmp_path: Path) -> None:
    (tmp_path / "en.json").write_text('{"a": "Open", "b": {"c": "Save"}}')
    (tmp_path / "de.json").write_text('{"a": "Offen", "old": "Alt"}')
    outcome = translate([tmp_path / "en.json"], tmp_path / "de.json", existing="update")
    assert (tmp_path / "de.json").read_text() == '{"a": "Offen", "b": {"c": "SAVE"}}'
    (report,) = outcome.reports
    assert (report.kept, [each.key for each in report.translated]) == (1, ["/b/c"])
    assert report.notices == ["1 earlier translations have no source any more, such as /old"]
