"""Copying a pretrained model from data/local."""

import hashlib
import io
import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqloom.errors import ModelError, ParamsError, SourceError
from seqloom.params import Params
from seqloom.places import PRETRAINED
from seqloom.progress import ignore
from seqloom.stages import download_pretrained
from tests.stages.pretrained_files import COMMIT, FILES, TAKEN, WEIGHTS, lying, params

pytestmark = pytest.mark.usefixtures("empty_project")


def local_model(files: dict[str, bytes]) -> Params:
    folder = Path("data/local/base")
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return params(pretrained={"source": "data/local/base"})


def test_without_anything_to_fetch_the_manifest_does_not_depend_on_data_local() -> None:
    download_pretrained.run(params("transformer"), ignore)
    before = (PRETRAINED / "manifest.json").read_bytes()
    Path("data/local/pairs.tsv").write_text("one\teins\n")
    download_pretrained.run(params("lstm", pretrained={"source": "data/local/nothing"}), ignore)
    assert lying() == ["manifest.json"]
    assert (PRETRAINED / "manifest.json").read_bytes() == before


def test_only_data_is_copied_from_a_folder() -> None:
    download_pretrained.run(local_model(FILES), ignore)
    assert lying() == sorted(["manifest.json", *(f"model/{name}" for name in TAKEN)])
    for name in TAKEN:
        assert (PRETRAINED / "model" / name).read_bytes() == FILES[name]
    manifest = json.loads((PRETRAINED / "manifest.json").read_text())
    assert [file["path"] for file in manifest["model"]["files"]] == TAKEN
    assert manifest["model"]["files"][2]["sha256"] == hashlib.sha256(b"pieces").hexdigest()


def test_pickled_weights_are_stored_as_safetensors_if_there_are_no_others() -> None:
    Path("data/local/base").mkdir()
    shared = torch.arange(6.0).view(3, 2)
    torch.save({"shared.weight": shared, "lm_head.weight": shared}, "data/local/base/pytorch_model.bin")
    download_pretrained.run(local_model({"config.json": b"{}"}), ignore)
    assert lying() == ["manifest.json", "model/config.json", "model/model.safetensors"]
    stored = load_file(PRETRAINED / "model" / "model.safetensors")
    assert stored.keys() == WEIGHTS.keys()
    assert all(torch.equal(stored[name], shared) for name in stored)


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


class Stranger:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch data/local/run-by-a-stranger",)


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (saved(Stranger()), "must contain tensors only"),
        (b"no pickle at all", "must contain tensors only"),
        (saved({"a": torch.zeros(3)})[:-60], "must contain tensors only"),
        (pickle.dumps(Stranger(), protocol=0), "must contain tensors only"),
        (b"\x80\x02}q\x00K\x01K\x02s.", "must contain tensors by name|must contain tensors only"),
        (b"", "must contain tensors only"),
        (saved({"a": "text"}), "must contain tensors by name"),
    ],
    ids=["code", "noise", "truncated", "old code", "numbers", "empty", "text"],
)
def test_a_pickle_of_other_objects_is_refused_and_never_run(pickled: bytes, message: str) -> None:
    download_pretrained.run(params("transformer"), ignore)
    given = local_model({"config.json": b"{}", "pytorch_model.bin": pickled})
    with pytest.raises(SourceError, match=message):
        download_pretrained.run(given, ignore)
    assert not Path("data/local/run-by-a-stranger").exists()
    assert [path.name for path in PRETRAINED.iterdir()] == ["manifest.json"]


def test_shards_are_copied_with_their_index() -> None:
    names = ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    names += ["model.safetensors.index.json", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"]
    assert download_pretrained.choose(names) == names[:4]
    assert download_pretrained.choose([names[0], *names[4:]]) == [names[0], names[5]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"has no config\.json"),
        ({"config.json": b"{}", "tf_model.h5": b""}, r"has no model\.safetensors and no pytorch_model\.bin"),
    ],
)
def test_the_error_says_what_a_model_folder_lacks(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        download_pretrained.run(local_model(files), ignore)


def test_missing_files_are_named() -> None:
    with pytest.raises(SourceError, match="there is no folder data/local/base"):
        download_pretrained.run(params(pretrained={"source": "data/local/base"}), ignore)
    with pytest.raises(SourceError, match=r"there is no file data/local/words\.vec"):
        download_pretrained.run(params("lstm", embeddings={"source": "data/local/words.vec"}), ignore)


def test_vectors_are_stored_by_side() -> None:
    Path("data/local/en.vec").write_text("1 2\na 1 2\n")
    download_pretrained.run(params("transformer", embeddings={"target": "data/local/en.vec"}), ignore)
    assert lying() == ["embeddings/target", "manifest.json"]
    assert json.loads((PRETRAINED / "manifest.json").read_text())["embeddings"] == {
        "target": {"source": "data/local/en.vec", "sha256": hashlib.sha256(b"1 2\na 1 2\n").hexdigest()}
    }


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"pretrained": {"source": "owner/model"}}, r"pretrained\.revision: source .* must be a commit of 40"),
        (
            {"pretrained": {"source": "owner/model", "revision": "main"}},
            r"pretrained\.revision: source .* must be a commit of 40",
        ),
        ({"pretrained": {"source": "data/local/base", "revision": COMMIT}}, "a folder, which has no revision"),
        ({"pretrained": {"source": "data/local/../base"}}, "neither a folder below data/local nor a hub id"),
        ({"pretrained": {"source": "/elsewhere/base"}}, "neither a folder below data/local nor a hub id"),
        ({"embeddings": {"source": "elsewhere/words.vec"}}, "must be a path below data/local"),
        ({"embeddings": {"frozen_steps": 5}}, "no file of word vectors is set"),
    ],
)
def test_files_that_dvc_does_not_watch_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        params("transformer", **section)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    given = local_model(FILES)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"transformers, which is not installed; pip install 'seqloom\[hf\]'"):
        download_pretrained.run(given, ignore)
