"""The costs of a training run, from its journal: time, GPU time, and energy if the machine measures it.

The costs of all processes of the run are added up. For a process that was killed, they end with the last line that it
wrote.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_FLOW_RUNS = ("SEQLOOM_FLOW_RUN", "PREFECT__FLOW_RUN_ID")
FLOW_RUN = "seqloom.flow_run"  # tag of runs: the id of the Prefect flow run


class Costs(NamedTuple):
    """The costs; `joules` by device ("gpu", "cpu"), empty if the machine does not measure energy."""

    seconds: float
    gpu_seconds: float
    processes: int  # one after the other: 1 if training was never interrupted
    joules: Mapping[str, float]

    def tags(self) -> dict[str, str]:
        """Return the costs as tags of a run."""
        joules = {f"cost.joules.{part}": f"{value:.0f}" for part, value in self.joules.items()}
        return {
            "cost.seconds": f"{self.seconds:.1f}",
            "cost.gpu_seconds": f"{self.gpu_seconds:.1f}",
            "cost.processes": str(self.processes),
            **joules,
        }

    def metrics(self) -> dict[str, float]:
        """Return the costs as metrics of a run; GPU seconds and joules only if there are any."""
        found = {"train/seconds": round(self.seconds, 1)}
        if self.gpu_seconds:
            found["train/gpu_seconds"] = round(self.gpu_seconds, 1)
        if self.joules:
            found["train/joules"] = round(sum(self.joules.values()), 1)
        return found


def read_costs(journal: Path) -> Costs | None:
    """Return the costs, or None if the journal does not exist or was written before it held times and devices."""
    try:
        lines = journal.read_bytes().splitlines()
    except OSError:
        return None
    sessions: list[_Session] = []
    for line in lines:
        try:
            record = json.loads(line)
            at = float(record["at"])
            if record["kind"] == "begin":
                gpus = int(record["processes"]) if str(record["device"]).startswith("cuda") else 0
                sessions.append(_Session(at, at, gpus, {}))
            elif sessions:
                joules = {str(part): float(value) for part, value in record.get("joules", {}).items()}
                sessions[-1] = sessions[-1]._replace(ended=at, joules=joules or sessions[-1].joules)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    if not sessions:
        return None
    parts = sorted({part for session in sessions for part in session.joules})
    return Costs(
        sum(session.seconds for session in sessions),
        sum(session.seconds * session.gpus for session in sessions),
        len(sessions),
        {part: sum(session.joules.get(part, 0.0) for session in sessions) for part in parts},
    )


def current_flow_run() -> str | None:
    """Return the id of the Prefect flow run that started this process, or None."""
    return next((os.environ[name] for name in _FLOW_RUNS if os.environ.get(name)), None)


class _Session(NamedTuple):
    began: float
    ended: float
    gpus: int
    joules: Mapping[str, float]

    @property
    def seconds(self) -> float:
        return max(0.0, self.ended - self.began)
