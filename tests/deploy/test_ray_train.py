"""Ray Train starts the stage in workers with the variables of torchrun."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seqloom import exits, places
from tests.stages.toy_training import change_params, give_toy_project

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,  # importing Ray takes seconds
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray: pip install 'seqloom[ray]'"),
]


@pytest.fixture
def ray_train(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the launcher with a made-up place in a cluster: the second process of the second machine."""
    from deploy.training import ray_train
    from seqloom.sharding.ray import library

    library(local=True)
    import ray.train.collective

    place = {"world_rank": 3, "world_size": 4, "local_rank": 1, "local_world_size": 2}
    context = SimpleNamespace(**{f"get_{name}": lambda value=value: value for name, value in place.items()})
    monkeypatch.setattr(ray.train, "get_context", lambda: context)
    monkeypatch.setattr(ray.train.collective, "broadcast_from_rank_zero", lambda own: ("10.0.0.7", 4321))
    return ray_train


def test_a_worker_runs_the_trainer_with_its_place_and_fails_with_it(ray_train: Any, tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text(
        "import json, os, pathlib, sys\n"
        "pathlib.Path('seen').write_text(json.dumps(dict(os.environ)))\n"
        "sys.exit(int(sys.argv[1]))\n"
    )
    ray_train.work({"folder": str(tmp_path), "threads": 3, "trainer": ["trainer.py", "0"]})
    seen = json.loads((tmp_path / "seen").read_text())
    expected = {
        "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.7",
        "MASTER_PORT": "4321", "OMP_NUM_THREADS": "3",
    }  # fmt: skip
    assert expected.items() <= seen.items()
    with pytest.raises(RuntimeError, match="the trainer of rank 3 exited with 7"):
        ray_train.work({"folder": str(tmp_path), "threads": 3, "trainer": ["trainer.py", "7"]})


def test_a_cluster_that_does_not_start_is_tried_again_and_told(
    ray_train: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[dict[str, Any]] = []
    folders: set[str] = set()

    def start(address: str, *, _temp_dir: str, **options: Any) -> None:
        folders.add(_temp_dir)
        tried.append({"address": address, **options})
        raise Exception("The current node timed out\nduring startup")

    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", start)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_train.main(["--workers", "1:3", "--threads", "2"]) == exits.TRY_LATER
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    assert tried == [{"address": "local", "num_cpus": 6, "object_store_memory": 100 << 20, **quiet}] * 3
    assert len(folders) == 1
    assert capsys.readouterr().err == (
        "error: there is no Ray cluster: workers.ray.address: null: The current node timed out\n"
    )


@pytest.mark.drill
def test_two_workers_train_and_the_stage_takes_their_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
