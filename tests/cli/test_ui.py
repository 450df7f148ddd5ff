import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqloom.cli import main as cli
from seqloom.tracking.store import connect


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """Record the program that the command would execute, instead of executing it."""
    found: list[tuple[list[str], dict[str, str]]] = []

    def become(path: str, line: list[str], environment: dict[str, str]) -> None:
        assert path == line[0]
        found.append((line, environment))

    monkeypatch.setattr(os, "execve", become)
    monkeypatch.setattr("seqloom.tracking.server.check_port", lambda port: None)
    return found


def test_links_open_the_experiment_of_params_yaml(
    workspace: Path, started: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["ui", "--port", "5123"])
    said = capsys.readouterr().out
    home = connect(workspace, create=False).client.get_experiment_by_name("seqloom").experiment_id
    link = f"http://seqloom.localhost:5123/#/experiments/{home}/runs?workflowType=machine_learning&viewStateShareKey=scores"
    assert f"  runs    {link}\n" in said
    assert f"  curves  {link}&compareRunsMode=CHART\n" in said
    ((line, environment),) = started
    assert line[line.index("--port") + 1] == "5123"
    assert environment["MLFLOW_BACKEND_STORE_URI"] == "sqlite:///mlflow.db"


def test_params_yaml_need_not_be_valid(
    workspace: Path,
    started: list[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes((workspace / "mlflow.db").read_bytes())
    (tmp_path / "params.yaml").write_text("train: 1\n")
    cli.main(["ui"])
    assert "http://seqloom.localhost:5000/#/experiments?workflowType=machine_learning\n" in capsys.readouterr().out
    cli.main(["ui", "--experiment", "seqloom"])
    assert "viewStateShareKey=scores" in capsys.readouterr().out
    assert len(started) == 2


def test_with_a_remote_server_only_links_are_printed(
    workspace: Path, started: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    local = connect(workspace, create=False)
    elsewhere = local._replace(uri="https://me:secret@mlflow.example.com/")
    monkeypatch.setattr("seqloom.tracking.store.connect", lambda *_, **__: elsewhere)
    cli.main(["ui"])
    said = capsys.readouterr().out
    assert said.startswith("  runs    https://***@mlflow.example.com/#/experiments/")
    assert "secret" not in said
    assert started == []


@pytest.mark.usefixtures("workspace")
def test_an_invalid_port_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["ui", "--port", "70000"])
    assert "--port: 70000 is not a port; valid are 1 to 65535" in capsys.readouterr().err


@pytest.mark.usefixtures("workspace")
def test_a_port_in_use_is_a_one_line_error(fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.bind", lambda *_: (_ for _ in ()).throw(OSError(98, "in use")))
    assert "port 5000 is in use; choose another: make ui PORT=5001" in fails("ui")
