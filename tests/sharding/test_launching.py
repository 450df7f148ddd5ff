import sys

import pytest
from pydantic import ValidationError

from seqloom.errors import ParamsError
from seqloom.sharding.launching import choose_launcher
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.settings import SlurmSettings, WorkerSettings


def workers_of(launcher: object) -> int:
    assert isinstance(launcher, LocalLauncher)
    return launcher._workers


def test_the_environment_overrides_the_settings() -> None:
    settings = WorkerSettings(count=3)
    assert workers_of(choose_launcher(settings, {})) == 3
    assert workers_of(choose_launcher(settings, {"SEQLOOM_WORKERS": "5"})) == 5
    assert workers_of(choose_launcher(WorkerSettings(launcher="ray"), {"SEQLOOM_LAUNCHER": "local"})) >= 1


def test_by_default_there_are_as_many_workers_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqloom.sharding.launching.cores", lambda: 8)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 16 * 10**9 // 4096}[name])
    assert workers_of(choose_launcher(WorkerSettings(), {})) == 8
    assert workers_of(choose_launcher(WorkerSettings(cpus=3), {})) == 2
    assert workers_of(choose_launcher(WorkerSettings(memory=4.5), {})) == 3
    assert workers_of(choose_launcher(WorkerSettings(memory=100), {})) == 1


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SEQLOOM_LAUNCHER", "dask", "SEQLOOM_LAUNCHER is 'dask'; valid are local, ray, slurm"),
        ("SEQLOOM_WORKERS", "many", "SEQLOOM_WORKERS is 'many'; it must be a whole number of workers, at least 1"),
        ("SEQLOOM_WORKERS", "0", "SEQLOOM_WORKERS is '0'"),
    ],
)
def test_a_variable_that_is_not_valid_is_an_error(variable: str, value: str, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        choose_launcher(WorkerSettings(), {variable: value})


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("ray", "ray", r"seqloom\[ray\]"), ("slurm", "submitit", r"seqloom\[slurm\]")]
)
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, name: str, library: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    for variable in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(variable, "")  # so that the test leaves none behind
    with pytest.raises(ParamsError, match=rf"workers.launcher is {name}, but the library {library} .* '{extra}'"):
        choose_launcher(WorkerSettings(), {"SEQLOOM_LAUNCHER": name})


def test_options_of_sbatch_are_checked() -> None:
    assert SlurmSettings(extra=["--qos=long", "--exclusive"]).extra == ["--qos=long", "--exclusive"]
    with pytest.raises(ValidationError, match="valid are options of sbatch such as --qos=long"):
        SlurmSettings(extra=["qos long"])


@pytest.mark.parametrize(
    ("device", "there", "expected"), [("auto", True, 1), ("cuda", False, 1), ("auto", False, 8), ("cpu", True, 8)]
)
def test_a_model_on_a_gpu_gets_one_local_worker(
    monkeypatch: pytest.MonkeyPatch, device: str, there: bool, expected: int
) -> None:
    monkeypatch.setattr("seqloom.sharding.launching.cores", lambda: 8)
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert workers_of(choose_launcher(WorkerSettings(), {}, device=device)) == expected
    assert workers_of(choose_launcher(WorkerSettings(count=3), {}, device=device)) == 3
