"""Serves the deployments of prefect.yaml, which holds their names, times and limits, from one process."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.runner import Runner
from prefect.schedules import Cron, Interval, Schedule
from prefect.types.entrypoint import EntrypointType

from pipelines.errors import BusyError
from pipelines.stage import GPU
from pipelines.supervision.clone_lock import hold_clone
from pipelines.supervision.crashed_runs import clean_up
from pipelines.supervision.prefect_server import EXIT_STATUS, ScheduleError
from pipelines.supervision.processes import end_orphans

PACKAGE = f"{__name__.partition('.')[0]}."


class When(NamedTuple):
    """A schedule that replaces the one in prefect.yaml; None keeps its value."""

    cron: str | None = None
    every: float | None = None  # seconds
    timezone: str | None = None


def read_deployments(root: Path, when: When) -> list[RunnerDeployment]:
    """Return the deployments of `root`/prefect.yaml, for flows that work in `root`."""
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
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, KeyError) as error:
        raise ScheduleError(
            f"{timezone!r} is not a time zone; valid are names such as UTC and Europe/Berlin"
        ) from error
    if when.every is not None:
        if not when.every > 0:
            raise ScheduleError(f"--every is {when.every:g}; valid is a number of seconds above 0")
        return Interval(when.every, timezone=timezone)
    cron = when.cron or described["cron"]
    try:
        return Cron(cron, timezone=timezone)
    except ValueError as error:
        raise ScheduleError(f"{cron!r} is not a cron expression; valid is, for example, '30 2 * * 1-5'") from error


def _trigger(described: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in described.items() if name != "type"}


def serve_deployments(root: Path, when: When, *, everyone: bool) -> signal.Signals:
    """Clean up after a killed flow, then serve the deployments until SIGINT or SIGTERM arrives; return the signal.

    Active runs are cancelled at the end. `everyone` is true if all runs of the server belong to this clone.

    Raises:
        ScheduleError: prefect.yaml or `when` is wrong.
    """
    deployments = read_deployments(root, when)
    try:
        with hold_clone(root):
            clean_up(root, everyone=everyone)  # a dead run would count against its deployment's limit of one
    except BusyError:
        pass  # a flow that outlived its schedule or was started by hand may finish
    _limit_gpu()
    settle(root, deployments)
    runner = _Runner(pause_on_shutdown=False)
    for deployment in deployments:
        runner.add_deployment(deployment)
    signal.signal(signal.SIGINT, runner.handle_sigterm)
    asyncio.run(runner.start())
    end_orphans(root)  # a stage may take longer to end than Prefect waits before it kills the flow
    return runner.ended_by


class _Runner(Runner):
    """Prefect's runner, with a signal handler that cancels active runs.

    On SIGTERM, Prefect 3.8.8 calls `self.stop()` in the thread of its event loop. There `stop` only returns the
    coroutine `astop()`, which is never awaited, and `sys.exit` ends the loop while runs are still active.
    """

    ended_by = signal.SIGTERM
    _ending: asyncio.Task[None] | None = None

    def handle_sigterm(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Cancel active runs, stop looking for new ones, and let `start` return."""
        self.ended_by = signal.Signals(number)
        if not self.started and self._ending is None:  # it has not started yet
            sys.exit(EXIT_STATUS[self.ended_by])
        if self.started:
            print("seqloom: ending; active runs are cancelled, and training writes a checkpoint", flush=True)
            asyncio.get_running_loop().call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ending = self._ending or asyncio.ensure_future(self.astop())


def settle(root: Path, deployments: Sequence[RunnerDeployment]) -> None:
    """Remove this clone's deployments that are no longer served, and keep deployments paused that a user has paused.

    Deployments of an older prefect.yaml would otherwise keep creating runs, and Prefect would resume a paused
    deployment each time it is served.
    """
    served = {f"{deployment.flow_name}/{deployment.name}": deployment for deployment in deployments}
    with get_client(sync_client=True) as client:
        for known in client.read_deployments():
            ours = (known.parameters or {}).get("root") == str(root) and (known.entrypoint or "").startswith(PACKAGE)
            if not ours:
                continue
            name = f"{client.read_flow(known.flow_id).name}/{known.name}"
            if name not in served:
                client.delete_deployment(known.id)
                print(f"seqloom: removed the deployment {name}, which prefect.yaml no longer has", flush=True)
            elif known.paused or (known.schedules and not any(schedule.active for schedule in known.schedules)):
                served[name].paused = known.paused
                for schedule in served[name].schedules or ():
                    schedule.active = False
                print(f"seqloom: {name} stays paused, as it was (docs/SCHEDULE.md)", flush=True)


def _limit_gpu() -> None:
    """Limit the GPU to one stage at a time, unless the server already has a limit for it."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(GPU)
        except ObjectNotFound:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=GPU, limit=1))
