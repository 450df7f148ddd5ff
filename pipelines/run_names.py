"""Names of flow runs: the flow and its time, so that a list of them reads as a diary. Prefect draws random words."""

from collections.abc import Callable

from prefect.runtime import flow_run as current


def dated(flow: str) -> Callable[[], str]:
    """Return what names a run of `flow`: for its scheduled start, in the time zone of this machine."""
    return lambda: f"{flow} {current.scheduled_start_time.astimezone():%Y-%m-%d %H:%M}"
