import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqloom.errors import ReproductionError
from seqloom.tracking.client.store import Store, connect, experiment_id
from seqloom.tracking.registry import reproduction
from seqloom.tracking.registry.lineage import Lineage, read_lineage
from seqloom.tracking.registry.reproduction import reproduce
from tests import forked_dvc
from tests.commands import dvc
from tests.workspaces import give_store

GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
# Two stages stand for all: the hashes of their outputs are compared.
MAKE = "import pathlib, sys\nout = pathlib.Path(sys.argv[1])\nout.parent.mkdir(exist_ok=True)\n"
TRAIN = MAKE + "out.mkdir()\nout.joinpath('w').write_text(pathlib.Path('params.yaml').read_text() + {suffix})\n"
STAGES = {
    "stages": {
        "download_corpus": {"cmd": "cp data/local/pairs data/raw", "deps": ["data/local/pairs"], "outs": ["data/raw"]},
        "train_model": {
            "cmd": "python train.py models/candidate", "deps": ["data/raw", "train.py"], "outs": ["models/candidate"]
        },
        "evaluate_model": {
            "cmd": "mkdir -p reports && cp models/candidate/w reports/evaluation", "deps": ["models/candidate"],
            "outs": ["reports/evaluation"],
        },
        "register_model": {"cmd": "false", "deps": ["reports/evaluation"]},
    }
}  # fmt: skip


class Clone:
    """A repository with a tiny pipeline that has run, and its run in a store."""

    def __init__(self, root: Path, store: Store, *, suffix: str = "''") -> None:
        self.root, self.store = root, store
        (root / "dvc.yaml").write_text(yaml.safe_dump(STAGES, sort_keys=False))
        (root / "params.yaml").write_text("corpora: {mine: {kind: file}}\n")
        (root / "train.py").write_text(TRAIN.format(suffix=suffix))
        (root / ".gitignore").write_text("/data\n/models\n/reports\n/mlflow.db*\n/mlartifacts\n")
        (root / "data" / "local").mkdir(parents=True)
        (root / "data" / "local" / "pairs").write_text("a\tb\n")
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        dvc(root, "init")
        dvc(root, "repro", "evaluate_model")
        for command in (["git", "add", "."], [*GIT, "commit", "-qm", "x"]):
            subprocess.run(command, cwd=root, check=True, capture_output=True)

    def register(self, **changed: str) -> Lineage:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=self.root, capture_output=True, text=True, check=True)
        run = self.store.client.create_run(
            experiment_id(self.store, "x"),
            tags={"git.commit": head.stdout.strip(), "git.dirty": "false", "version.numpy": "0.1"} | changed,
        )
        for name in ("params.yaml", "dvc.lock"):
            self.store.client.log_artifact(run.info.run_id, str(self.root / name))
        return read_lineage(self.store, run.info.run_id)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    root = tmp_path / "clone"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setattr(reproduction, "subprocess", forked_dvc)
    monkeypatch.setenv("PATH", f"{Path(__file__).parents[3] / '.venv' / 'bin'}", prepend=":")
    give_store(root)
    return connect(root, create=False)


def reproduced(wanted: Lineage, store: Store, into: Path) -> tuple[Any, str]:
    messages: list[str] = []
    return reproduce(store, wanted, Path.cwd(), into, messages.append), "\n".join(messages)


@pytest.mark.slow
def test_the_same_commit_data_and_params_make_the_same_model(store: Store, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", store)
    wanted = clone.register()
    (clone.root / "train.py").write_text("raise SystemExit('a later version')")
    (clone.root / "params.yaml").write_text("later: 1\n")
    (clone.root / "data" / "local" / "pairs").write_text("later\n")
    found, messages = reproduced(wanted, store, tmp_path / "again")
    assert found.same
    assert [(each.path, each.same) for each in found.artefacts] == [
        ("data/raw", True), ("models/candidate", True), ("reports/evaluation", True)
    ]  # fmt: skip
    assert "from DVC's cache" in messages
    assert "running train_model, evaluate_model\n" in f"{messages}\n"
    assert "numpy was 0.1, here it is" in messages
    assert not (tmp_path / "again" / "scratch").exists()


@pytest.mark.slow
def test_artefacts_that_differ_are_named(store: Store, tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", store, suffix="str(__import__('time').time_ns())")
    wanted = clone.register(**{"git.dirty": "true"})
    subprocess.run(["rm", "-rf", ".dvc/cache"], check=True)
    found, messages = reproduced(wanted, store, tmp_path / "again")
    assert not found.same
    assert [each.path for each in found.artefacts if not each.same] == ["models/candidate", "reports/evaluation"]
    assert "had uncommitted changes" in messages
    assert "downloading it again" in messages
    assert (tmp_path / "again" / "data" / "local" / "pairs").is_file()


def test_a_run_without_recorded_inputs_cannot_be_reproduced(store: Store, tmp_path: Path) -> None:
    run = store.client.create_run(experiment_id(store, "x"), tags={})
    with pytest.raises(ReproductionError, match="a commit was not recorded"):
        reproduced(read_lineage(store, run.info.run_id), store, tmp_path / "again")
    store.client.set_tag(run.info.run_id, "git.commit", "ab" * 20)
    with pytest.raises(ReproductionError, match=r"params\.yaml or dvc\.lock"):
        reproduced(read_lineage(store, run.info.run_id), store, tmp_path / "again")
    for name, content in (
        ("params.yaml", "corpora: {}"),
        ("dvc.lock", json.dumps({"stages": {"train_model": {"outs": [{"path": "models/candidate", "md5": "1"}]}}})),
    ):
        store.client.log_text(run.info.run_id, content, name)
    wanted = read_lineage(store, run.info.run_id)
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(ReproductionError, match=r"commit abababababab cannot be checked out of .*fetch it"):
        reproduced(wanted, store, tmp_path / "again")
    with pytest.raises(ReproductionError, match="again: is not empty; name another folder with --into"):
        reproduced(wanted, store, tmp_path / "again")
