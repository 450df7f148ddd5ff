"""What a flow does beside stages, each as a task of its own name, so that Prefect's page shows where a run is."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from pipelines.cli_client import may_pass

TRIES, DELAY = 3, 30.0  # of what did not answer; seconds between two
P = ParamSpec("P")
R = TypeVar("R")


def step(name: str, work: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """Do the work as a task of this name, show what it said, and try again where that may help."""
    run = task(
        name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False,
        retries=TRIES - 1, retry_delay_seconds=DELAY, retry_condition_fn=_may_pass,
    )(work)  # fmt: skip
    said: R = run(*given, **named)
    if said is not None:
        print(f"{name}: {said}", flush=True)
    return said


def _may_pass(task: Any, run: Any, state: State[Any]) -> bool:
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, Exception) and may_pass(failure)
