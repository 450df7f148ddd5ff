import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from seqloom.errors import ShardError
from seqloom.progress import Progress, ignore
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import map_shards
from seqloom.sharding.settings import WorkerSettings
from seqloom.sharding.step import input_of
from tests.sharding.real_steps import RealSteps
from tests.sharding.upper import Upper

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray: pip install 'seqloom[ray]'"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves files and processes to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
OURS = "ray" not in sys.modules  # else a module before this one imported it, with other settings


@pytest.fixture(scope="module")
def launcher() -> Iterator[object]:
    """The launcher with two workers, and one cluster for this module."""
    from seqloom.sharding.ray import RayLauncher

    yield RayLauncher(WorkerSettings(launcher="ray", count=2))
    sys.modules["ray"].shutdown()
    with warnings.catch_warnings():  # of Popen objects whose processes still run; they would fail a later test
        warnings.simplefilter("ignore")
        gc.collect()


def test_the_results_are_those_of_one_process(launcher, tmp_path: Path) -> None:
    steps = RealSteps(tmp_path)
    assert steps.hashes("ray", launcher) == steps.hashes("local", LocalLauncher(1))


@pytest.mark.skipif(not OURS, reason="another module has imported ray")
def test_the_cluster_is_not_reachable_from_outside(launcher, shards: list[Path], tmp_path: Path) -> None:
    map_shards(Upper(), map(input_of, shards[:1]), tmp_path / "out", launcher, ignore)
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    addresses = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # some end at any time
            addresses |= {
                each.laddr.ip.removeprefix("::ffff:")
                for each in process.net_connections("inet")
                if each.status == psutil.CONN_LISTEN and "ray" in " ".join(process.cmdline())
            }
    assert addresses == {"127.0.0.1"}
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_AUTH_MODE"] == "token"


def test_an_actor_that_dies_is_replaced_and_its_task_told(launcher, shards: list[Path], tmp_path: Path) -> None:
    heard: list[Progress] = []
    step = Upper(trouble="dies once", log=str(tmp_path / "log"))
    results = map_shards(step, map(input_of, shards), tmp_path / "out", launcher, heard.append)
    assert [(each.folder / "out.txt").read_text() for each in results] == ["A0\nB\n", "A1\nB\n", "BAD\n", "A3\nB\n"]
    assert [each.note for each in heard if "failed: its worker died; was memory short?" in each.note]


def test_an_error_of_a_shard_is_told(launcher, shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"1 shards failed; 3 are done.*\n.*in2\.txt: line 1: is bad"):
        map_shards(Upper(trouble="wrong"), map(input_of, shards), tmp_path / "out", launcher, ignore)


def test_a_machine_without_the_folder_is_named(launcher, shards: list[Path], tmp_path: Path, monkeypatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.setattr(Path, "cwd", lambda: gone)
    gone.rmdir()
    with pytest.raises(ShardError, match=r"has no .*gone .*all machines of a Ray cluster need the clone"):
        map_shards(Upper(), map(input_of, shards), tmp_path / "out", launcher, ignore)


def test_workers_that_find_no_room_are_told(launcher, shards: list[Path], tmp_path: Path, monkeypatch) -> None:
    from seqloom.sharding import ray as module

    monkeypatch.setattr(module, "_PATIENCE", 0)
    monkeypatch.setattr(module, "_LOOK", 0.1)
    large = module.RayLauncher(WorkerSettings(launcher="ray", count=1, cpus=64))
    with pytest.raises(ShardError, match=r"no worker could start .* each needs cpus 64, gpus 0, and .* has CPU 2"):
        map_shards(Upper(), map(input_of, shards), tmp_path / "out", large, ignore)
