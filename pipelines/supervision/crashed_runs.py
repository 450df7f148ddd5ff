"""Hold a clone for one flow run, and set killed runs, which Prefect still shows as running, to Crashed.

The clone and the process of a run are recorded in two ways. A run that a command starts has both as tags from its
creation. A run that a schedule starts cannot be tagged, so the active run is written to scratch/flow.json. The file is
kept when the flow has ended, because Prefect sets a run's final state after the flow's own code.
"""

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run as current
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed

from pipelines.environment import environment
from pipelines.notify import Notice, notify
from pipelines.supervision.clone_lock import hold_clone
from pipelines.supervision.mlflow_sync import sync_remaining
from pipelines.supervision.processes import current_process, is_alive, parse
from seqloom.files import write_json
from seqloom.places import SCRATCH

UNFINISHED = {StateType.RUNNING, StateType.PENDING, StateType.CANCELLING}
_FILTER = {"state": {"type": {"any_": [kind.value for kind in UNFINISHED]}}}
_PROCESS = "process:"
_NOTE = SCRATCH / "flow.json"
MESSAGE = "The process of this run was killed. The next run cleans up after it and continues its work."
ADVICE = "nothing, unless it happens again: then see whether memory ran out (`dmesg`, the log of the service)"


@contextmanager
def exclusive_run(root: Path) -> Iterator[None]:
    """Hold the clone for this flow run, clean up after a killed one, and record this run as the active one.

    Raises:
        BusyError: another flow is running in the clone.
    """
    with hold_clone(root):
        clean_up(root)
        if current.id is not None:
            write_json(root / _NOTE, {"flow_run_id": current.id, "process": str(current_process())})
        yield


def clean_up(root: Path, *, everyone: bool | None = None) -> list[str]:
    """Set killed runs to Crashed, close their runs in MLflow and send a notice. The caller must hold the clone.

    `everyone` is as in `mark_crashed`.
    """
    names = mark_crashed(root, everyone=everyone)
    if names:
        sync_remaining(root, environment(root))
        notify(root, Notice("seqloom: Crashed", f"killed while running: {', '.join(names)}. {MESSAGE}", "", ADVICE))
    return names


def run_tags(root: Path) -> list[str]:
    """Return the tags of a run: its clone with the machine, and its process."""
    return [_clone_tag(root), f"{_PROCESS}{current_process()}"]


def _clone_tag(root: Path) -> str:
    return f"clone:{socket.gethostname()}:{root.resolve()}"


def mark_crashed(root: Path, *, everyone: bool | None = None) -> list[str]:
    """Set the clone's killed runs to Crashed, and return their names. The caller must hold the clone.

    Since the caller holds it, every other flow of the clone has ended, or will find the clone busy.

    Args:
        root: The clone.
        everyone: True if all runs of this server belong to this clone, so that only the current one can be alive.
            None: true if no server is named, because Prefect then starts one on a database of the clone.
    """
    if everyone is None:
        everyone = PREFECT_API_URL.value() is None
    with get_client(sync_client=True) as client:
        dead = _unfinished(client) if everyone else [*_recorded(client, root), *_tagged(client, root)]
        others = {run.id: run for run in dead if str(run.id) != current.id}
        return [str(run.name) for run in others.values() if _crash(client, run)]


def _recorded(client: SyncPrefectClient, root: Path) -> Iterable[FlowRun]:
    try:
        content = json.loads((root / _NOTE).read_bytes())
        identity, process = UUID(content["flow_run_id"]), parse(content["process"])
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return []  # no flow was active, it was not part of a run, or the machine failed while the file was written
    if process is not None and is_alive(process) and process != current_process():
        return []
    try:
        return [client.read_flow_run(identity)]
    except ObjectNotFound:  # a run of another server
        return []


def _tagged(client: SyncPrefectClient, root: Path) -> Iterable[FlowRun]:
    for run in _unfinished(client, {"tags": {"all_": [_clone_tag(root)]}}):
        names = [tag.removeprefix(_PROCESS) for tag in run.tags if tag.startswith(_PROCESS)]
        processes = [parse(name) for name in names]
        if processes and not any(process and is_alive(process) for process in processes):
            yield run


def _unfinished(client: SyncPrefectClient, more: Mapping[str, object] | None = None) -> list[FlowRun]:
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({**_FILTER, **(more or {})}))


def _crash(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Set an unfinished run and its tasks to Crashed; return whether it was unfinished."""
    if run.state is None or run.state.type not in UNFINISHED:
        return False
    client.set_flow_run_state(run.id, Crashed(message=MESSAGE), force=True)
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    for task in client.read_task_runs(flow_run_filter=of_run):
        if task.state is not None and task.state.type in UNFINISHED:
            client.set_task_run_state(task.id, Crashed(message=MESSAGE), force=True)
    return True
