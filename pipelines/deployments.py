"""The deployments of prefect.yaml as one process serves them. Names, times and limits stand there."""

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

from pipelines.stage import GPU
from pipelines.supervision.clone_lock import BusyError, alone
from pipelines.supervision.prefect_server import TOLD_TO_END, ScheduleError
from pipelines.supervision.processes import end_leftovers
from pipelines.supervision.taking_over import clean_up

PACKAGE = f"{__name__.partition('.')[0]}."


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
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, KeyError) as error:
        raise ScheduleError(f"{timezone!r} is no time zone; valid are names such as UTC and Europe/Berlin") from error
    if when.every is not None:
        if not when.every > 0:
            raise ScheduleError(f"--every is {when.every:g}; valid is a number of seconds above 0")
        return Interval(when.every, timezone=timezone)
    cron = when.cron or described["cron"]
    try:
        return Cron(cron, timezone=timezone)
    except ValueError as error:
        raise ScheduleError(f"{cron!r} is no cron expression; valid is such as '30 2 * * 1-5'") from error


def _trigger(described: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in described.items() if name != "type"}


def serve_deployments(root: Path, when: When, *, everyone: bool) -> signal.Signals:
    """Serve them until this process gets SIGINT or SIGTERM, and return which; first clean up after one that was killed.

    `everyone` says that all runs that the server knows belong to this clone. Runs at work are cancelled at the end.

    Raises:
        ScheduleError: prefect.yaml or `when` is wrong.
    """
    deployments = read_deployments(root, when)
    try:
        with alone(root):
            clean_up(root, everyone=everyone)  # a run that is dead would hold its deployment's only place
    except BusyError:
        pass  # a flow that outlived its schedule, or one started by hand: it is at work, and stays
    _limit_gpu()
    settle(root, deployments)
    runner = _Runner(pause_on_shutdown=False)
    for deployment in deployments:
        runner.add_deployment(deployment)
    signal.signal(signal.SIGINT, runner.handle_sigterm)
    asyncio.run(runner.start())
    end_leftovers(root)  # a stage whose flow had to be killed because it took longer to end than Prefect waits
    return runner.ended_by


class _Runner(Runner):
    """Prefect's runner, which ends in good order when it is signalled.

    Prefect 3.8.8 answers SIGTERM by `self.stop()` in the thread of its event loop, where `stop` only returns the
    coroutine `astop()`, which nobody awaits; `sys.exit` then ends the loop without a word to the runs at work.
    """

    ended_by = signal.SIGTERM
    _ending: asyncio.Task[None] | None = None

    def handle_sigterm(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:
        """Cancel the runs at work, stop looking for new ones, and let `start` return."""
        self.ended_by = signal.Signals(number)
        if not self.started and self._ending is None:  # it has not begun
            sys.exit(TOLD_TO_END[self.ended_by])
        if self.started:
            print("seqloom: ending; runs at work are cancelled, and training writes a checkpoint", flush=True)
            asyncio.get_running_loop().call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._ending = self._ending or asyncio.ensure_future(self.astop())


def settle(root: Path, deployments: Sequence[RunnerDeployment]) -> None:
    """Bring what the server has from earlier in line: remove what is no longer served, and keep paused what is.

    Deployments of this clone that an older prefect.yaml named are removed: their schedules would make runs for nobody.
    Prefect itself would start a paused deployment again each time that it is served.
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
                print(f"seqloom: {name} stays paused, as somebody left it (docs/SCHEDULE.md)", flush=True)


def _limit_gpu() -> None:
    """See that one stage at a time uses the GPU; a limit that somebody has set is kept."""
    with get_client(sync_client=True) as client:
        try:
            client.read_global_concurrency_limit_by_name(GPU)
        except ObjectNotFound:
            client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=GPU, limit=1))
