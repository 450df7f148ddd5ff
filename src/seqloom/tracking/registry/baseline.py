"""The data of the last registered version, as its run keeps them in metrics/corpus.json. It compares nothing."""

import json
from typing import Any, NamedTuple

from seqloom.errors import RegistryError
from seqloom.tracking.client.names import CANDIDATE
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store
from seqloom.tracking.registry.versions import Reference, versions

_ARTIFACT = "metrics/corpus.json"


class Baseline(NamedTuple):
    """A version, as `models:/NAME/NUMBER`, and what its corpus counts."""

    version: str
    corpus: dict[str, Any]


def last_registered(store: Store, name: str) -> Baseline | None:
    """The version with the alias `candidate`, or None where there is none yet.

    Raises:
        RegistryError: its run has no such artifact, or the registry refuses.
    """
    found = versions(store, Reference(name, alias=CANDIDATE))
    if not found:
        return None
    version = f"models:/{name}/{found[0].version}"
    content = read_artifact(store, found[0].run_id, _ARTIFACT) if found[0].run_id else None
    try:
        corpus = json.loads(content) if content is not None else None
    except ValueError:
        corpus = None
    if not isinstance(corpus, dict):
        raise RegistryError(
            f"{version}: its run has no {_ARTIFACT} to compare with; `make run` registers the model of this folder anew"
        )
    return Baseline(version, corpus)
