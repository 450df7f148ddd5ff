"""The stage as a process: other code, signals, a pause, a profile, and several processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from seqloom import places
from seqloom.decoding.translator import Translator
from seqloom.import_closure import PACKAGE
from seqloom.params import Params, load_params
from seqloom.progress import Listener, Progress, ignore
from seqloom.stages import train_model
from seqloom.stages.__main__ import main
from seqloom.training import profiler
from tests.forked import Forked, forked_stage
from tests.stages.toy_training import WEIGHTS, change_params, give_trained_project, outputs, start_afresh


def stage_of(package: Path) -> None:
    """Run the stage in this process with the code of another package."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "seqloom"]:
        del sys.modules[name]
    sys.path.insert(0, str(package.parent))
    sys.dont_write_bytecode = True
    from seqloom.stages.__main__ import main

    assert Path(main.__code__.co_filename).is_relative_to(package)
    main(["train_model"])


def test_other_code_starts_a_new_run(toy_project: Path) -> None:
    copied = toy_project / "copy" / PACKAGE.name
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))

    def train() -> str:
        process = Forked(lambda: stage_of(copied))
        heard, errors = process.communicate()
        assert process.returncode == 0, errors
        return heard

    assert "from a checkpoint" not in train()
    first = outputs()
    module = copied / "stages" / "training" / "inputs.py"
    usual = module.read_text(encoding="utf-8")
    module.write_text(usual.replace("        settings.seed,\n", "        settings.seed + 1000,\n"), encoding="utf-8")
    assert "from a checkpoint" not in train()
    assert outputs()[WEIGHTS] != first[WEIGHTS]
    module.write_text(usual, encoding="utf-8")
    assert "from a checkpoint" in train()
    assert outputs() == first


def signalled(number: signal.Signals, step: int) -> Forked:
    """Start the stage in a process that sends itself a signal after an update."""
    usual, waiting = train_model.run, [number]

    def run(params: Params, listen: Listener, **given: Any) -> None:
        def hear(progress: Progress) -> None:
            listen(progress)
            if waiting and progress.task == "train" and progress.done == step:
                os.kill(os.getpid(), waiting.pop())

        usual(params, hear, **given)

    def stage() -> None:
        train_model.run = run
        main(["train_model"])

    return Forked(stage)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_stage_writes_a_checkpoint_and_a_rerun_ends_the_same(
    toy_project: Path, number: signal.Signals, status: int
) -> None:
    change_params(checkpoint_every=20)
    stage = signalled(number, step=8)
    heard, errors = stage.communicate()
    assert heard.startswith("train")
    assert stage.returncode == status
    *warned, error = errors.splitlines()
    assert all(line.startswith("warning: train.") for line in warned)
    assert error == "error: train_model was interrupted; run again to continue"
    assert not places.CANDIDATE.exists()
    (scratch,) = places.SCRATCH.iterdir()
    (checkpoint,) = scratch.glob("step-*")
    assert int(checkpoint.name.removeprefix("step-")) < 20
    reports: list[Progress] = []
    train_model.run(load_params(), reports.append)
    assert reports[0].note == "going on from a checkpoint"
    resumed = outputs()
    start_afresh()
    train_model.run(load_params(), ignore)
    assert outputs() == resumed


def test_a_paused_process_ends_the_same(toy_project: Path) -> None:
    stopped = signalled(signal.SIGSTOP, step=12)
    assert os.WIFSTOPPED(os.waitpid(stopped.pid, os.WUNTRACED)[1])
    time.sleep(0.5)
    stopped.send_signal(signal.SIGCONT)
    _, errors = stopped.communicate()
    assert stopped.returncode == 0, errors
    found = outputs()
    give_trained_project(toy_project)
    assert outputs() == found


def test_a_profile_is_a_trace_and_a_table_and_does_not_change_the_outputs(
    toy_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_params(max_steps=8, validate_every=8)
    monkeypatch.setattr(profiler, "SKIPPED", 3)
    monkeypatch.setattr(profiler, "LOOKED_AT", 2)  # a longer trace takes seconds to write
    profiling = forked_stage("train_model", "--profile")
    _, errors = profiling.communicate()
    assert profiling.returncode == 0, errors
    (scratch,) = places.SCRATCH.iterdir()
    assert json.loads((scratch / "profile" / "trace.json").read_text())["traceEvents"]
    assert "aten::" in (scratch / "profile" / "table.txt").read_text()
    profiled = outputs()
    start_afresh()
    train_model.run(load_params(), ignore)
    assert outputs() == profiled


def stage() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seqloom.stages", "train_model"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
@pytest.mark.drill
def test_two_processes_train_stop_on_a_signal_and_resume(toy_project: Path) -> None:
    change_params(processes=2, max_steps=60, validate_every=30, checkpoint_every=60)
    asked = stage()
    assert asked.stdout is not None
    watchdog = threading.Timer(200, asked.kill)
    watchdog.start()
    assert asked.stdout.readline().startswith("train")
    asked.send_signal(signal.SIGTERM)
    _, errors = asked.communicate()
    watchdog.cancel()
    assert asked.returncode == 143, errors
    (scratch,) = places.SCRATCH.iterdir()
    (checkpoint,) = scratch.glob("step-*")
    assert 0 < int(checkpoint.name.removeprefix("step-")) < 60
    heard, errors = stage().communicate(timeout=200)
    assert "going on from a checkpoint" in heard, errors
    metrics = json.loads(places.TRAINING_METRICS.read_text())
    assert metrics["steps"] == 60
    assert "2 processes" in metrics["device"]
    assert len(Translator.load(places.CANDIDATE, "cpu").translate(["abc", ""])) == 2
