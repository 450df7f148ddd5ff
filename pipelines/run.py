"""Run the stages of dvc.yaml that DVC finds changed, and see that the result is registered."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from pipelines.cache import mend
from pipelines.cli_client import Look, RefusedError, find_registered, register
from pipelines.dag import Outcome, changed_stages, read_stages
from pipelines.stage import run_stage
from seqloom.errors import ParamsError
from seqloom.plain_yaml import read, read_text


def run_stages(root: Path, only: Container[str] | None = None, earlier: Sequence[Outcome] = ()) -> list[Outcome]:
    """Run every stage in its order; one that DVC finds unchanged, behind others that are, is only noted.

    `only` names the stages to look at; all that they depend on must be among them. `earlier` has outcomes of this flow
    run: they stand for stages that are still unchanged, which are not noted twice.

    Raises:
        RefusedError: params.yaml is not YAML, or more than DVC could read in sensible time and memory.
    """
    _check_params(root / "params.yaml")
    changed = changed_stages(root)
    if changed is None or changed:
        if broken := mend(root):
            print(f"took {len(broken)} broken objects out of DVC's cache: {', '.join(broken)}", flush=True)
        changed = changed_stages(root)
    outcomes: list[Outcome] = []
    done: set[str] = set()  # stages whose results may differ from what `changed` saw
    for stage in read_stages(root):
        if only is not None and stage.name not in only:
            continue
        needed = changed is None or stage.name in changed or not done.isdisjoint(stage.after)
        known = next((outcome for outcome in earlier if outcome.stage == stage.name), None)
        if known is not None and not needed:
            outcomes.append(known)
            continue
        outcomes.append(run_stage(stage, root, changed=needed))
        if outcomes[-1].what != "up to date":
            done.add(stage.name)
    return outcomes


def _check_params(path: Path) -> None:
    """Refuse what would make DVC itself, which reads params.yaml before any stage runs, work for hours."""
    try:
        read(read_text(path), path.name)
    except FileNotFoundError:
        return  # DVC says which stage needs it
    except ParamsError as error:
        raise RefusedError(str(error), 2) from error


def reconcile(root: Path, outcomes: Sequence[Outcome], before: Look) -> dict[str, Any] | None:
    """Return the registered version of the result, and register it first where DVC restored it: then no stage has.

    `before` is a look at the registry from before the stages; it holds where there was nothing to do.
    """
    unchanged = all(outcome.what == "up to date" for outcome in outcomes)
    found = before.registered() if unchanged else find_registered(root)
    restored = any(outcome.what == "restored" for outcome in outcomes)
    if (restored or found is None) and (root / "metrics" / "registration.json").exists():
        register(root)
        found = find_registered(root)
    return found
