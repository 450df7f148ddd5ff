"""DVC runs a toy stage through `run_stage`, as it runs every stage."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from dvc.cli import main

from tests.commands import dvc
from tests.forked import Forked

STAGE = """
    import os, signal, sys
    from pathlib import Path
    from seqloom.stages.console import run_stage

    def toy(params, listen):
        mode = Path("mode").read_text()
        Path("metrics").mkdir(exist_ok=True)
        if mode == "half":
            Path("metrics/toy.json").write_text("{}")
        if mode == "terminated":
            os.kill(os.getpid(), signal.SIGTERM)
        if mode == "half":
            raise ValueError("a defect")
        Path("folder").mkdir()
        Path("folder/file").write_text(mode)
        Path("metrics/toy.json").write_text('{"mode": "%s"}' % mode)
        Path("toy.csv").write_text("step\\n1\\n")

    run_stage("toy", toy)
"""
DAG = f"""
stages:
  toy:
    cmd: {sys.executable} stage.py
    deps: [mode]
    outs: [folder]
    metrics: [metrics/toy.json: {{cache: false}}]
    plots: [toy.csv: {{cache: false}}]
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    shutil.copy(Path(__file__).parents[2] / "params.yaml", tmp_path)
    (tmp_path / "stage.py").write_text(textwrap.dedent(STAGE), encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(DAG, encoding="utf-8")
    (tmp_path / "mode").write_text("first", encoding="utf-8")
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for name, value in identity.items():
        monkeypatch.setenv(name, value)
    subprocess.run(["git", "init", "-q"], check=True)
    dvc(tmp_path, "init")
    dvc(tmp_path, "repro")
    subprocess.run(["git", "add", "--all"], check=True)
    subprocess.run(["git", "commit", "-q", "-m", "A run"], check=True)
    return tmp_path


def repro() -> tuple[int | None, str]:
    """Run `dvc repro`; return its status and what was written to standard error."""
    process = Forked(lambda: sys.exit(main(["repro"])))
    _, errors = process.communicate()
    return process.returncode, errors


def test_a_failing_stage_restores_the_results_of_the_last_run(clone: Path) -> None:
    for mode, message in (("terminated", "toy was interrupted"), ("half", "a defect")):
        (clone / "mode").write_text(mode, encoding="utf-8")
        status, errors = repro()
        assert status
        assert message in errors
        assert (clone / "metrics/toy.json").read_text(encoding="utf-8") == '{"mode": "first"}'
        assert (clone / "toy.csv").read_text(encoding="utf-8") == "step\n1\n"
        assert "`dvc checkout folder` restores the results of the last run there" in errors
    shutil.rmtree(clone / ".dvc" / "cache")  # as in a fresh clone
    (clone / "mode").write_text("terminated", encoding="utf-8")
    assert "checkout" not in repro()[1]
    assert (clone / "metrics/toy.json").read_text(encoding="utf-8") == '{"mode": "first"}'
