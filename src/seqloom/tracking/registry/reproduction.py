"""Reproduces a registered model in a new folder from its recorded commit, params and data.

This runs the code of that commit with the current interpreter and its libraries, so reproduce only commits that you
trust. The clone is not changed; data is read from its DVC cache. The stages are those of dvc.yaml at that commit.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from seqloom import telemetry
from seqloom.errors import ReproductionError
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store
from seqloom.tracking.registry.lineage import LOCK, PARAMS, Lineage
from seqloom.tracking.runs.provenance import dvc_hashes

MODEL, LAST, LOCAL = "models/candidate", "evaluate_model", Path("data/local")
# Pulled from DVC's cache if possible; then check_params, which requires the files in data/local, need not run.
FETCHED = {"data/raw": "download_corpus", "data/checked": "check_params"}
_REMOTE = "recorded"
# Computes the fingerprint with the code of that commit; older commits have it in another module.
_IDENTIFY = """
from seqloom.params import load_params
try:
    from seqloom.stages.registration.results import identify, read_results
except ImportError:
    from seqloom.stages.register_model import identify, read_results
print(identify(load_params(), read_results()))
"""


class Compared(NamedTuple):
    """DVC's hashes of an artefact, as recorded and as reproduced."""

    path: str
    recorded: str
    made: str | None

    @property
    def same(self) -> bool:
        """Whether the artefact is reproduced byte for byte."""
        return self.recorded == self.made


class Reproduction(NamedTuple):
    """The result of a reproduction."""

    folder: Path
    artefacts: list[Compared]  # in the order of the stages
    fingerprint: str | None
    recorded_fingerprint: str | None
    differences: list[str]  # of libraries and code from what was recorded

    @property
    def same(self) -> bool:
        """Whether the model is reproduced byte for byte."""
        return any(each.path == MODEL and each.same for each in self.artefacts)


def reproduce(store: Store, wanted: Lineage, root: Path, into: Path, report: Callable[[str], None]) -> Reproduction:
    """Check out the commit into the folder `into`, run its stages up to evaluation, and compare their outputs.

    Data comes from DVC's cache, or is downloaded and prepared again. `report` is called with each message on progress.

    Raises:
        ReproductionError: the commit or files were not recorded or are not available, or a stage fails.
        RegistryError: the store refuses.
    """
    params, lock = (read_artifact(store, wanted.run_id, name) for name in (PARAMS, LOCK))
    if wanted.commit is None or params is None or lock is None or MODEL not in wanted.artefacts:
        missing = "a commit" if wanted.commit is None else f"{PARAMS} or {LOCK} with {MODEL}"
        raise ReproductionError(
            f"{wanted.named}: {missing} was not recorded; only results that `dvc repro` made in a "
            "Git repository can be reproduced"
        )
    _check_out(root, wanted.commit, into)
    (into / PARAMS).write_bytes(params)
    (into / LOCK).write_bytes(lock)
    differences = list(_differences(wanted))
    for difference in differences:
        report(difference)
    environment = _environment(into, wanted.device)
    fetched = _fetch(root, into, environment)
    report(
        "data/raw is the recorded data, from DVC's cache"
        if "download_corpus" in fetched
        else "the data is not in DVC's cache; downloading it again"
    )
    if len(fetched) < len(FETCHED) and (root / LOCAL).is_dir():
        shutil.copytree(root / LOCAL, into / LOCAL, dirs_exist_ok=True)
    stages = [stage for stage in _stages(into) if stage not in fetched]
    report(f"running {', '.join(stages)}")
    _dvc(into, environment, "repro", "--single-item", "--force", "--no-run-cache", *stages)
    made = dvc_hashes(into / LOCK, map(Path, wanted.artefacts))
    compared = [Compared(path, recorded, made.get(path)) for path, recorded in wanted.artefacts.items()]
    after = ("metrics/registration.json",)  # written by a stage that is not run here
    return Reproduction(
        into,
        [each for each in compared if each.path not in after],
        _fingerprint(into, environment),
        wanted.fingerprint,
        differences,
    )


def _check_out(root: Path, commit: str, into: Path) -> None:
    if into.exists() and any(into.iterdir()):
        raise ReproductionError(f"{into}: is not empty; name another folder with --into")
    into.parent.mkdir(parents=True, exist_ok=True)
    for words in (
        ["clone", "--quiet", "--no-checkout", str(root.absolute()), str(into)],
        ["-C", str(into), "checkout", "--quiet", "--detach", commit],
    ):
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "git failed").splitlines()[-1]
            raise ReproductionError(
                f"commit {commit[:12]} cannot be checked out of {root.absolute()}: {reason}; fetch it, and run this in "
                "the clone that has it"
            )


def _differences(wanted: Lineage) -> Iterator[str]:
    if wanted.dirty:
        yield (
            f"code or params had uncommitted changes on top of {str(wanted.commit)[:12]} when this was registered; "
            "they are lost, so different hashes are to be expected"
        )
    for library, recorded in wanted.libraries.items():
        try:
            here = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            here = "not installed"
        if here != recorded and library != "seqloom":  # seqloom itself comes from the commit
            yield f"{library} was {recorded}, here it is {here}"


def _environment(into: Path, device: str | None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "LOCAL_RANK")}
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    environment = {**telemetry.OFF, **environment, "PATH": path, "PYTHONPATH": str((into / "src").absolute())}
    threads = re.match(r"cpu \((\d+) threads\)", device or "")
    # Sums in floating point depend on the number of threads.
    return environment | ({"OMP_NUM_THREADS": threads[1]} if threads else {})


def _fetch(root: Path, into: Path, environment: Mapping[str, str]) -> set[str]:
    """Pull downloaded data from the clone's DVC cache; return the stages that need not run."""
    where = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], cwd=root, env=dict(environment), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    cache = Path(where.stdout.strip() or ".dvc/cache")
    _dvc(into, environment, "remote", "add", "--quiet", "--local", "--force", _REMOTE, str((root / cache).absolute()))
    done = set()
    for place, stage in FETCHED.items():
        pulled = subprocess.run(
            [sys.executable, "-m", "dvc", "pull", "--quiet", "--remote", _REMOTE, place], cwd=into,
            env=dict(environment), capture_output=True, check=False,
        )  # fmt: skip
        if pulled.returncode == 0:
            done.add(stage)
    return done


def _stages(into: Path) -> list[str]:
    """Return the stages up to evaluate_model, in the order of dvc.yaml."""
    try:
        names = list(yaml.safe_load((into / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
        return names[: names.index(LAST) + 1]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ReproductionError(f"{into / 'dvc.yaml'}: has no stage {LAST} at that commit") from error


def _dvc(into: Path, environment: Mapping[str, str], *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=into, env=dict(environment), check=False)
    if done.returncode:
        raise ReproductionError(f"{into}: `dvc {' '.join(words)}` failed (above)")


def _fingerprint(into: Path, environment: Mapping[str, str]) -> str | None:
    command: list[Any] = [sys.executable, "-c", _IDENTIFY]
    done = subprocess.run(command, cwd=into, env=dict(environment), capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None
