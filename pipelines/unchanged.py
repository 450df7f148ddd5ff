"""`make run` if there is nothing to do, without Prefect: its import and its server would take most of the time.

Everything else is left to the flow: a changed stage, a result that is not registered, a clone in which another flow is
running or was killed.
"""

from pathlib import Path

from pipelines.cli_client import RegistryLookup
from pipelines.errors import BusyError, CommandError
from pipelines.supervision.clone_lock import hold_clone


def report_unchanged(root: Path) -> bool:
    """Print the result in `root` and return True if no stage is due and the result is registered.

    Otherwise print nothing, change nothing and return False.
    """
    try:
        with hold_clone(root) as after_a_kill, RegistryLookup(root) as lookup:
            # DVC takes as long to import as the registry to answer, so the two run at the same time.
            from pipelines.dag import StageResult, changed_stages, read_stages
            from pipelines.summary import show, version_label

            if after_a_kill or changed_stages(root) != set():
                return False
            registered = lookup.version()
            if registered is None:
                return False
            results = [StageResult(stage.name, "up to date", 0.0) for stage in read_stages(root)]
    except (BusyError, CommandError):
        return False
    print(f"nothing to do: DVC finds no stage changed ({len(results)} up to date)", flush=True)
    show(root, results, version_label(registered))
    return True
