import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom import places
from seqloom.cli import main as cli
from tests.workspaces import REPOSITORY


@pytest.fixture
def corpus(workspace: Path, tmp_path: Path) -> Path:
    """The file metrics/corpus.json of a workspace with a registered version; tests may change it."""
    file = workspace / places.CORPUS_METRICS
    kept = file.read_bytes()
    yield file
    file.write_bytes(kept)


def test_unchanged_data_pass(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["guard", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert (record["ok"], record["baseline"]) == (True, "models:/seqloom-en-de/1")
    assert {"what": "kept", "now": 12, "before": 12, "low": 9.6, "high": 48.0, "ok": True} in record["findings"]


def test_data_out_of_bounds_are_refused_with_their_numbers(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.write_text(json.dumps({**json.loads(corpus.read_text()), "kept": 7}))
    with pytest.raises(SystemExit) as left:
        cli.main(["guard"])
    assert left.value.code == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["REFUSED", "kept", "7", "12", "9.6", "48"]
    assert lines[-1].endswith("1 out of bounds")


def test_missing_or_broken_metrics_are_an_error(corpus: Path, fails: Callable[..., str]) -> None:
    corpus.unlink()
    assert "run `dvc repro prepare_corpus`" in fails("guard")
    corpus.write_text("{")
    assert "not valid JSON" in fails("guard")


def test_without_a_registered_version_data_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    (tmp_path / "metrics").mkdir()
    (tmp_path / places.CORPUS_METRICS).write_text('{"kept": 3}')
    cli.main(["guard", "--json"])
    assert json.loads(capsys.readouterr().out) == {"ok": True, "baseline": None, "findings": []}
