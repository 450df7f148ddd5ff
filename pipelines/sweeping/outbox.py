"""Records of a sweep for MLflow, as files that `seqloom trial` sends. Files that could not be sent are kept.

If the tracking server is down, the sweep prints a warning and goes on.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.cli_client import log_trials
from pipelines.errors import CommandError
from pipelines.sweeping.curves import CurvePoint
from pipelines.sweeping.space import Dimension, Point, Sweep, key
from seqloom.files import write_json

STATES = {"running": "RUNNING", "complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "stopped": "KILLED"}


class Outbox:
    """The unsent records of the sweep `identity`, in `folder`/outbox; they go to the tracking server of `root`."""

    def __init__(self, folder: Path, root: Path, sweep: Sweep, identity: str, experiment: str) -> None:
        self._outbox, self._root, self._sweep = folder / "outbox", root, sweep
        self._common = {"sweep": identity, "experiment": experiment}
        self._outbox.mkdir(parents=True, exist_ok=True)

    def sweep(self, state: str, metrics: Mapping[str, float], best: Point | None) -> None:
        """Record the state of the sweep as a whole."""
        params = {
            "trials": self._sweep.trials, "seed": self._sweep.seed, "sampler": self._sweep.sampler,
            "pruner": self._sweep.pruner.name, "metric": self._sweep.metric, **self._sweep.fixed,
            **{f"space.{name}": _brief(dimension) for name, dimension in self._sweep.space.items()},
        }  # fmt: skip
        tags = {f"best.{name}": str(value) for name, value in (best or {}).items()}
        self._put("sweep", None, self._sweep.name, state, params, metrics, [], tags)

    def trial(
        self,
        number: int,
        point: Point,
        state: str,
        metrics: Mapping[str, float] | None = None,
        curves: Sequence[CurvePoint] = (),
        reason: str = "",
    ) -> None:
        """Record the state of a trial."""
        tags = {"seqloom.trial": str(number), **({"seqloom.reason": reason} if reason else {})}
        name = f"{self._sweep.name} {number}"
        self._put(
            f"trial-{key(point)}", key(point), name, state, {**self._sweep.fixed, **point}, metrics or {}, curves, tags
        )

    def send(self) -> str | None:
        """Send the waiting records, the sweep's first; return the error, or None."""
        files = sorted(self._outbox.glob("*.json"))
        if not files:
            return None
        try:
            log_trials(self._root, files)
        except CommandError as error:
            return str(error)
        for file in files:
            file.unlink()
        return None

    def _put(
        self, file: str, point: str | None, name: str, state: str, params: Mapping[str, Any],
        metrics: Mapping[str, float], curves: Sequence[CurvePoint], tags: Mapping[str, str],
    ) -> None:  # fmt: skip
        record = {
            **self._common, "point": point, "name": name, "state": STATES[state], "time": time.time(),
            "params": {each: str(value) for each, value in params.items()},
            "metrics": metrics, "curves": [list(value) for value in curves], "tags": tags,
        }  # fmt: skip
        write_json(self._outbox / f"{file}.json", record)


def _brief(dimension: Dimension) -> str:
    return dimension.model_dump_json(by_alias=True, exclude_defaults=True)
