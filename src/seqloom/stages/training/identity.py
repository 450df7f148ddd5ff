"""What a training is of: everything that its weights depend on. The same identity, the same bytes.

Its fingerprint names the folder of the run's checkpoints, so that no run goes on from those of another one. Where a run
begins anew beside one that was not finished, `differences` says in words what the two do not share.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import seqloom
from seqloom.params import Params
from seqloom.stages import places
from seqloom.training.device import Placement

# What the weights depend on besides params and data; a change in any of these rooms starts training anew.
ROOMS = ("symbols.py", "text.py", "tokenization", "batching", "models", "training", "decoding", "evaluation/metrics.py")

FILE, FINISHED = "identity.json", "finished"

Identity = Mapping[str, Any]
"""Sections of params.yaml, hashes and versions by name, as JSON has them."""


def identify(params: Params, search: Mapping[str, Any], placement: Placement) -> Identity:
    """Everything that the weights depend on; `search` is how validations decode."""
    package = Path(seqloom.__file__).parent
    data = [places.TOKENS, places.TOKENIZER, places.CORPUS / "valid.tsv", places.PRETRAINED / "manifest.json"]
    libraries = ["sentencepiece"] + ["transformers", "tokenizers"] * (params.model.name == "pretrained")
    return {
        "languages": params.languages.model_dump(mode="json"),
        "tokenizer": params.tokenizer.model_dump(mode="json"),
        "train": params.train.used(),
        "search": dict(search),
        "model": params.model.used(),
        "machine": placement.describe(),
        "libraries": {library: importlib.metadata.version(library) for library in libraries},
        "code": {room: _content(package / room) for room in ROOMS},
        "data": {str(place): _content(place) for place in data},
    }


def fingerprint(identity: Identity) -> str:
    """SHA-256 of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def write_identity(identity: Identity, scratch: Path) -> None:
    """Leave word in the folder of a run of what it is of."""
    places.write_text(scratch / FILE, json.dumps(identity, indent=2) + "\n")


def differences(identity: Identity, scratch: Path) -> list[str]:
    """How this run differs from the newest one beside `scratch` that was not finished; nothing where there is none."""
    begun = [file for file in scratch.parent.glob(f"*/{FILE}") if file.parent != scratch]
    unfinished = [file for file in begun if not (file.parent / FINISHED).exists()]
    if not unfinished:
        return []
    newest = max(unfinished, key=os.path.getmtime)
    try:
        other = json.loads(newest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    mine, theirs = _flat(identity), _flat(other)
    return [
        _told(name, theirs.get(name), mine.get(name)) for name in mine | theirs if theirs.get(name) != mine.get(name)
    ]


def _told(name: str, before: str | None, now: str | None) -> str:
    hashed = name.startswith(("code.", "data."))
    return f"{name.removeprefix('code.').removeprefix('data.')} {'is another' if hashed else f'was {before}, is {now}'}"


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {above + name: json.dumps(value)}
    return flat


def _content(root: Path) -> str:
    """SHA-256 of the names and contents of a file, or of all files of a folder."""
    digest = hashlib.sha256()
    for file in _files(root):
        digest.update(f"\n{file.relative_to(root.parent)} ".encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if file.is_file() and "__pycache__" not in file.parts:
            yield file
