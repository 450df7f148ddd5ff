"""Everything that determines the weights is in the identity of a run; computed here by independent code."""

import hashlib
import json
import os
import platform
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from seqloom import places
from seqloom.errors import TrainingError
from seqloom.huggingface import library
from seqloom.import_closure import PACKAGE, closure
from seqloom.params import load_params
from seqloom.stages.training import identity
from seqloom.training.device import Placement
from tests.forked import Forked

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
for name in [name for name in sys.modules if name.partition(".")[0] == "seqloom"]:
    del sys.modules[name]
usual, heard = builtins.__import__, {}

def listen(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    heard.setdefault(importer, set()).update([name, *(f"{name}.{each}" for each in fromlist or ())])
    return usual(name, globals, locals, fromlist, level)

builtins.__import__ = listen
import seqloom.stages.train_model
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
    process = Forked(lambda: exec(LISTENING, {"exempt": DECIDING}))
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    found: dict[str, dict[str, str]] = json.loads(printed)
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
    assert {name.rpartition(".")[2] for name in others} == {
        *("settings", "source_settings", "catalogue_settings", "monolingual_settings", "corpora_settings"),
        *("catalogue", "encoding", "pieces", "noise", "plan"),
    }


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
    assert own["python"] == ".".join(platform.python_version().split(".")[:2])
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


@pytest.mark.parametrize("pretrained", [False, True])
def test_libraries_that_others_load_are_named(monkeypatch: pytest.MonkeyPatch, pretrained: bool) -> None:
    monkeypatch.setattr(identity, "libraries", lambda files, also: dict.fromkeys(also, "1"))
    japanese, hugging_face = {"mecab-python3", "ipadic"}, {"transformers", "tokenizers", "sacremoses", "protobuf"}
    assert identity.used_libraries(pretrained=pretrained).keys() - {"python"} == (
        japanese | hugging_face if pretrained else japanese
    )


@pytest.mark.parametrize(("name", "expected"), [("pretrained", True), ("transformer", False), ("lstm", False)])
def test_only_a_pretrained_model_counts_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: bool
) -> None:
    monkeypatch.setattr(identity, "used_libraries", lambda *, pretrained: {"pretrained": pretrained})
    params = load_params(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    params = params.model_copy(update={"model": params.model.model_copy(update={"name": name})})
    assert identity.identify(params, CPU)["libraries"] == {"pretrained": expected}


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


def test_the_kind_of_processor_counts_where_it_computes() -> None:
    assert identity.machine(CPU) == {"device": CPU.summary(), "instructions": torch.backends.cpu.get_cpu_capability()}


def test_the_kind_of_processor_does_not_count_if_a_gpu_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    gpu = Placement(torch.device("cuda"), "bf16")
    assert identity.machine(gpu) == {"device": gpu.summary()}


# The rest uses small trees in place of a whole identity.


def test_a_fingerprint_does_not_depend_on_the_order_of_names() -> None:
    one = identity.fingerprint({"train": {"lr": 1, "seed": 2}, "code": {}})
    assert one == identity.fingerprint({"code": {}, "train": {"seed": 2, "lr": 1}})
    assert one == hashlib.sha256(b'{"code": {}, "train": {"lr": 1, "seed": 2}}').hexdigest()
    assert one != identity.fingerprint({"code": {}, "train": {"seed": 2, "lr": 2}})


def begun(folder: Path, name: str, content: identity.Identity, age: int) -> Path:
    """Write the identity of a run that began `age` seconds ago."""
    run = folder / name
    run.mkdir()
    identity.write_identity(content, run)
    os.utime(run / identity.FILE, (1e9 - age, 1e9 - age))
    return run


def test_an_identity_is_compared_with_the_newest_unfinished_run(tmp_path: Path) -> None:
    own = {"train": {"lr": 1, "seed": 5}, "model": {"width": 8}}
    assert identity.differences(own, tmp_path / "own") == []
    begun(tmp_path, "own", own, 0)
    assert identity.differences(own, tmp_path / "own") == []
    begun(tmp_path, "z older", {"train": {"lr": 3, "seed": 5}, "model": {"width": 8}}, 30)
    newest = begun(tmp_path, "a newer", {"train": {"lr": 2, "seed": 5}, "data": {"d": "0"}}, 20)
    assert identity.differences(own, tmp_path / "own") == [
        "train.lr was 2, is 1", "model.width was not there, is 8", "d changed"
    ]  # fmt: skip
    (newest / identity.FINISHED).touch()
    assert identity.differences(own, tmp_path / "own") == ["train.lr was 3, is 1"]
    (tmp_path / "z older" / identity.FILE).write_text("{")
    assert identity.differences(own, tmp_path / "own") == []
    (tmp_path / "z older" / identity.FILE).unlink()
    (tmp_path / "z older" / identity.FILE).mkdir()  # cannot be read
    assert identity.differences(own, tmp_path / "own") == []


def test_at_most_three_changed_files_are_named(tmp_path: Path) -> None:
    begun(tmp_path, "other", {"train": {"code": 1}, "code": {"a.py": "1", "b.py": "1"}, "data": {"c": "1"}}, 9)
    own = {"train": {"code": 2}, "code": {"a.py": "2", "b.py": "2"}, "data": {"c": "2"}}
    named = ["train.code was 1, is 2", "a.py changed", "b.py changed", "c changed"]
    assert identity.differences(own, tmp_path / "own") == named
    more = own | {"data": {"c": "2", "d": "2", "e": "2"}}
    assert identity.differences(more, tmp_path / "own") == [*named, "2 more files changed"]


def test_inputs_that_change_during_training_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    before = identity.identify(params, CPU)
    identity.check_unchanged(before, params, CPU)  # no params.yaml here: the params are as given
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text, encoding="utf-8")
    identity.check_unchanged(before, params, CPU)
    places.TOKENS.mkdir(parents=True)
    (places.TOKENS / "train").write_text("1")
    with pytest.raises(TrainingError, match=r"trained \(data/tokens changed\), and"):
        identity.check_unchanged(before, params, CPU)
    shutil.rmtree(places.TOKENS)
    seed = params.train.seed
    Path("params.yaml").write_text(text.replace(f"seed: {seed}", f"seed: {seed + 1}"), encoding="utf-8")
    with pytest.raises(TrainingError, match=rf"train\.seed was {seed}, is {seed + 1}"):
        identity.check_unchanged(before, params, CPU)


