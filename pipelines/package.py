"""What flows ask of the package: its commands, run apart, since a flow loads neither torch nor MLflow."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

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


class Asked:
    """A command of the package that has been started."""

    def __init__(self, root: Path, module: str, *arguments: str) -> None:
        self._words = [module, *arguments]
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._words], cwd=root, env=environment(root), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def answer(self, fine: Sequence[int] = ()) -> str:
        """Wait, once, and return what it says. Raises `RefusedError` where its exit status is neither 0 nor `fine`."""
        try:
            said, complaint = self._process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired as error:
            late = f"{' '.join(self._words)} took longer than {LONGEST / 60:g} minutes and was stopped"
            raise RefusedError(late, TIMED_OUT) from error
        finally:
            self.stop()
        if (status := self._process.returncode) and status not in fine:
            words = [line.partition("error: ")[2] for line in complaint.splitlines()]
            why = "\n".join(filter(None, words)) or complaint.strip()
            raise RefusedError(why or f"{self._words[0]} ended with {status}", status)
        return said

    def stop(self) -> None:
        """End it if it has not ended."""
        with self._process:
            self._process.kill()


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


def set_params(root: Path, overrides: Sequence[str] = (), corpora: Sequence[str] | None = None) -> None:
    """Write overrides, `KEY=VALUE` each, into params.yaml, all of them or none. Raises `RefusedError`."""
    chosen = ["--corpora", ",".join(corpora)] if corpora else []
    if overrides or chosen:
        _forget()  # it may be at another model
        _run(root, "seqloom.cli", "set", *chosen, *overrides)


def use_preset(root: Path, preset: Path) -> None:
    """Merge a file of settings into params.yaml. Raises `RefusedError`."""
    _run(root, "seqloom.cli", "preset", str(preset))


def all_settings(folder: Path) -> str:
    """Return the folder's params.yaml as YAML with every setting, defaults included. Raises `RefusedError`."""
    return _run(folder, "seqloom.cli", "preset", "--all")


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
        self._registration = root / "metrics" / "registration.json"
        self._asked = Asked(root, *_VERSIONS) if self._registration.exists() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._asked:
            self._asked.stop()

    def registered(self) -> dict[str, Any] | None:
        """Return the registered version of the result that lies in the clone, or None. Raises `RefusedError`."""
        if self._asked is None:
            return None
        wanted = json.loads(self._registration.read_text(encoding="utf-8"))["fingerprint"]
        return next((version for version in _versions(self._asked) if version["fingerprint"] == wanted), None)


_begun: dict[Path, Look] = {}


@contextmanager
def looking_ahead(root: Path) -> Iterator[None]:
    """Begin a look at the registry, which a flow that is still to be imported goes on with; end it if none does."""
    _begun[root.resolve()] = Look(root)
    try:
        yield
    finally:
        _forget()


def look(root: Path) -> Look:
    """The look that began ahead, once, else one that begins now."""
    return _begun.pop(root.resolve(), None) or Look(root)


def _forget() -> None:
    while _begun:
        with _begun.popitem()[1]:
            pass


def find_registered(root: Path) -> dict[str, Any] | None:
    """Look, and return the registered version of the result that lies in `root`, or None. Raises `RefusedError`."""
    with Look(root) as now:
        return now.registered()


def find_champion(root: Path) -> str | None:
    """Return the champion as `models:/NAME/NUMBER`, or None where there is none yet. Raises `RefusedError`."""
    versions = _versions(Asked(root, *_VERSIONS))
    found = next((version for version in versions if "champion" in version["aliases"]), None)
    return f"models:/{found['name']}/{found['version']}" if found else None


def register(root: Path) -> None:
    """Register the result that lies in `root`. Raises `RefusedError`."""
    _run(root, "seqloom.stages", "register_model")


_VERSIONS = ("seqloom.cli", "info", "--json")


def _versions(asked: Asked) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(asked.answer())["versions"]
    return found


def _run(root: Path, module: str, *arguments: str, fine: Sequence[int] = ()) -> str:
    return Asked(root, module, *arguments).answer(fine)


def may_pass(error: BaseException) -> bool:
    """Whether a failure says of itself that another try may help."""
    return getattr(error, "status", None) == os.EX_TEMPFAIL
