"""`make run` with nothing to do, answered without Prefect, whose server would be started for a run that does nothing.

Whatever is not clear at once is left to the flow: a changed stage, a result that is not registered, a clone that is
busy or that a killed flow left in disorder.
"""

from pathlib import Path

from pipelines.cli_client import RefusedError, look
from pipelines.dag import Outcome, changed_stages, read_stages
from pipelines.summary import describe, show
from pipelines.supervision.clone_lock import BusyError, alone


def report_unchanged(root: Path) -> bool:
    """Print the result that lies in `root` and return True if no stage is due and the result is registered.

    Otherwise print nothing, change nothing and return False.
    """
    try:
        with alone(root) as after_a_kill:
            if after_a_kill or changed_stages(root) != set():
                return False
            with look(root) as registry:
                registered = registry.registered()
            if registered is None:
                return False
            outcomes = [Outcome(stage.name, "up to date", 0.0) for stage in read_stages(root)]
    except (BusyError, RefusedError):
        return False
    print(f"nothing to do: DVC finds no stage changed ({len(outcomes)} up to date)", flush=True)
    show(root, outcomes, describe(registered))
    return True
