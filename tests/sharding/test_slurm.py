import os
import signal
import time
from pathlib import Path

import pytest

from seqloom.errors import ParamsError, ShardError
from seqloom.progress import Progress, ignore
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import map_shards
from seqloom.sharding.settings import SlurmSettings, WorkerSettings
from seqloom.sharding.slurm import Share, SlurmLauncher
from seqloom.sharding.step import Task, input_of, rows_of
from tests.sharding.real_steps import RealSteps
from tests.sharding.upper import Upper

pytest.importorskip("submitit", reason="needs the extra slurm: pip install 'seqloom[slurm]'")
EXPECTED = ["A0\nB\n", "A1\nB\n", "BAD\n", "A3\nB\n"]


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlurmLauncher:
    monkeypatch.chdir(tmp_path)
    return SlurmLauncher(WorkerSettings(count=2), "local", look=0.05)


def written(into: Path) -> list[str]:
    return [(folder / "out.txt").read_text() for folder in sorted(into.iterdir())]


def test_each_job_does_several_shards_and_a_job_that_dies_is_told(
    launcher: SlurmLauncher, shards: list[Path], tmp_path: Path
) -> None:
    heard: list[Progress] = []
    step = Upper(trouble="dies once", log=str(tmp_path / "log"))
    inputs = [input_of(Path(path.name)) for path in shards]  # relative, as in a clone
    map_shards(step, inputs, Path("out"), launcher, heard.append)
    assert written(tmp_path / "out") == EXPECTED
    assert len({line.split()[1] for line in (tmp_path / "log").read_text().splitlines()}) == 3
    faults = [each.note for each in heard if "failed" in each.note]
    assert len(faults) == 1
    assert faults[0].startswith("in2.txt failed: its job ")
    assert "scratch/slurm" in faults[0]


def test_an_error_of_a_shard_is_told(launcher: SlurmLauncher, shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"1 shards failed; 3 are done.*\n.*in2\.txt: line 1: is bad"):
        map_shards(Upper(trouble="wrong"), map(input_of, shards), tmp_path / "out", launcher, ignore)


def test_a_node_without_the_folder_is_named(shards: list[Path], tmp_path: Path) -> None:
    task = Task(0, input_of(shards[0]), tmp_path / "out" / "00000", "f")
    (outcome,) = Share(Upper(), [task], str(tmp_path / "nowhere"))()
    assert outcome.final
    assert "nowhere (No such file or directory); all nodes need the clone and its data" in outcome.fault


def test_a_job_that_is_pre_empted_is_queued_again_and_goes_on(
    launcher: SlurmLauncher, shards: list[Path], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    tasks = (Task(number, input_of(path), tmp_path / "out" / str(number), "f") for number, path in enumerate(shards))
    running = launcher.run(Upper(trouble="waits once", log=str(log)), tasks)
    assert next(running).fault == ""
    waiting = worker_of("in2.txt", log)
    os.kill(waiting, signal.SIGUSR2)  # SLURM's signal to a job before it ends
    assert [outcome.fault for outcome in running] == ["", "", ""]
    assert all(rows_of(tmp_path / "out" / str(number), "f") for number in range(4))
    names = [line.split()[0] for line in log.read_text().splitlines()]
    assert sorted(names) == ["in0.txt", "in1.txt", "in2.txt", "in2.txt", "in3.txt"]


def worker_of(name: str, log: Path) -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        if found := [int(process) for shard, process in lines if shard == name]:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no worker began {name}")


@pytest.mark.slow
def test_the_results_are_those_of_one_process(launcher: SlurmLauncher, tmp_path: Path) -> None:
    steps = RealSteps(tmp_path)
    assert steps.hashes("slurm", launcher) == steps.hashes("local", LocalLauncher(1))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit does not wait for the jobs
def test_jobs_are_cancelled_if_the_launcher_is_closed_early(
    launcher: SlurmLauncher, shards: list[Path], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    tasks = (Task(number, input_of(path), tmp_path / "out" / str(number), "f") for number, path in enumerate(shards))
    running = launcher.run(Upper(trouble="waits", log=str(log)), tasks)
    assert next(running).fault == ""
    worker = worker_of("in2.txt", log)
    running.close()  # type: ignore[attr-defined]  # a generator
    end = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has srun, and an sbatch that keeps its script and refuses the job."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text("#!/bin/sh\n")
    (programs / "sbatch").write_text(f"#!/bin/sh\ncp $1 {tmp_path}/job.sh\necho 'invalid account' >&2\nexit 1\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "job.sh"


def test_the_script_for_sbatch_has_the_settings(cluster: Path, shards: list[Path], tmp_path: Path) -> None:
    slurm = SlurmSettings(partition="long", account="mt", extra=["--qos=low", "--exclusive"])
    launcher = SlurmLauncher(WorkerSettings(count=2, cpus=4, gpus=1, memory=16, minutes=90, slurm=slurm))
    with pytest.raises(ShardError, match=r"SLURM refuses the jobs: .*invalid account"):
        map_shards(Upper(), map(input_of, shards), tmp_path / "out", launcher, ignore)
    script = cluster.read_text()
    for line in (
        "--array=0-1%2", "--time=90", "--cpus-per-task=4", "--gpus-per-node=1", "--mem=16GB", "--partition=long",
        "--account=mt", "--qos=low", "--exclusive", "--signal=USR2@120", "--job-name=seqloom",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert "export OMP_NUM_THREADS=1\n" in script


def test_without_slurm_the_error_says_where_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ParamsError, match="no srun: run on a login node"):
        SlurmLauncher(WorkerSettings(launcher="slurm"))
