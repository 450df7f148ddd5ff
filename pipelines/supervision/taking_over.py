"""One flow at work in a clone: alone, after whatever a killed one left has been cleaned up, and noted as at work."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.runtime import flow_run as current

from pipelines.environment import environment
from pipelines.notify import Notice, notify
from pipelines.supervision.clone_lock import alone
from pipelines.supervision.crashed_runs import MESSAGE, bury, record
from pipelines.supervision.mlflow_sync import send_rest


@contextmanager
def at_work(root: Path) -> Iterator[None]:
    """Hold the clone for this flow. Raises `BusyError` where another one has it."""
    with alone(root):
        clean_up(root)
        if current.id is not None:
            record(root)
        yield


def clean_up(root: Path, *, everyone: bool | None = None) -> list[str]:
    """Set runs that were killed to Crashed, and say so; the clone must be held."""
    dead = bury(root, everyone=everyone)
    if dead:
        send_rest(root, environment(root))
        notify(root, Notice("seqloom: Crashed", f"killed while at work: {', '.join(dead)}. {MESSAGE}", "", NOTHING))
    return dead


NOTHING = "nothing, unless it happens again: then see whether memory ran out (`dmesg`, the log of the service)"
