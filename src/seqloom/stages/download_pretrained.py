"""download_pretrained: put everything that training starts from into models/pretrained, with a manifest of the files.

`model/` is a Hugging Face model folder (configuration, weights, tokenizer), `embeddings/` has a file of word vectors
per side, and `start/` is the model folder of the registered version in `train.start`. If params.yaml names none of
them, only the manifest is written, so that later stages do not depend on data/local. Downloads are also kept in
scratch/downloads, because DVC empties models/pretrained before the stage runs.

Only data is copied, never code. Weights are stored as safetensors; a pickle is read as tensors only.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from seqloom.corpus.sources.download_cache import copy, remove
from seqloom.errors import RegistryError, SourceError
from seqloom.files import sha256_of
from seqloom.huggingface import library
from seqloom.models.hub import fetch_snapshot
from seqloom.params import Params
from seqloom.places import PRETRAINED, SCRATCH
from seqloom.progress import Listener

if TYPE_CHECKING:  # takes seconds to import, and is needed for pickles only
    import torch

_SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
_PICKLES = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_VOCABULARIES = (".json", ".model", ".spm", ".txt")  # and configurations
_NEEDED = "config.json"
_VERSION = ("model.json", "model.safetensors", "config.json", "languages.json")  # besides the folder of the tokenizer


def run(params: Params, listen: Listener) -> None:
    """Copy or fetch what params.yaml names; models/pretrained changes only after all of it is complete.

    Raises:
        SourceError: a file is missing or invalid; `OfflineError` if the hub cannot be reached.
        ModelError: Hugging Face's libraries are needed but not installed.
        RegistryError: the version in `train.start` cannot be fetched.
    """
    model, embeddings = params.model.pretrained, params.model.embeddings
    manifest: dict[str, Any] = {"model": None, "embeddings": {}}
    PRETRAINED.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".part-", dir=PRETRAINED) as name:
        new = Path(name)
        if params.model.name == "pretrained" and model.source is not None:
            library("transformers")  # later stages need it
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
    """Return the names of the files to copy; pickled weights only if there are no others.

    Raises:
        SourceError: there is no configuration or there are no weights.
    """
    names = sorted(names)
    data = [name for name in names if name.endswith(_VOCABULARIES) and not name.endswith(".index.json")]
    weights = [name for name in names if _SAFETENSORS.fullmatch(name)]
    weights = weights or [name for name in names if _PICKLES.fullmatch(name)]
    for missing, there in ((_NEEDED, _NEEDED in data), ("model.safetensors and no pytorch_model.bin", bool(weights))):
        if not there:
            raise SourceError(f"model.pretrained.source is not the folder of a Hugging Face model: it has no {missing}")
    return [*data, *weights]


def take_model(folder: Path, into: Path, listen: Listener) -> None:
    """Copy a model's files into the new folder `into`, with its weights as safetensors.

    Raises:
        SourceError: the folder is not that of a model, or a file of weights has anything but tensors.
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
        except Exception as error:  # damaged files raise almost any type of error
            raise SourceError(f"{file}: must contain tensors only; it is damaged or contains other objects") from error
        if not isinstance(read, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in read.values()):
            raise SourceError(f"{file}: must contain tensors by name")
        # Cloned, because safetensors refuses shared memory.
        tensors |= {str(name): tensor.contiguous().clone() for name, tensor in read.items()}
    return tensors


def take_vectors(file: Path, into: Path, listen: Listener) -> None:
    """Copy a file of word vectors.

    Raises:
        SourceError: the file does not exist.
    """
    if not file.is_file():
        raise SourceError(f"model.embeddings: there is no file {file}; put the vectors there")
    into.parent.mkdir(parents=True, exist_ok=True)
    copy(file, into, f"copy {file.name}", listen)


def take_version(version: str, into: Path, listen: Listener) -> None:
    """Copy the network, tokenizer and languages of a registered version into the new folder `into`.

    Raises:
        RegistryError: there is no such version, its files are missing, or the registry cannot be reached.
    """
    from seqloom.tracking.client.store import connect  # and with it MLflow, which others need not wait for
    from seqloom.tracking.registry.versions import fetch_model, parse_reference

    try:
        folder = fetch_model(connect(Path.cwd(), create=False), parse_reference(version))
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
