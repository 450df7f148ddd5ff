"""What flows ask of the package: three commands, run apart, since a flow loads neither torch nor MLflow."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipelines.stage import environment


class RefusedError(Exception):
    """A command of the package failed; the message is its own."""


def check_params(root: Path) -> None:
    """See that params.yaml is whole, before any work. Raises `RefusedError`."""
    _run(root, "seqloom.stages")


def find_registered(root: Path) -> dict[str, Any] | None:
    """Return the registered version of the result that lies in `root`, or None. Raises `RefusedError`."""
    registration = root / "metrics" / "registration.json"
    if not registration.exists():
        return None
    wanted = json.loads(registration.read_text(encoding="utf-8"))
    known = json.loads(_run(root, "seqloom.cli", "info", "--json"))
    return next((version for version in known["versions"] if version["fingerprint"] == wanted["fingerprint"]), None)


def register(root: Path) -> None:
    """Register the result that lies in `root`. Raises `RefusedError`."""
    _run(root, "seqloom.stages", "register_model")


def _run(root: Path, module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, cwd=root, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = [line.partition("error: ")[2] for line in done.stderr.splitlines()]
        said = "\n".join(filter(None, words)) or done.stderr.strip()
        raise RefusedError(said or f"{module} ended with {done.returncode}")
    return done.stdout
