"""Score all training pairs with the models of the settings, one after another; workers read shards of pairs."""

import logging
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.splits import SplitWriter, read_split
from seqloom.files import replacing_folder
from seqloom.filtering.cross_entropy import ENTROPIES, CrossEntropyShard
from seqloom.filtering.scores import Numbers
from seqloom.languages import Direction
from seqloom.progress import Listener
from seqloom.sharding.manifest import shard_name
from seqloom.sharding.mapping import Workshop, map_shards
from seqloom.sharding.step import input_of

SHARD = 8192
"""Pairs of a shard."""
_logger = logging.getLogger(__name__)


class Entropies(NamedTuple):
    """Direction and corpus of each pair, (pairs,), and the cross-entropies (pairs,) by the role of the model."""

    directions: NDArray[np.str_]
    corpora: NDArray[np.str_]
    by_role: dict[str, Numbers]


def score_pairs(
    split: Path, models: Mapping[str, Path], directions: list[Direction], workshop: Workshop, listen: Listener
) -> Entropies:
    """Return the cross-entropies of the pairs of a split by each model.

    Args:
        split: the file of the pairs.
        models: the model folders by role; that of the role `backward` reads the pairs in reverse.
        directions: the directions of the pairs.
        workshop: scratch folder and workers.
        listen: receives the progress in shards.

    Raises:
        ModelError: a model cannot be loaded, or does not translate in one of the directions.
        ShardError: some shards cannot be scored; the others stay done.
    """
    directions_of, corpora = _columns((pair.direction, pair.corpus) for pair in read_split(split))
    with replacing_folder(workshop.scratch / "pairs") as folder:
        names = _write_shards(split, folder)
    inputs = [input_of(workshop.scratch / "pairs" / name) for name in names]
    by_role: dict[str, Numbers] = {}
    for role, model in models.items():
        step = CrossEntropyShard(model, tuple(directions), role == "backward", workshop.device)
        began = time.perf_counter()
        results = map_shards(step, inputs, workshop.scratch / role, workshop.launcher, listen, len(inputs))
        took = time.perf_counter() - began
        found = [np.load(result.folder / ENTROPIES, allow_pickle=False) for result in results]
        by_role[role] = np.concatenate(found).astype(np.float64)
        pairs = len(corpora)
        _logger.info(f"{role}: {pairs:,} pairs in {took:,.0f} s, a million take {took / pairs * 1e6:,.0f} s")
    return Entropies(directions_of, corpora, by_role)


def _columns(rows: Iterable[tuple[str, str]]) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return two columns as arrays. Of the rows, only the distinct ones and their numbers are held."""
    known: dict[tuple[str, str], int] = {}
    numbers = np.fromiter((known.setdefault(row, len(known)) for row in rows), np.uint32)
    first, second = np.array(list(known)).reshape(-1, 2).T
    return first[numbers], second[numbers]


def _write_shards(split: Path, folder: Path) -> list[str]:
    """Write the pairs of a split to files of `SHARD` pairs; return their names in order."""
    names: list[str] = []
    waiting = read_split(split)
    while pairs := list(islice(waiting, SHARD)):
        names.append(shard_name(len(names), "tsv"))
        with SplitWriter(folder / names[-1]) as writer:
            for pair in pairs:
                writer.write(pair)
    return names
