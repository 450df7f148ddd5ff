"""Sweeps over a DAG whose training is a few lines of Python: trials, pruning, records, and a kill in the middle."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import cli_client
from pipelines import sweep as sweep_module
from pipelines.errors import CommandError
from pipelines.sweep import sweep
from pipelines.sweeping import outbox as outbox_module
from pipelines.sweeping.space import Sweep
from pipelines.sweeping.study import Study, Trial
from tests.commands import dvc, seqloom
from tests.pipelines.test_retrain import Answer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

DAG = """
stages:
  data: {cmd: cp given data, deps: [given], outs: [data]}
  train_model:
    cmd: python train.py
    deps: [data, train.py]
    params: [model.dropout, train.lr, train.max_steps]
    outs: [model]
    metrics: [metrics/training.json: {cache: false}]
    plots: [plots/training.csv: {cache: false}]
  evaluate_model: {cmd: 'echo never >> runs; cp model scores', deps: [model], outs: [scores]}
"""

# Validation BLEU grows with each step up to a height set by the settings; each step writes a checkpoint.
TRAIN = """
import hashlib, json, os, pathlib, signal, sys, time
import yaml
params = yaml.safe_load(open("params.yaml"))
lr, dropout = float(params["train"]["lr"]), params["model"]["dropout"]
point = f"{lr:g} {dropout:g}"
scratch = pathlib.Path("scratch") / hashlib.sha256(point.encode()).hexdigest()
scratch.mkdir(parents=True, exist_ok=True)
checkpoint, runs = scratch / "checkpoint", open(os.environ["RUNS"], "a", buffering=1)
first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
runs.write(f"{point} from {first}\\n")
signal.signal(signal.SIGINT, lambda *_: (runs.write(f"{point} asked\\n"), sys.exit(130)))
if dropout == 0.5:
    sys.exit("error: diverged")
height = 30 - 1000 * abs(lr - 0.004) - 20 * dropout
with open(scratch / "journal.jsonl", "a", buffering=1) as journal:
    for step in range(first, 6):
        bleu = height * step / 5
        journal.write(json.dumps({"kind": "step", "step": step * 50, "loss": 9 / step, "lr": lr}) + "\\n")
        journal.write(json.dumps({"kind": "validation", "step": step * 50, "bleu": bleu, "loss": 8 / step}) + "\\n")
        checkpoint.write_text(str(step))
        while os.path.exists(os.environ["RUNS"] + ".hold") and step == 3:
            time.sleep(0.05)
        time.sleep(0.15)
runs.write(f"{point} done\\n")
pathlib.Path("model").write_text(point)
pathlib.Path("metrics").mkdir(exist_ok=True), pathlib.Path("plots").mkdir(exist_ok=True)
json.dump({"valid_bleu": height, "best_bleu": height, "steps": 250}, open("metrics/training.json", "w"))
open("plots/training.csv", "w").write(f"step,epoch,loss,lr,valid_loss,valid_bleu\\n250,1,1.8,{lr},1.6,{height}\\n")
"""

SPACE: dict[str, Any] = {
    "name": "toy", "trials": 3, "seed": 3, "pruner": {"name": "none"}, "fixed": {"train.max_steps": 300},
    "space": {"train.lr": {"choice": [0.004, 0.02]}, "model.dropout": {"choice": [0.0, 0.25]}},
}  # fmt: skip


@pytest.fixture
def clone(make_repository: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_repository(DAG)
    (folder / "given").write_text("1", encoding="utf-8")
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    monkeypatch.setenv("RUNS", str(folder / "scratch" / "runs"))
    monkeypatch.setattr(cli_client, "Call", run_here)
    (folder / "scratch").mkdir()
    return folder


def run_here(root: Path, module: str, *arguments: str) -> Answer:
    """Run a command of seqloom in the process of the test; test_cli_client.py has tests of the real `Call`."""
    assert module == "seqloom.cli"
    with redirect_stdout(StringIO()) as output, redirect_stderr(StringIO()) as errors:
        try:
            seqloom(root, *arguments)
        except SystemExit as end:
            if end.code:
                return Answer("", CommandError(errors.getvalue().partition("error: ")[2].strip(), int(end.code)))
    return Answer(output.getvalue())


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The records that would be sent to MLflow."""
    records: list[dict[str, Any]] = []

    def take(root: Path, files: list[Path]) -> None:
        records.extend(json.loads(file.read_text(encoding="utf-8")) for file in files)

    monkeypatch.setattr(outbox_module, "log_trials", take)
    return records


def ask(root: Path, **changes: Any) -> str:
    (root / "toy.yaml").write_text(yaml.safe_dump(SPACE | changes, sort_keys=False), encoding="utf-8")
    return "toy.yaml"


def runs(root: Path) -> list[str]:
    path = root / "scratch" / "runs"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def run(root: Path, **changes: Any) -> list[Trial]:
    trials: list[Trial] = sweep(root, ask(root, **changes))
    return trials


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.iterdir() if path.is_file()}


