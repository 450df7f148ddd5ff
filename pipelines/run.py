"""Run the stages of dvc.yaml that DVC finds changed, and make sure that the result is registered."""

from collections.abc import Container, Sequence
from pathlib import Path

from pipelines.cache import mend
from pipelines.cli_client import RegistryLookup, find_registered, register
from pipelines.dag import StageResult, changed_stages, read_stages
from pipelines.stage import run_stage
from seqloom.json_output import VersionRecord
from seqloom.places import REGISTRATION


def run_stages(
    root: Path, only: Container[str] | None = None, earlier: Sequence[StageResult] = ()
) -> list[StageResult]:
    """Run every stage that is due, in order; report the others as up to date.

    Args:
        root: The clone to work in.
        only: The names of the stages to consider; everything that they depend on must be among them.
        earlier: Results of this flow run. A stage among them that is still unchanged is not reported twice.

    Raises:
        CommandError: params.yaml is not YAML, or is more than DVC could read in sensible time and memory.
    """
    changed = changed_stages(root)
    if changed is None or changed:
        if broken := mend(root):
            print(f"took {len(broken)} broken objects out of DVC's cache: {', '.join(broken)}", flush=True)
        changed = changed_stages(root)
    results: list[StageResult] = []
    done: set[str] = set()  # stages whose outputs may differ from those that `changed` was computed from
    for stage in read_stages(root):
        if only is not None and stage.name not in only:
            continue
        needed = changed is None or stage.name in changed or not done.isdisjoint(stage.after)
        known = next((result for result in earlier if result.stage == stage.name), None)
        if known is not None and not needed:
            results.append(known)
            continue
        results.append(run_stage(stage, root, changed=needed))
        if results[-1].what != "up to date":
            done.add(stage.name)
    return results


def reconcile(root: Path, results: Sequence[StageResult], before: RegistryLookup) -> VersionRecord | None:
    """Return the registered version of the result; register it first if DVC restored it, since then no stage did.

    `before` is a lookup from before the stages ran; it is valid if none of them changed anything.
    """
    unchanged = all(result.what == "up to date" for result in results)
    found = before.version() if unchanged else find_registered(root)
    restored = any(result.what == "restored" for result in results)
    if (restored or found is None) and (root / REGISTRATION).exists():
        register(root)
        found = find_registered(root)
    return found
