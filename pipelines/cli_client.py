"""Runs the `seqloom` commands that a flow needs as subprocesses, so that flows import neither torch nor MLflow."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from pipelines.environment import environment
from pipelines.errors import CommandError
from seqloom.exits import REFUSED, TIMED_OUT
from seqloom.json_output import GuardOutput, InfoOutput, VersionRecord, WatchOutput
from seqloom.places import REGISTRATION

LONGEST = 7200.0  # seconds that a command may take; one that hangs must not block a schedule
_INFO = ("seqloom.cli", "info", "--json")


class Call:
    """A command that has been started."""

    def __init__(self, root: Path, module: str, *arguments: str) -> None:
        self._words = [module, *arguments]
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._words], cwd=root, env=environment(root), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def output(self, fine: Sequence[int] = ()) -> str:
        """Wait for the command and return its output. May be called once.

        Raises:
            CommandError: the exit status is neither 0 nor in `fine`, or the command took longer than `LONGEST`.
        """
        try:
            output, errors = self._process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired as error:
            message = f"{' '.join(self._words)} took longer than {LONGEST / 60:g} minutes and was stopped"
            raise CommandError(message, TIMED_OUT) from error
        finally:
            self.stop()
        if (status := self._process.returncode) and status not in fine:
            messages = filter(None, (line.partition("error: ")[2] for line in errors.splitlines()))
            message = "\n".join(messages) or errors.strip()
            raise CommandError(message or f"{self._words[0]} ended with {status}", status)
        return output

    def stop(self) -> None:
        """Kill the command if it is still running."""
        with self._process:
            self._process.kill()


class WatchResult(NamedTuple):
    """What is new in the sources of params.yaml."""

    changed: list[str]  # a sentence for each source that changed
    sources: int  # number of sources checked

    def __str__(self) -> str:
        return "; ".join(self.changed) or f"{self.sources} sources checked, none changed"


class RegistryLookup:
    """A query of the registry in the background, which takes seconds; it starts when this object is created.

    If `version` was not called by the end of the `with` block, the query is killed.
    """

    def __init__(self, root: Path) -> None:
        self._registration = root / REGISTRATION
        self._call = Call(root, *_INFO) if self._registration.exists() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._call:
            self._call.stop()

    def version(self) -> VersionRecord | None:
        """Return the registered version of the result in the clone, or None. Raises `CommandError`."""
        if self._call is None:
            return None
        fingerprint = json.loads(self._registration.read_text(encoding="utf-8"))["fingerprint"]
        return next((each for each in _versions(self._call) if each["fingerprint"] == fingerprint), None)


def set_params(root: Path, overrides: Sequence[str] = (), corpora: Sequence[str] | None = None) -> None:
    """Write overrides, `KEY=VALUE` each, into params.yaml: all of them or none. Raises `CommandError`."""
    chosen = ["--corpora", ",".join(corpora)] if corpora else []
    if overrides or chosen:
        _run(root, "seqloom.cli", "set", *chosen, *overrides)


def use_preset(root: Path, preset: Path) -> None:
    """Merge a file of settings into params.yaml. Raises `CommandError`."""
    _run(root, "seqloom.cli", "preset", str(preset))


def all_settings(folder: Path) -> str:
    """Return the folder's params.yaml as YAML with every setting, defaults included. Raises `CommandError`."""
    return _run(folder, "seqloom.cli", "preset", "--all")


def log_trials(root: Path, records: Sequence[Path]) -> None:
    """Send records of trials to MLflow. Raises `CommandError`."""
    _run(root, "seqloom.cli", "trial", *map(str, records))


def watch(root: Path) -> WatchResult:
    """Look for new data in every source, and pin what was found in params.yaml. Raises `CommandError`."""
    found: WatchOutput = json.loads(_run(root, "seqloom.cli", "watch", "--json", "--pin"))
    sources = found["sources"]
    return WatchResult([f"{each['corpus']}: {each['why']}" for each in sources if each["changed"]], len(sources))


def guard(root: Path) -> GuardOutput:
    """Compare the prepared data with that of the last version. Raises `CommandError` if they cannot be compared."""
    found: GuardOutput = json.loads(_run(root, "seqloom.cli", "guard", "--json", fine=(REFUSED,)))
    return found


def roll_back(root: Path, version: str | None, because: str) -> str:
    """Make an older version champion again; return the command's output. Raises `CommandError`."""
    return _run(root, "seqloom.cli", "rollback", *([version] if version else []), "--because", because).strip()


def find_registered(root: Path) -> VersionRecord | None:
    """Return the registered version of the result in `root`, or None. Raises `CommandError`."""
    with RegistryLookup(root) as lookup:
        return lookup.version()


def find_champion(root: Path) -> str | None:
    """Return the champion as `models:/NAME/NUMBER`, or None if there is none. Raises `CommandError`."""
    versions = _versions(Call(root, *_INFO))
    champion = next((version for version in versions if "champion" in version["aliases"]), None)
    return f"models:/{champion['name']}/{champion['version']}" if champion else None


def register(root: Path) -> None:
    """Register the result in `root`. Raises `CommandError`."""
    _run(root, "seqloom.stages", "register_model")


def _versions(call: Call) -> list[VersionRecord]:
    found: InfoOutput = json.loads(call.output())
    return found["versions"]


def _run(root: Path, module: str, *arguments: str, fine: Sequence[int] = ()) -> str:
    return Call(root, module, *arguments).output(fine)
