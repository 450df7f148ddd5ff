import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seqloom import __version__, cli
from seqloom.decoding.translator import Translator
from seqloom.progress import ignore
from seqloom.stages import places, register_model
from tests.finished import REPOSITORY, finish, give_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        give_store(root)
        register_model.run(finish(root), ignore)
    return root


@pytest.fixture
def workspace(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return made


@pytest.fixture
def registered(workspace: Path) -> Translator:
    (folder,) = (workspace / "mlartifacts").rglob("artifacts/artifacts/model")
    return Translator.load(folder)


def enter(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run what must fail, and return its one line."""
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("seqloom: error: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_texts_are_translated_by_the_champion(
    workspace: Path, registered: Translator, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    cli.main(["translate", "Turn on the light", "Hello {name}"])
    printed = capfdbinary.readouterr()
    assert printed.out.decode().splitlines() == registered.translate(["Turn on the light", "Hello {name}"])
    assert printed.err == b""


@pytest.mark.parametrize("model", ["models:/seqloom-en-de/1", "models:/seqloom-en-de@candidate"])
def test_a_version_can_be_named(
    workspace: Path, registered: Translator, capfdbinary: pytest.CaptureFixture[bytes], model: str
) -> None:
    cli.main(["translate", "--model", model, "Turn on"])
    assert capfdbinary.readouterr().out.decode() == registered.translate(["Turn on"])[0] + "\n"


def test_lines_come_out_as_they_went_in(
    workspace: Path,
    registered: Translator,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setattr(cli, "CHUNK", 2)
    enter(monkeypatch, "Turn on\r\n\n  \nKüche\nlast without a line end".encode())
    cli.main(["translate"])
    lines = capfdbinary.readouterr().out.decode().split("\n")
    assert lines == [*registered.translate(["Turn on", "", "", "Küche", "last without a line end"]), ""]
    assert lines[1] == lines[2] == ""


def test_a_folder_and_a_beam(workspace: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    greedy = Translator.load(places.CANDIDATE)
    greedy.search = greedy.search.model_copy(update={"beam": 1})
    cli.main(["translate", "--model", str(places.CANDIDATE), "--beam", "1", "--device", "cpu", "Hi"])
    assert capfdbinary.readouterr().out.decode() == greedy.translate(["Hi"])[0] + "\n"


def test_files(workspace: Path, registered: Translator, tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("Turn on\n\nHello\n", encoding="utf-8")
    cli.main(["translate", "--input", str(source), "--output", str(target)])
    assert target.read_text(encoding="utf-8").splitlines() == registered.translate(["Turn on", "", "Hello"])
    assert {path.name for path in tmp_path.iterdir()} == {"in.txt", "out.txt"}


def test_a_file_that_breaks_off_leaves_the_old_one(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "CHUNK", 1)
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_bytes(b"Turn on\ncaf\xe9\n")
    target.write_text("old")
    assert "in.txt: line 2: is not UTF-8" in fails(
        ["translate", "--model", str(places.CANDIDATE), "--input", str(source), "--output", str(target)], capsys
    )
    assert target.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"in.txt", "out.txt"}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("models:/seqloom-en-de@best", "valid are models:/seqloom-en-de with one of @candidate, @champion, /1"),
        ("models:/seqloom-en-de/7", "/7 names no version"),
        ("models:/seqloom-en-de", "with one of @candidate"),
        ("models:/seqloom-en-fr@champion", "registered are seqloom-en-de"),
        ("models:seqloom-en-de", "valid are models:/NAME@ALIAS"),
        ("models:/it's/1", "valid are models:/NAME@ALIAS"),
        ("no/such/folder", "neither a folder with a model nor a registered one"),
        ("metrics", "is missing"),
    ],
)
def test_a_model_that_is_not_there(workspace: Path, capsys: pytest.CaptureFixture[str], model: str, said: str) -> None:
    assert said in fails(["translate", "--model", model, "Hi"], capsys)


def test_nothing_registered_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "no params.yaml here" in fails(["translate", "Hi"], capsys)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    assert "nothing is registered yet" in fails(["translate", "Hi"], capsys)
    cli.main(["info"])
    assert "nothing is registered yet" in capsys.readouterr().out
    cli.main(["info", "--json"])
    assert json.loads(capsys.readouterr().out) == {"versions": []}
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_server_that_is_down(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be used" in fails(["info"], capsys)


def test_info_is_a_table(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["info"])
    head, row, _, where = capsys.readouterr().out.splitlines()
    for title, cell in (
        ("version", "1"), ("aliases", "candidate, champion"), ("BLEU", "12.5 [11.5, 13.5]"),
        ("chrF", "40.0 [39.0, 41.0]"), ("TER", "70.0 [69.0, 71.0]"), ("pairs", "8"), ("data", "home_assistant"),
    ):  # fmt: skip
        assert row[head.index(title) :].startswith(cell)
    assert where.endswith("mlflow.db")


@pytest.mark.parametrize("model", [[], ["--model", "seqloom-en-de"], ["--model", "models:/seqloom-en-de@champion"]])
def test_info_for_programs(workspace: Path, capsys: pytest.CaptureFixture[str], model: list[str]) -> None:
    cli.main(["info", "--json", *model])
    (version,) = json.loads(capsys.readouterr().out)["versions"]
    registration = json.loads(places.REGISTRATION.read_text())
    assert version["fingerprint"] == registration["fingerprint"]
    assert (version["name"], version["version"]) == ("seqloom-en-de", "1")
    assert version["aliases"] == ["candidate", "champion"]
    assert version["bleu"] == {"score": 12.5, "low": 11.5, "high": 13.5}
    assert version["test_sha256"] == registration["test_sha256"]


def test_info_of_what_is_not_there(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["info", "--model", "seqloom-en-fr"])
    assert capsys.readouterr().out.startswith("no version of seqloom-en-fr in ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"),
        (["translte"], "translte"),
        (["translate", "--beam", "0", "Hi"], "'0' is not a whole number from 1 to 256"),
        (["translate", "--beam", "³", "Hi"], "whole number"),
        (["translate", "--input", "x", "Hi"], "not both"),
    ],
)
def test_misuse_ends_with_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_debug_shows_where(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["translate", "--debug", "--model", "nowhere", "Hi"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["translate", "--help"], ["info", "--help"]])
def test_help_fits_and_shows_examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 120
    assert ("examples:" in printed) == (arguments == ["--help"])


def seqloom(*arguments: str, **options: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_help_and_version_import_nothing_heavy() -> None:
    heavy = "{'torch', 'mlflow', 'numpy', 'pydantic', 'yaml', 'pandas', 'sqlalchemy'} & {*sys.modules}"
    script = f"import sys\nfrom seqloom.cli import main\ntry: main(['--version'])\nfinally: print({heavy})"
    out, err = seqloom("-c", script).communicate()
    assert (out.decode().split("\n"), err) == ([f"seqloom {__version__}", "set()", ""], b"")


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_and_a_person_who_has(workspace: Path) -> None:
    arguments = ["-m", "seqloom.cli", "translate", "--model", str(places.CANDIDATE)]
    with seqloom(*arguments, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"Hi\n" * 300)
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.close()
        assert process.wait() == cli.PIPE_CLOSED
        assert process.stderr.read() == b""
    with seqloom(*arguments, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"Hi\n" * 300)
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait() == cli.INTERRUPTED
        assert process.stderr.read() == b""
