"""The identity of a training run: every input that determines its weights. The same identity gives the same bytes.

Its fingerprint is the name of the run's folder in scratch, so no run resumes from the checkpoints of another. If there
is an unfinished run with another identity, `differences` describes how the two differ.
"""

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from seqloom import places
from seqloom.errors import TrainingError
from seqloom.files import flatten, sha256_of, write_json
from seqloom.import_closure import PACKAGE, closure, libraries
from seqloom.params import PARAMS_FILE, Params, load_params
from seqloom.training.device import Placement

STAGE = "seqloom.stages.train_model"
FILE, FINISHED = "identity.json", "finished"
MOST_NAMED = 3  # changed files that a message lists

# Libraries that affect the weights although our code does not import them: `huggingface.library` loads Hugging Face's,
# and sacreBLEU uses the last two for Japanese if they are installed.
_PRETRAINED = ("transformers", "tokenizers", "sacremoses", "protobuf")
_JAPANESE = ("mecab-python3", "ipadic")

Identity = Mapping[str, Any]
"""Sections of params.yaml, hashes and versions by name, as plain JSON data."""


def identify(params: Params, placement: Placement) -> Identity:
    """Return the sections of params.yaml, code, libraries, data and machine that determine the weights."""
    data = [places.TOKENS, places.TOKENIZER, places.CORPUS / "valid.tsv", places.PRETRAINED / "manifest.json"]
    return {
        "languages": params.languages.model_dump(mode="json"),
        "tokenizer": params.tokenizer.model_dump(mode="json"),
        "train": params.train.used(),
        "model": params.model.used(),
        "machine": machine(placement),
        "libraries": used_libraries(pretrained=params.model.name == "pretrained"),
        "code": code(),
        "data": {str(place): _content(place) for place in data},
    }


def code(package: Path = PACKAGE) -> dict[str, str]:
    """Return the SHA-256 of every source file that train_model needs, by its path from the package's parent folder."""
    files = sorted(closure(STAGE, package).values())
    return {file.relative_to(package.parent).as_posix(): sha256_of(file) for file in files}


def used_libraries(*, pretrained: bool) -> dict[str, str]:
    """Return the versions of Python and of the libraries that train_model uses."""
    also = _JAPANESE + _PRETRAINED * pretrained
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **libraries(closure(STAGE).values(), also)}


def machine(placement: Placement) -> dict[str, str]:
    """Return the device and, if that is a CPU, the instruction set that torch chose its kernels for."""
    described = {"device": placement.summary()}
    if placement.device.type == "cpu":
        described["instructions"] = torch.backends.cpu.get_cpu_capability()
    return described


def fingerprint(identity: Identity) -> str:
    """Return the SHA-256 of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def write_identity(identity: Identity, scratch: Path) -> None:
    """Write identity.json into the run's folder."""
    write_json(scratch / FILE, identity)


def differences(identity: Identity, scratch: Path) -> list[str]:
    """Return how this run differs from the newest unfinished run next to `scratch`; empty if there is none."""
    begun = [file for file in scratch.parent.glob(f"*/{FILE}") if file.parent != scratch]
    unfinished = [file for file in begun if not (file.parent / FINISHED).exists()]
    if not unfinished:
        return []
    newest = max(unfinished, key=os.path.getmtime)
    try:
        other = json.loads(newest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return _differences(theirs=other, mine=identity)


def check_unchanged(identity: Identity, params: Params, placement: Placement) -> None:
    """Check that the inputs on the disk are still those that training started from.

    DVC hashes a stage's dependencies after the stage has ended, so it would record an edit made during training as an
    input of the result.

    Raises:
        TrainingError: an input changed.
        ParamsError: params.yaml is no longer valid.
    """
    now = load_params() if PARAMS_FILE.is_file() else params
    if changed := _differences(theirs=identity, mine=identify(now, placement)):
        raise TrainingError(
            f"inputs changed while the model was trained ({'; '.join(changed)}), and DVC would record the new ones as "
            "those of this result. Undo the change and run again to keep the result, which takes seconds; or run again "
            "to train with the change"
        )


def _differences(*, theirs: Identity, mine: Identity) -> list[str]:
    """Return the differences of two identities as text."""
    values, hashed = compare(theirs, mine)
    found = [f"{name} was {old}, is {new}" for name, old, new in values]
    found += [f"{name} changed" for name in hashed[:MOST_NAMED]]
    if len(hashed) > MOST_NAMED:
        found.append(f"{len(hashed) - MOST_NAMED} more files changed")
    return found


def compare(one: Identity, other: Identity) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return the values that differ in two identities, each as name, one and the other, and the files that differ."""
    first, second = _shown(one), _shown(other)
    different = [name for name in second | first if first.get(name) != second.get(name)]
    hashed = [name.partition(".")[2] for name in different if name.startswith(("code.", "data."))]
    values = [name for name in different if not name.startswith(("code.", "data."))]
    return [(name, first.get(name, "not there"), second.get(name, "not there")) for name in values], hashed


def _shown(tree: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in flatten(tree).items()}


def _content(root: Path) -> str:
    """Return the SHA-256 of the name and content of a file, or of all files in a folder."""
    digest = hashlib.sha256()
    for file in _files(root):
        digest.update(f"\n{file.relative_to(root.parent)} ".encode())
        digest.update(bytes.fromhex(sha256_of(file)))
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if file.is_file():
            yield file
