"""Stage download_pretrained: all that training starts from into models/pretrained, with a manifest of what lies there.

`model/` is a Hugging Face folder (description, weights, tokenizer), `embeddings/` has a file of vectors per side, and
`start/` is the model folder of the registered version that `train.start` names. Where params.yaml names none of them,
the manifest is all there is, so that the stages after this one do not change with data/local. What is fetched stays in
scratch/downloads too: DVC empties models/pretrained before the stage runs.

Only data is taken, never code. Weights are stored as safetensors; a pickle is read as tensors and nothing else.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from seqloom.corpus.sources.download_cache import copy, remove, sha256_of
from seqloom.errors import RegistryError, SourceError
from seqloom.huggingface import library
from seqloom.models.hub import fetch_snapshot
from seqloom.params import Params
from seqloom.progress import Listener
from seqloom.stages.places import PRETRAINED, SCRATCH

if TYPE_CHECKING:  # seconds to import, and needed for pickles alone
    import torch

_SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
_PICKLES = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_VOCABULARIES = (".json", ".model", ".spm", ".txt")  # and descriptions
_NEEDED = "config.json"
_VERSION = ("model.json", "model.safetensors", "config.json", "languages.json")  # and the folder of the tokenizer


def run(params: Params, listen: Listener) -> None:
    """Copy or fetch what params.yaml names; models/pretrained changes only when all of it is there.

    Raises:
        SourceError: something is missing or not what it should be; `OfflineError` where the hub cannot be reached.
        ModelError: Hugging Face's libraries are needed and not installed.
        RegistryError: the version that `train.start` names cannot be had.
    """
    model, embeddings = params.model.pretrained, params.model.embeddings
    manifest: dict[str, Any] = {"model": None, "embeddings": {}}
    PRETRAINED.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".part-", dir=PRETRAINED) as name:
        new = Path(name)
        if params.model.name == "pretrained" and model.source is not None:
            library("transformers")  # what the stages after this one need
            take_model(_folder(model.source, model.revision, listen), new / "model", listen)
            manifest["model"] = {"source": model.source, "revision": model.revision, "files": _files(new / "model")}
        for side, file in embeddings.files.items():
            take_vectors(Path(file), new / "embeddings" / side, listen)
            manifest["embeddings"][side] = {"source": file, "sha256": sha256_of(new / "embeddings" / side)}
        if params.train.start is not None:
            take_version(params.train.start, new / "start", listen)
            manifest["start"] = {"version": params.train.start, "files": _files(new / "start")}
        (new / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for old in PRETRAINED.iterdir():
            if old != new:
                remove(old)
        for path in sorted(new.iterdir()):
            path.replace(PRETRAINED / path.name)


def _folder(source: str, revision: str | None, listen: Listener) -> Path:
    if revision is not None:
        return fetch_snapshot(source, revision, SCRATCH / "downloads" / "huggingface", choose, listen)
    if not Path(source).is_dir():
        raise SourceError(f"model.pretrained.source: there is no folder {source}; put the model there")
    return Path(source)


def choose(names: Iterable[str]) -> list[str]:
    """The files that make a model, of those in its folder: pickled weights only where there are no others.

    Raises:
        SourceError: there is no description of the model, or no weights.
    """
    names = sorted(names)
    data = [name for name in names if name.endswith(_VOCABULARIES) and not name.endswith(".index.json")]
    weights = [name for name in names if _SAFETENSORS.fullmatch(name)]
    weights = weights or [name for name in names if _PICKLES.fullmatch(name)]
    for missing, there in ((_NEEDED, _NEEDED in data), ("model.safetensors and no pytorch_model.bin", bool(weights))):
        if not there:
            raise SourceError(f"model.pretrained.source is no folder of a Hugging Face model: it has no {missing}")
    return [*data, *weights]


def take_model(folder: Path, into: Path, listen: Listener) -> None:
    """Copy a model's files into the folder `into`, which is made, its weights as safetensors.

    Raises:
        SourceError: the folder is not one of a model, or its weights are not tensors alone.
    """
    into.mkdir(parents=True)
    pickles = []
    for name in choose(path.name for path in folder.iterdir() if path.is_file()):
        if _PICKLES.fullmatch(name):
            pickles.append(folder / name)
        else:
            copy(folder / name, into / name, "copy the pretrained model", listen)
    if pickles:
        from safetensors.torch import save_file

        save_file(_tensors(pickles), into / "model.safetensors", metadata={"format": "pt"})


def _tensors(pickles: list[Path]) -> "dict[str, torch.Tensor]":
    import torch

    tensors: dict[str, torch.Tensor] = {}
    for file in pickles:
        try:
            read = torch.load(file, map_location="cpu", weights_only=True)
        except OSError as error:
            raise SourceError(f"{file}: cannot be read: {error.strerror or error}") from error
        except Exception as error:  # damaged bytes raise nearly any error there is
            raise SourceError(f"{file}: is no file of tensors alone, and is read as nothing else") from error
        if not isinstance(read, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in read.values()):
            raise SourceError(f"{file}: holds something else than tensors by name")
        tensors |= {str(name): tensor.contiguous().clone() for name, tensor in read.items()}  # no two share memory
    return tensors


def take_vectors(file: Path, into: Path, listen: Listener) -> None:
    """Copy a file of vectors. Raises `SourceError` where there is none."""
    if not file.is_file():
        raise SourceError(f"model.embeddings: there is no file {file}; put the vectors there")
    into.parent.mkdir(parents=True, exist_ok=True)
    copy(file, into, f"copy {file.name}", listen)


def take_version(version: str, into: Path, listen: Listener) -> None:
    """Copy the network, tokenizer and languages of a registered version into the folder `into`, which is made.

    Raises:
        RegistryError: there is no such version, its files are gone, or the registry cannot be asked.
    """
    from seqloom.tracking.store import connect  # and with it MLflow, which others need not wait for
    from seqloom.tracking.versions import fetch, parse

    try:
        folder = fetch(connect(Path.cwd(), create=False), parse(version))
    except RegistryError as error:
        raise RegistryError(f"train.start: {error}") from error
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and (name.parts[0] == "tokenizer" or str(name) in _VERSION):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            copy(path, into / name, "copy the model to start from", listen)


def _files(folder: Path) -> list[dict[str, Any]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        {"path": path.relative_to(folder).as_posix(), "sha256": sha256_of(path), "bytes": path.stat().st_size}
        for path in paths
    ]
