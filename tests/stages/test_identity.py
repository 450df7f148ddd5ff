"""Everything that determines the weights is in the identity of a run; computed here by independent code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from seqloom import places
from seqloom.huggingface import library
from seqloom.import_closure import PACKAGE, closure
from seqloom.params import load_params
from seqloom.stages.training import identity
from seqloom.training.device import Placement

ROOT = Path(__file__).resolve().parents[2]
# A copy of EXEMPT: whoever exempts another module has to change this list, too.
DECIDING = {
    "seqloom.errors", "seqloom.params", "seqloom.plain_yaml", "seqloom.printable", "seqloom.progress",
    "seqloom.settings", "seqloom.stages.console", "seqloom.places", "seqloom.exits", "seqloom.telemetry",
    "seqloom.collector",
}  # fmt: skip
CPU = Placement(torch.device("cpu"), "fp32")

# Imports train_model, records at each import statement which module imports which, except what exempt modules
# import, and prints all modules that were loaded.
LISTENING = """
import builtins, json, sys
usual, heard = builtins.__import__, {}

def listen(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    heard.setdefault(importer, set()).update([name, *(f"{name}.{each}" for each in fromlist or ())])
    return usual(name, globals, locals, fromlist, level)

builtins.__import__ = listen
import seqloom.stages.train_model
exempt = set(sys.argv[1:])
reached, waiting = set(), ["seqloom.stages.train_model"]
while waiting:
    module = waiting.pop()
    if module in reached or module in exempt or not module.startswith("seqloom.") or module not in sys.modules:
        continue
    reached.add(module)
    waiting += heard.get(module, ())
files = {name: sys.modules[name].__file__ for name in reached}
print(json.dumps({"reached": files, "loaded": [name for name in sys.modules if name.startswith("seqloom.")]}))
"""


@pytest.fixture(scope="module")
def heard() -> dict[str, dict[str, str]]:
    command = [sys.executable, "-c", LISTENING, *DECIDING]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def shaping(heard: dict[str, dict[str, str]]) -> list[Path]:
    """Return the files of the recorded modules, relative to the package."""
    files = [Path(file) for file in heard["reached"].values()]
    return sorted(file.relative_to(PACKAGE) for file in files if file.name != "__init__.py")


def test_every_module_that_training_loads_counts(heard: dict[str, dict[str, str]], shaping: list[Path]) -> None:
    counted = {Path(name).relative_to(PACKAGE.name) for name in identity.code()}
    assert set(shaping) - counted == set()
    assert len(shaping) > 50
    # Loaded, but not part of the identity: exempt modules, packages (docstrings only), the settings that params.py
    # combines, and the table of formats that one of them imports.
    named = set(closure(identity.STAGE)) | DECIDING
    others = {name for name in heard["loaded"] if name not in named and (PACKAGE.parent / path_of(name)).is_file()}
    assert {name.rpartition(".")[2] for name in others} == {"settings", "catalogue", "encoding", "pieces"}


def path_of(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def test_a_change_of_any_of_them_makes_another_identity(tmp_path: Path, shaping: list[Path]) -> None:
    copied = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    before = identity.code(copied)
    assert before == identity.code()
    seen = {json.dumps(before)}
    for file in shaping:
        content = (copied / file).read_bytes()
        (copied / file).write_bytes(content + b"\nprint('changed')\n")
        now = identity.code(copied)
        (copied / file).write_bytes(content)
        assert [name for name in now if now[name] != before[name]] == [f"{PACKAGE.name}/{file.as_posix()}"]
        seen.add(json.dumps(now))
    assert len(seen) == len(shaping) + 1
    assert identity.code(copied) == before


def test_a_module_that_training_does_not_need_makes_the_same_identity(tmp_path: Path) -> None:
    copied = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("evaluation/report.py", "tracking/runs/training_run.py", "stages/register_model.py", "places.py"):
        with (copied / name).open("a") as file:
            file.write("\nprint('changed')\n")
    assert identity.code(copied) == identity.code()


def test_libraries_that_compute_count() -> None:
    own = identity.used_libraries(pretrained=False)
    assert own.keys() >= {"python", "numpy", "sacrebleu", "safetensors", "sentencepiece", "torch"}
    assert not own.keys() & {"transformers", "tokenizers", "mlflow", "dvc"}


def test_libraries_of_pretrained_models_count_only_for_such_models() -> None:
    loaded = {
        node.partition('library("')[2].partition('"')[0]
        for file in closure(identity.STAGE).values()
        for node in file.read_text(encoding="utf-8").splitlines()
        if f'{library.__name__}("' in node
    }
    assert loaded == {"transformers"}
    assert loaded <= set(identity.used_libraries(pretrained=True))


def test_dvc_watches_the_same_params_and_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    found = identity.identify(params, CPU)
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["train_model"]
    assert found.keys() - {"machine", "libraries", "code", "data"} == set(stage["params"])
    watched = {Path(dep) for dep in stage["deps"] if not dep.startswith("src/")} - {places.CHECKED}
    hashed = {Path(name) for name in found["data"]}
    assert all(any(name.is_relative_to(dep) for name in hashed) for dep in watched)
    assert all(any(name.is_relative_to(dep) for dep in watched) for name in hashed)


def test_the_identity_has_the_processor_only_if_it_trains() -> None:
    assert identity.machine(CPU)["instructions"] == torch.backends.cpu.get_cpu_capability()
