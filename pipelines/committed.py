"""Compares the results in a clone with those of its last commit."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from seqloom.places import EVALUATION_METRICS

RESULTS = ("dvc.lock", "metrics", "plots")
_LOCK, _SCORES = "dvc.lock", EVALUATION_METRICS.as_posix()


def differ(root: Path) -> bool:
    """Return whether `root` has results that its last commit does not have; False outside Git."""
    return bool(_git(root, "status", "--porcelain", "--", *RESULTS))


def of_another_machine(root: Path) -> str | None:
    """Return an explanation if the results differ from the last commit but no input does; else None.

    Equal inputs give equal bytes only on the same kind of machine. Without the explanation, a changed dvc.lock would
    look like a mistake.
    """
    committed = _git(root, "show", f"HEAD:./{_LOCK}")
    if committed is None or not differ(root):
        return None
    here = (root / _LOCK).read_text(encoding="utf-8")
    if committed == here or not _same_inputs(yaml.safe_load(committed), yaml.safe_load(here)):
        return None
    return (
        f"Results differ from the last commit{_scores(root)},\n"
        "code, data and params do not: this is another kind of machine, or another\n"
        "number of threads. Commit your results, or restore the committed ones:\n"
        "git checkout dvc.lock metrics plots"
    )


def _same_inputs(committed: Any, here: Any) -> bool:
    """Return whether both locks have the same stages with the same inputs, leaving out outputs of other stages."""
    old, new = committed["stages"], here["stages"]
    made = {out["path"] for stage in (*old.values(), *new.values()) for out in stage.get("outs", [])}

    def inputs(stages: dict[str, Any]) -> dict[str, Any]:
        return {
            name: (stage["cmd"], stage.get("params"), [dep for dep in stage.get("deps", []) if dep["path"] not in made])
            for name, stage in stages.items()
        }

    return inputs(old) == inputs(new)


def _scores(root: Path) -> str:
    """Return the leading score in the commit and here; an empty string if one of them is unknown."""
    try:
        old = json.loads(_git(root, "show", f"HEAD:./{_SCORES}") or "")
        new = json.loads((root / _SCORES).read_text(encoding="utf-8"))
        leading = new["leading"]
        return f" ({leading} {old[leading]['score']:.1f}, here {new[leading]['score']:.1f})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _git(root: Path, *words: str) -> str | None:
    """Return the output of git; None if it fails or is not installed."""
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None
