"""The stages as dvc.yaml has them: their order, and which of them DVC would run. It runs nothing.

DVC has no public call for the graph. `Repo.index.graph` is the one that its own commands use; this module is the only
place that knows it.
"""

from pathlib import Path
from typing import Any, NamedTuple

import networkx
from dvc.exceptions import DvcException
from dvc.repo import Repo


class Stage(NamedTuple):
    """One stage of dvc.yaml, with what its `meta` tells those who run it."""

    name: str
    timeout_minutes: float | None
    retries: int
    gpu: bool  # it wants one to itself
    journal: bool  # it writes one, which MLflow may have while it grows
    after: frozenset[str]  # the stages that it reads from, directly or not


class Outcome(NamedTuple):
    """What became of a stage: 'run', 'restored' from DVC's cache, or 'up to date'."""

    stage: str
    what: str
    seconds: float


def read_stages(root: Path) -> list[Stage]:
    """Return the stages of `root`/dvc.yaml, each after those that it depends on; ties in the order of the file.

    Raises:
        DvcException: dvc.yaml is missing or wrong.
    """
    with Repo(str(root)) as repo:
        graph = repo.index.graph  # an edge leads from a stage to one that it depends on
        position = {node: place for place, node in enumerate(repo.index.stages)}
        order = networkx.lexicographical_topological_sort(graph.reverse(), key=position.__getitem__)
        return [_stage(node, graph) for node in order]


def _stage(node: Any, graph: Any) -> Stage:
    meta = node.meta or {}
    after = frozenset(other.name for other in networkx.descendants(graph, node))
    wants = meta.get("gpu", False), meta.get("journal", False)
    return Stage(node.name, meta.get("timeout_minutes"), meta.get("retries", 0), *wants, after)


def changed_stages(root: Path) -> set[str] | None:
    """Return the names of the stages that DVC would run, those behind them apart; None where it cannot say now."""
    try:
        with Repo(str(root)) as repo:
            return {name.rpartition(":")[2] for name in repo.status()}
    except DvcException:
        return None  # locked by another command, or a lock file in disorder: `dvc repro` will say so itself


def upstream(root: Path, name: str) -> set[str]:
    """Return the names of a stage and of all that it depends on."""
    return next({name, *stage.after} for stage in read_stages(root) if stage.name == name)


def default_remote(root: Path) -> str | None:
    """Return the name of the remote that `dvc push` would use, or None where there is none."""
    with Repo(str(root)) as repo:
        name: str | None = repo.config["core"].get("remote")
        return name
