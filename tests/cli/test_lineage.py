import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.progress import ignore
from seqloom.stages import register_model
from tests.workspaces import give_store, write_results

LOCK = {
    "stages": {
        "download_corpus": {
            "deps": [{"path": "data/local", "md5": "11.dir"}, {"path": "src/seqloom/corpus", "md5": "22.dir"}],
            "outs": [{"path": "data/raw", "md5": "33.dir"}],
        },
        "train_model": {
            "deps": [{"path": "data/raw", "md5": "33.dir"}],
            "outs": [{"path": "models/candidate", "md5": "44.dir"}],
        },
    }
}


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("SEQLOOM_FLOW_RUN", "a-flow-run")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    give_store(tmp_path)
    params = write_results(tmp_path)
    (tmp_path / "dvc.lock").write_text(json.dumps(LOCK))
    lines = [
        {"kind": "begin", "at": 10.0, "pid": 1, "host": "h", "device": "cuda", "processes": 1},
        {"kind": "end", "at": 70.0, "joules": {"gpu": 7200.0}},
    ]
    (tmp_path / "scratch" / "f00d" / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    register_model.run(params, ignore)


def test_lineage_prints_text_and_json(registered: None, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["lineage", "models:/seqloom-en-de/1", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["version"], found["training"]) == ("seqloom-en-de", "1", "f00d")
    assert (found["flow_run"], found["commit"], found["dirty"]) == ("a-flow-run", None, None)
    assert found["artefacts"] == {"data/raw": "33.dir", "models/candidate": "44.dir"}
    assert found["inputs"] == {"data/local": "11.dir"}
    assert found["sources"]["home_assistant"]["sha256"]
    assert found["params"]["train.lr"] == "0.002"
    assert found["libraries"].keys() >= {"torch", "seqloom"}
    assert found["costs"] == {"gpu_seconds": 60.0, "joules.gpu": 7200.0, "processes": 1.0, "seconds": 60.0}
    assert found["metrics"]["test/bleu"] == 12.5
    assert found["device"] == "cpu"

    cli.main(["lineage", found["run_id"]])
    printed = capsys.readouterr().out
    assert printed.startswith(f"run {found['run_name']}\n")
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    for line in ("commit not recorded", "flow run a-flow-run", "models/candidate 44.dir", "energy, GPUs 2.00 Wh"):
        assert line in lines


@pytest.mark.parametrize(
    ("name", "message"),
    [("models:/seqloom-en-de/7", "names no version"), ("ab" * 16, "is not a run"), ("@champion", "is not a run")],
)
def test_an_unknown_model_or_run_is_an_error(
    workspace: Path, fails: Callable[..., str], name: str, message: str
) -> None:
    assert message in fails("lineage", name)