def test_the_name_and_content_of_every_file_of_the_data_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)

    def tokens() -> str:
        return str(identity.identify(params, CPU)["data"][str(places.TOKENS)])

    seen = [tokens()]
    (places.TOKENS / "train" / "deep").mkdir(parents=True)
    assert tokens() == seen[0]  # folders alone do not count
    file = places.TOKENS / "train" / "deep" / "ids"
    file.write_text("1")
    (places.TOKENS / "meta").write_text("2")
    seen.append(tokens())
    file.write_text("3")
    seen.append(tokens())
    file.rename(file.with_name("offsets"))
    seen.append(tokens())
    file.with_name("offsets").rename(places.TOKENS / "offsets")
    seen.append(tokens())
    assert len(set(seen)) == 5
    (places.TOKENS / "offsets").rename(file)
    file.write_text("1")
    assert tokens() == seen[1]
    shutil.copytree(places.TOKENS, "elsewhere/tokens")  # where a folder is does not count
    monkeypatch.setattr(places, "TOKENS", Path("elsewhere/tokens"))
    assert tokens() == seen[1]


def test_a_single_file_of_the_data_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    manifest = places.PRETRAINED / "manifest.json"
    before = identity.identify(params, CPU)["data"]
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    after = identity.identify(params, CPU)["data"]
    assert {name for name in after if after[name] != before[name]} == {str(manifest)}
