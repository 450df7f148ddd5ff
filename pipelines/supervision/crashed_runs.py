"""Flow runs that Prefect takes for running though their process has ended: they are told apart and set to Crashed.

Only whoever holds the clone (see workspace.py) may ask: then every other flow of this clone has ended or is about to
find the clone taken. Two things tell whose a run is. Commands tag their run with the clone and their process, from the
moment when Prefect first hears of it. What a schedule starts has no say in that; the run at work is noted in
scratch/flow.json, and stays noted: its last state is set after the flow's own code has ended.
"""

import json
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run as current
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed

from pipelines.supervision.processes import lives, parse, this_process

ALIVE = {StateType.RUNNING, StateType.PENDING, StateType.CANCELLING}
_FILTER = {"state": {"type": {"any_": [kind.value for kind in ALIVE]}}}
_PROCESS = "process:"
MESSAGE = "The process of this run was killed. The next run cleans up after it and goes on from where it was."


def run_tags(root: Path) -> list[str]:
    """What tells from a flow run which clone, on which machine, and which process it belongs to."""
    return [_clone_tag(root), f"{_PROCESS}{this_process()}"]


def _clone_tag(root: Path) -> str:
    return f"clone:{socket.gethostname()}:{root.resolve()}"


def record(root: Path) -> None:
    """Note that the flow run at work in `root` is this one."""
    path = root / "scratch" / "flow.json"
    content = {"flow_run_id": current.id, "process": str(this_process())}
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(path)


def bury(root: Path, *, everyone: bool | None = None) -> list[str]:
    """Set what runs no more to Crashed, and return the names of those runs.

    `everyone` says that all runs of this server belong to this clone, so that none of them can be alive but this one;
    left out, that is so where no server is named and Prefect starts one on a database of the clone.
    """
    if everyone is None:
        everyone = PREFECT_API_URL.value() is None
    with get_client(sync_client=True) as client:
        dead = _unfinished(client) if everyone else [*_recorded(client, root), *_tagged(client, root)]
        others = {run.id: run for run in dead if str(run.id) != current.id}
        return [str(run.name) for run in others.values() if _crash(client, run)]


def _recorded(client: SyncPrefectClient, root: Path) -> Iterable[FlowRun]:
    try:
        content = json.loads((root / "scratch" / "flow.json").read_bytes())
        identity, process = UUID(content["flow_run_id"]), parse(content["process"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return []  # no flow has been at work, or not as part of a run, or the machine went down while it was noted
    if process is not None and lives(process) and process != this_process():
        return []
    try:
        return [client.read_flow_run(identity)]
    except ObjectNotFound:  # of another server
        return []


def _tagged(client: SyncPrefectClient, root: Path) -> Iterable[FlowRun]:
    for run in _unfinished(client, {"tags": {"all_": [_clone_tag(root)]}}):
        names = [tag.removeprefix(_PROCESS) for tag in run.tags if tag.startswith(_PROCESS)]
        processes = [parse(name) for name in names]
        if processes and not any(process and lives(process) for process in processes):
            yield run


def _unfinished(client: SyncPrefectClient, more: Mapping[str, object] | None = None) -> list[FlowRun]:
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({**_FILTER, **(more or {})}))


def _crash(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether the run had to be told that it has ended."""
    if run.state is None or run.state.type not in ALIVE:
        return False
    client.set_flow_run_state(run.id, Crashed(message=MESSAGE), force=True)
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    for task in client.read_task_runs(flow_run_filter=of_run):
        if task.state is not None and task.state.type in ALIVE:
            client.set_task_run_state(task.id, Crashed(message=MESSAGE), force=True)
    return True
