import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom import __version__, exits, places
from seqloom.cli import main as cli
from tests.workspaces import REPOSITORY

Fails = Callable[..., str]


def test_without_a_registry_commands_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: Fails
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "no params.yaml here" in fails("translate", "Hi")
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    assert "nothing is registered yet" in fails("translate", "Hi")
    cli.main(["info"])
    assert "nothing is registered yet" in capsys.readouterr().out
    cli.main(["info", "--json"])
    assert json.loads(capsys.readouterr().out) == {"versions": []}
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_server_that_is_down_means_status_75(workspace: Path, monkeypatch: pytest.MonkeyPatch, fails: Fails) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be used" in fails("info", status=75)  # it may answer later


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["translte"], "translte"),
        (["translate", "--n-best", "0", "Hi"], "'0' is not a positive whole number"),
        (["translate", "--n-best", "³", "Hi"], "whole number"),
        (["translate", "--beam", "wide", "Hi"], "invalid int value: 'wide'"),
        (["translate", "--attention", "x.png"], "--attention needs exactly one TEXT"),
        (["translate", "--attention", "x.png", "--tsv", "Hi"], "not allowed with"),
        (["translate", "--input", "x", "Hi"], "not both"),
    ],
)
def test_wrong_usage_means_status_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_debug_shows_a_traceback(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["translate", "--debug", "--model", "nowhere", "Hi"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["translate", "--help"], ["info", "--help"], ["preset", "--help"]])
def test_help_is_narrow_and_shows_examples(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
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
    script = f"import sys\nfrom seqloom.cli.main import main\ntry: main(['--version'])\nfinally: print({heavy})"
    out, err = seqloom("-c", script).communicate()
    assert (out.decode().split("\n"), err) == ([f"seqloom {__version__}", "set()", ""], b"")


@pytest.mark.slow
def test_a_closed_pipe_and_ctrl_c_end_quietly(workspace: Path) -> None:
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
        assert process.wait() == exits.PIPE_CLOSED
        assert process.stderr.read() == b""
    with seqloom(*arguments, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"Hi\n" * 300)
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait() == exits.INTERRUPTED
        assert process.stderr.read() == b""