def test_each_point_is_tried_once_and_the_best_becomes_a_preset(
    clone: Path, sent: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    run(clone, trials=1)
    before = files(clone)
    trials = run(clone, trials=99)  # more than there are points
    assert [trial.state for trial in trials] == ["complete"] * 4
    assert sorted(line.rpartition(" ")[2] for line in runs(clone)) == ["1"] * 4 + ["done"] * 4
    best = clone / "scratch/sweeps/toy/best.yaml"
    assert yaml.safe_load(best.read_text(encoding="utf-8")) == {
        "train": {"lr": 0.004, "max_steps": 300}, "model": {"dropout": 0.0}
    }  # fmt: skip
    assert "valid_bleu 30.00" in best.read_text(encoding="utf-8").splitlines()[0]
    assert "  trial  state     valid_bleu  train.lr  model.dropout  why\n" in capsys.readouterr().out
    assert not list(clone.glob("scratch/sweeps/toy/clone/scratch/*/checkpoint"))
    # The clone has not changed; DVC restores the best model from its cache without training.
    assert files(clone) | {clone / "toy.yaml": b""} == before | {clone / "toy.yaml": b""}
    seqloom(clone, "preset", str(best))
    dvc(clone, "repro", "train_model")
    assert (clone / "model").read_text(encoding="utf-8") == "0.004 0"
    assert len(runs(clone)) == 8
    # A second run has nothing to do, and another sweep of the same name is refused.
    before_that = len(sent)
    assert run(clone, trials=99) == trials
    assert {record["point"] for record in sent[before_that:]} == {None}
    state = sweep(clone, ask(clone, trials=99, seed=4), return_state=True)
    assert "holds a sweep with another seed" in (state.message or "")
    assert len(runs(clone)) == 8


def test_a_bad_trial_is_interrupted_and_a_failing_one_does_not_stop_the_others(
    clone: Path, sent: list[dict[str, Any]]
) -> None:
    space = {"train.lr": {"choice": [0.012, 0.03]}, "model.dropout": {"choice": [0.1, 0.5]}}
    trials = run(clone, trials=4, pruner={"name": "median", "startup_trials": 1}, space=space)
    states = {(trial.point["train.lr"], trial.point["model.dropout"]): trial for trial in trials}
    assert trials[0].point == {"train.lr": 0.012, "model.dropout": 0.1}  # the settings of params.yaml
    assert trials[0].state == "complete"
    assert states[0.012, 0.5].state == states[0.03, 0.5].state == "failed"
    assert states[0.012, 0.5].reason == "diverged"
    assert states[0.03, 0.1].state == "pruned"
    assert "0.03 0.1 asked" in runs(clone)
    assert "0.03 0.1 done" not in runs(clone)
    last = {record["point"]: record for record in sent}
    assert sorted(record["state"] for record in last.values()) == ["FAILED", "FAILED", "FINISHED", "FINISHED", "KILLED"]
    pruned = next(record for record in last.values() if record["state"] == "KILLED")
    assert ["valid/bleu", 50, pytest.approx(0.4)] in pruned["curves"]
    assert pruned["params"] == {"train.lr": "0.03", "model.dropout": "0.1", "train.max_steps": "300"}


def test_if_every_trial_fails_the_sweep_stops_and_a_later_start_tries_again(
    clone: Path, sent: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "GIVE_UP", 1)
    good = (clone / "train.py").read_text(encoding="utf-8")
    (clone / "train.py").write_text("import sys; sys.exit('error: no space is left')", encoding="utf-8")
    state = sweep(clone, ask(clone), return_state=True)
    assert "no trial was completed" in (state.message or "")
    assert {record["state"] for record in sent} == {"RUNNING", "FAILED"}
    (clone / "scratch/sweeps/toy/clone/train.py").write_text(good, encoding="utf-8")
    assert [trial.state for trial in run(clone, trials=1)] == ["complete"]


CODE = """
import pipelines.sweep as s, pipelines.sweeping.outbox as r; from pathlib import Path
r.log_trials = lambda *_: None
s.sweep(Path.cwd(), "toy.yaml")
"""


@pytest.mark.drill
def test_a_sweep_that_was_killed_continues_with_the_same_trials(
    clone: Path, sent: list[dict[str, Any]], prefect_server: str, tmp_path: Path
) -> None:
    ask(clone)
    wanted = undisturbed(tmp_path)
    first, second, third = (f"{trial.point['train.lr']:g} {trial.point['model.dropout']:g}" for trial in wanted)
    hold = clone / "scratch" / "runs.hold"
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    process = subprocess.Popen([sys.executable, "-c", CODE], cwd=clone, env=environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: f"{first} done" in runs(clone), process)
    hold.touch()  # the second trial waits after its third checkpoint
    wait_for(lambda: f"{second} from 1" in runs(clone) and "3" in checkpoints(clone), process)
    process.kill()
    process.wait()

    # The trainer is an orphan; the next start ends it, then continues.
    threading.Timer(20, hold.unlink).start()
    assert run(clone) == wanted
    assert runs(clone) == [
        f"{first} from 1", f"{first} done", f"{second} from 1", f"{second} asked", f"{second} from 4",
        f"{second} done", f"{third} from 1", f"{third} done",
    ]  # fmt: skip


def undisturbed(folder: Path) -> list[Trial]:
    """Return the trials of a sweep that is not killed."""
    study = Study(folder, Sweep.model_validate(SPACE), {"train.lr": 0.004, "model.dropout": 0.1})
    while (trial := study.next()) is not None:
        height = 30 - 1000 * abs(trial.point["train.lr"] - 0.004) - 20 * trial.point["model.dropout"]
        study.tell("complete", height, "")
    return study.trials()


def checkpoints(root: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in root.glob("scratch/sweeps/toy/clone/scratch/*/checkpoint")]


def wait_for(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
