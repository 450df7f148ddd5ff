"""The checks that depend on the machine; tests/test_params.py tests the validation of params.yaml itself."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.errors import ParamsError
from seqloom.params import Params, parse_params
from seqloom.places import CHECKED
from seqloom.progress import ignore
from seqloom.stages import check_params
from tests.records import merge, tree


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data/local").mkdir(parents=True)
    return tmp_path


def params(**changes: Any) -> Params:
    content = tree()
    content["train"]["lr"] = float(content["train"]["lr"])
    content["corpora"] |= changes.pop("corpora", {})
    merge(content, changes)
    return parse_params(json.dumps(content))


def faults(**changes: Any) -> list[str]:
    with pytest.raises(ParamsError) as raised:
        check_params.run(params(**changes), ignore)
    assert not CHECKED.exists()
    return str(raised.value).splitlines()


def test_the_output_never_changes() -> None:
    check_params.run(params(), ignore)
    written = CHECKED.read_bytes()
    check_params.run(params(train={"seed": 7}, register={"label": "other"}), ignore)
    assert CHECKED.read_bytes() == written


def test_the_error_lists_every_missing_file(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"kind": "file", "path": "data/local/x.{lang}", "format": "moses"}
    vectors = {"source": "data/local/en.vec", "target": "data/local/de.vec"}
    Path("data/local/en.vec").touch()
    Path("data/local/x.en").touch()
    assert faults(corpora={"mine": mine}, model={"embeddings": vectors}) == [
        "params.yaml: mine: file not found: data/local/x.de (the other one, data/local/x.en, exists); "
        "see corpora.mine.path",
        "params.yaml: model.embeddings.target: there is no file data/local/de.vec; put the vectors there",
    ]
    Path("data/local/x.de").touch()
    Path("data/local/de.vec").touch()
    check_params.run(params(corpora={"mine": mine}, model={"embeddings": vectors}), ignore)


@pytest.mark.parametrize(
    ("pretrained", "libraries"),
    [
        ({"source": "data/local/base"}, ["transformers"]),
        ({"source": "owner/name", "revision": "0" * 40}, ["transformers", "huggingface_hub"]),
    ],
)
def test_a_pretrained_model_needs_its_libraries_and_its_folder(
    pretrained: dict[str, str], libraries: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = check_params.find_spec
    monkeypatch.setattr(check_params, "find_spec", lambda name: None if name in libraries else find(name))
    messages = faults(model={"name": "pretrained", "pretrained": pretrained})
    absent = [f"model.name: pretrained needs the library {name}, which is not installed" for name in libraries]
    missing = ["there is no folder data/local/base; put the model there"] * ("revision" not in pretrained)
    assert len(messages) == len(absent + missing)
    assert all(part in line for part, line in zip(absent + missing, messages, strict=True))


@pytest.mark.parametrize(
    ("train", "gpus", "message"),
    [
        ({"device": "cuda"}, 0, "train.device is 'cuda', but torch finds no GPU here"),
        ({"device": "cuda", "processes": 4}, 2, "train.processes is 4, but there are 2 GPUs here"),
        ({"device": "auto", "processes": 4}, 2, "train.processes is 4, but there are 2 GPUs here"),
        ({"device": "auto", "processes": 4}, 0, None),
        ({"device": "auto", "processes": 2}, 2, None),
        ({"device": "cpu", "processes": 4}, 2, None),
    ],
)
def test_requested_gpus_must_exist(
    train: dict[str, Any], gpus: int, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    if message is None:
        check_params.run(params(train=train), ignore)
    else:
        (line,) = faults(train=train)
        assert message in line


def test_gpus_of_other_machines_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQLOOM_TRAIN_LAUNCHER", "sbatch --wait train")
    check_params.run(params(train={"device": "cuda", "processes": 16}), ignore)


def test_heavy_libraries_are_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for heavy in ("torch", "mlflow", "seqloom.training.device"):
        monkeypatch.setitem(sys.modules, heavy, None)  # importing it raises
    check_params.run(params(), ignore)
