"""The deployments of prefect.yaml as one process serves them. Names, times and limits stand there."""

from pathlib import Path
from typing import Any, NamedTuple

import yaml
from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.schedules import Cron, Interval, Schedule
from prefect.types.entrypoint import EntrypointType

from pipelines.shift import clean_up
from pipelines.stage import GPU
from pipelines.workspace import BusyError, alone


class When(NamedTuple):
    """Another time than that of prefect.yaml; None is not given."""

    cron: str | None = None
    every: float | None = None  # seconds
    timezone: str | None = None


def read_deployments(root: Path, when: When) -> list[RunnerDeployment]:
    """Return what `root`/prefect.yaml describes, for flows that work in `root`."""
    described = yaml.safe_load((root / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    return [_deployment(each, root, when) for each in described]


def _deployment(described: dict[str, Any], root: Path, when: When) -> RunnerDeployment:
    module, _, name = described["entrypoint"].partition(":")
    flow: Flow[Any, Any] = load_flow_from_entrypoint(f"{module.removesuffix('.py').replace('/', '.')}.{name}")
    return RunnerDeployment.from_flow(
        flow,
        described["name"],
        schedules=[_schedule(each, when) for each in described.get("schedules", ())],
        triggers=[DeploymentEventTrigger.model_validate(_trigger(each)) for each in described.get("triggers", ())],
        concurrency_limit=ConcurrencyLimitConfig.model_validate(described["concurrency_limit"]),
        parameters={**described.get("parameters", {}), "root": str(root)},
        description=described["description"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _schedule(described: dict[str, Any], when: When) -> Schedule:
    timezone = when.timezone or described.get("timezone", "UTC")
    if when.every is not None:
        return Interval(when.every, timezone=timezone)
    return Cron(when.cron or described["cron"], timezone=timezone)


def _trigger(described: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in described.items() if name != "type"}


def serve_deployments(root: Path, when: When, *, everyone: bool) -> None:
    """Serve them until this process is told to end; first clean up after one that was killed.

    `everyone` says that all runs that the server knows belong to this clone.
    """
    deployments = read_deployments(root, when)
    try:
        with alone(root):
            clean_up(root, everyone=everyone)  # a run that is dead would hold its deployment's only place
    except BusyError:
        pass  # a flow that outlived its schedule, or one started by hand: it is at work, and stays
    _limit_gpu()
    serve(*deployments, pause_on_shutdown=False, print_starting_message=False)


def _limit_gpu() -> None:
    """See that one stage at a time uses the GPU; a limit that somebody has set is kept."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(GPU)
        except ObjectNotFound:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=GPU, limit=1))
