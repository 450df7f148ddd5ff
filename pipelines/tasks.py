"""Names for flow runs, and `step`, which runs a part of a flow as a task so that Prefect's page shows it."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as current

from pipelines.errors import is_transient

TRIES, DELAY = 3, 30.0  # of a step that fails for a transient reason; seconds between two
P = ParamSpec("P")
R = TypeVar("R")


def run_name(flow: str) -> Callable[[], str]:
    """Return a function that names a run after its flow and its scheduled start, in this machine's time zone."""
    return lambda: f"{flow} {current.scheduled_start_time.astimezone():%Y-%m-%d %H:%M}"


def step(name: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `work` as a task, print its result, and try again if it fails for a transient reason."""
    run = task(
        name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False,
        retries=TRIES - 1, retry_delay_seconds=DELAY, retry_condition_fn=_is_transient,
    )(work)  # fmt: skip
    result: R = run(*args, **kwargs)
    if result is not None:
        print(f"{name}: {result}", flush=True)
    return result


def _is_transient(task: Any, run: Any, state: State[Any]) -> bool:
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, Exception) and is_transient(failure)
