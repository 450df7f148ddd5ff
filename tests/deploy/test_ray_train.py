"""Ray Train starts the stage in two workers, and replaces a worker that is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqloom import places
from tests.stages.toy_training import change_params, give_toy_project

pytestmark = [pytest.mark.slow, pytest.mark.drill]

ROOT = Path(__file__).resolve().parents[2]


def test_two_workers_of_ray_train_and_a_flow_takes_their_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs the extra [ray]")
    monkeypatch.chdir(tmp_path)
    give_toy_project(tmp_path)
    change_params(processes=2)
    command = [sys.executable, str(ROOT / "deploy" / "training" / "ray_train.py"), "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "seqloom.stages", "train_model"],
        env={**os.environ, "SEQLOOM_TRAIN_LAUNCHER": " ".join(command), "RAY_raylet_start_wait_time_s": "200"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = json.loads(places.TRAINING_METRICS.read_text())
    assert metrics["steps"] == 20
    assert "2 processes" in metrics["device"]
    assert "processes" not in metrics
