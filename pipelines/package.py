"""What flows ask of the package: its commands, run apart, since a flow loads neither torch nor MLflow."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.environment import environment

LONGEST = 7200.0  # seconds that a command may take; what hangs must not hold a schedule for ever
TIMED_OUT = 124
REFUSED = 3  # the exit status of a command that judged and says no


class RefusedError(Exception):
    """A command of the package failed; the message is its own."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class News(NamedTuple):
    """What the sources have that the last look did not see: a sentence for each."""

    changed: list[str]
    asked: int  # how many sources

    def __str__(self) -> str:
        return "; ".join(self.changed) or f"{self.asked} sources asked, none changed"


class Guarded(NamedTuple):
    """What the guard says of the prepared data."""

    ok: bool
    baseline: str | None
    findings: list[dict[str, Any]]

    def outside(self) -> list[str]:
        """The findings out of bounds, a sentence for each."""
        return [
            f"{each['what']} is {each['now']:g}, was {each['before']:g}; it may be {_bounds(each['low'], each['high'])}"
            for each in self.findings
            if not each["ok"]
        ]


def _bounds(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{low:g} or more" if low is not None else f"{high:g} at most"
    return f"{low:g} to {high:g}"


def check_params(root: Path) -> None:
    """See that params.yaml is whole, before any work. Raises `RefusedError`."""
    _run(root, "seqloom.stages")


def set_params(root: Path, overrides: Sequence[str] = (), corpora: Sequence[str] | None = None) -> None:
    """Write overrides, `KEY=VALUE` each, into params.yaml, all of them or none. Raises `RefusedError`."""
    chosen = ["--corpora", ",".join(corpora)] if corpora else []
    if overrides or chosen:
        _begun.clear()  # it may have been at another model
        _run(root, "seqloom.cli", "set", *chosen, *overrides)


def use_preset(root: Path, preset: Path) -> None:
    """Merge a file of settings into params.yaml. Raises `RefusedError`."""
    _run(root, "seqloom.cli", "preset", str(preset))


def log_trials(root: Path, records: Sequence[Path]) -> None:
    """Bring records of trials to MLflow. Raises `RefusedError`."""
    _run(root, "seqloom.cli", "trial", *map(str, records))


def watch(root: Path) -> News:
    """Ask every source whether it has something new, and pin that in params.yaml. Raises `RefusedError`."""
    sources = json.loads(_run(root, "seqloom.cli", "watch", "--json", "--pin"))["sources"]
    return News([f"{each['corpus']}: {each['why']}" for each in sources if each["changed"]], len(sources))


def guard(root: Path) -> Guarded:
    """Compare the prepared data with that of the last version. Raises `RefusedError` where it cannot judge."""
    said = json.loads(_run(root, "seqloom.cli", "guard", "--json", fine=(REFUSED,)))
    return Guarded(said["ok"], said["baseline"], said["findings"])


def roll_back(root: Path, version: str | None, because: str) -> str:
    """Make an older version champion again; return what the command says. Raises `RefusedError`."""
    return _run(root, "seqloom.cli", "rollback", *([version] if version else []), "--because", because).strip()


class Look:
    """A look at the registry that has begun: opening it takes seconds, in which a flow does other things."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._versions: Future[list[dict[str, Any]]] = Future()
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        try:
            self._versions.set_result(_versions(self._root))
        except Exception as error:
            self._versions.set_exception(error)

    def registered(self) -> dict[str, Any] | None:
        """Return the registered version of the result that lies in the clone, or None. Raises `RefusedError`."""
        registration = self._root / "metrics" / "registration.json"
        if not registration.exists():
            return None
        wanted = json.loads(registration.read_text(encoding="utf-8"))["fingerprint"]
        return next((version for version in self._versions.result() if version["fingerprint"] == wanted), None)


_begun: dict[Path, Look] = {}


def look_ahead(root: Path) -> None:
    """Begin a look at the registry that the flow, still to be imported, goes on with."""
    _begun[root.resolve()] = Look(root)


def look(root: Path) -> Look:
    """The look that began ahead, once, else one that begins now."""
    return _begun.pop(root.resolve(), None) or Look(root)


def find_champion(root: Path) -> str | None:
    """Return the champion as `models:/NAME/NUMBER`, or None where there is none yet. Raises `RefusedError`."""
    found = next((version for version in _versions(root) if "champion" in version["aliases"]), None)
    return f"models:/{found['name']}/{found['version']}" if found else None


def register(root: Path) -> None:
    """Register the result that lies in `root`. Raises `RefusedError`."""
    _run(root, "seqloom.stages", "register_model")


def _versions(root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_run(root, "seqloom.cli", "info", "--json"))["versions"]
    return found


def _run(root: Path, module: str, *arguments: str, fine: Sequence[int] = ()) -> str:
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(
            command, cwd=root, env=environment(root), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=LONGEST, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        said = f"{' '.join([module, *arguments])} took longer than {LONGEST / 60:g} minutes and was stopped"
        raise RefusedError(said, TIMED_OUT) from error
    if done.returncode and done.returncode not in fine:
        words = [line.partition("error: ")[2] for line in done.stderr.splitlines()]
        said = "\n".join(filter(None, words)) or done.stderr.strip()
        raise RefusedError(said or f"{module} ended with {done.returncode}", done.returncode)
    return done.stdout


def may_pass(error: BaseException) -> bool:
    """Whether a failure says of itself that another try may help."""
    return getattr(error, "status", None) == os.EX_TEMPFAIL
