"""The stages of dvc.yaml: their order, and which of them DVC would run. This module runs nothing.

DVC has no public call for the graph. `Repo.index.graph` is what its own commands use; no other module uses it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import networkx
from dvc.exceptions import DvcException
from dvc.repo import Repo

from pipelines.errors import CommandError
from seqloom.exits import MISUSED


class Stage(NamedTuple):
    """A stage of dvc.yaml, with the settings in its `meta`."""

    name: str
    timeout_minutes: float | None
    retries: int
    gpu: bool  # it needs a GPU to itself
    journal: bool  # it writes a journal, which is sent to MLflow while it grows
    after: frozenset[str]  # the stages that it depends on, directly or not


class StageResult(NamedTuple):
    """The result of a stage: 'run', 'restored' from DVC's cache, or 'up to date'."""

    stage: str
    what: str
    seconds: float


def read_stages(root: Path) -> list[Stage]:
    """Return the stages of `root`/dvc.yaml, each after those that it depends on; ties in the order of the file.

    Raises:
        DvcException: dvc.yaml is missing or wrong.
        CommandError: params.yaml is refused.
    """
    with _repository(root) as repo:
        graph = repo.index.graph  # an edge leads from a stage to one that it depends on
        position = {node: place for place, node in enumerate(repo.index.stages)}
        order = networkx.lexicographical_topological_sort(graph.reverse(), key=position.__getitem__)
        return [_stage(node, graph) for node in order]


def _stage(node: Any, graph: Any) -> Stage:
    meta = node.meta or {}
    after = frozenset(other.name for other in networkx.descendants(graph, node))
    needs = meta.get("gpu", False), meta.get("journal", False)
    return Stage(node.name, meta.get("timeout_minutes"), meta.get("retries", 0), *needs, after)


def changed_stages(root: Path) -> set[str] | None:
    """Return the names of the stages DVC finds changed, without those downstream; None if DVC cannot tell now.

    Raises:
        CommandError: params.yaml is refused.
    """
    try:
        with _repository(root) as repo:
            return {name.rpartition(":")[2] for name in repo.status()}
    except DvcException:
        return None  # another command holds the lock, or a lock file is broken: `dvc repro` will report it


def upstream(root: Path, name: str) -> set[str]:
    """Return the names of a stage and of all stages that it depends on."""
    return next({name, *stage.after} for stage in read_stages(root) if stage.name == name)


def default_remote(root: Path) -> str | None:
    """Return the name of the remote that `dvc push` would use, or None if there is none."""
    with Repo(str(root)) as repo:
        name: str | None = repo.config["core"].get("remote")
        return name


@contextmanager
def _repository(root: Path) -> Iterator[Any]:
    """Open the repository after checking params.yaml, which DVC reads in full before any stage runs.

    A file of a few lines with nested aliases would keep DVC busy for hours.
    """
    from seqloom.errors import ParamsError  # not every flow opens the repository
    from seqloom.plain_yaml import read_text

    try:
        _check(read_text(root / "params.yaml"))
    except FileNotFoundError:
        pass  # DVC reports which stage needs it
    except ParamsError as error:
        raise CommandError(str(error), MISUSED) from error
    with Repo(str(root)) as repo:
        yield repo


@lru_cache(maxsize=1)  # a flow opens the repository several times
def _check(params: str) -> None:
    from seqloom.plain_yaml import read

    read(params, "params.yaml")
