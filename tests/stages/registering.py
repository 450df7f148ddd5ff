"""What tests of register_model look at and replace."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqloom import places
from seqloom.corpus.splits import Pair, SplitWriter, read_split
from seqloom.export.folder import write_export
from seqloom.languages import Direction
from seqloom.symbols import SPECIAL_IDS
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.registry.versions import Reference, Version, list_versions

MODEL = Reference("seqloom-en-de")

DE, FR = Direction("en", "de"), Direction("en", "fr")


def registered(workspace: Path) -> dict[str, Version]:
    return {version.version: version for version in list_versions(connect(workspace, create=False), MODEL)}


def logged_runs(store: Store) -> list[Any]:
    experiment = store.client.get_experiment_by_name("seqloom")
    return [] if experiment is None else list(store.client.search_runs([experiment.experiment_id]))


def teach(pairs: Sequence[Pair]) -> None:
    """Put pairs into the training split."""
    before = list(read_split(places.CORPUS / "train.tsv"))
    (places.CORPUS / "train.tsv").unlink()
    with SplitWriter(places.CORPUS / "train.tsv") as file:
        for pair in [*before, *pairs]:
            file.write(pair)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def export_candidate(bleu: float) -> None:
    """Write what export_model would, with a made-up score of the export."""
    write_export(places.CANDIDATE, SPECIAL_IDS, "int8", places.EXPORT / "int8")
    quality = {"int8": {"scores": {"bleu": bleu, "chrf": 40.0}, "placeholders": 1.0}}
    places.EXPORT_METRICS.write_text(json.dumps({"exported": True, "reason": None, "quality": quality}))
