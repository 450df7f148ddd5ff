"""Checkpoints and journals of training runs in scratch.

A run could resume as long as it is unfinished and the clone still has its inputs. Its identity.json has them: params,
code and data are compared with those of the clone. The machine and its libraries are not, because gc may run on another
machine than training. Such a run is kept, however old it is.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.retention.clone import is_locked
from seqloom.retention.policy import Found, Kept, Policy, Removal, age, days_since, last_change, size_of
from seqloom.retention.removing import remove

PLACE = "trainings"
_IDENTITY, _FINISHED = "identity.json", "finished"  # written by train_model
_OF_THE_MACHINE = ("machine", "libraries")
_CHECKPOINTS = ("step-*", "weights-*.safetensors", "step.part", "step.old", "weights.part")


class Known(NamedTuple):
    """What is known about the trainings of a clone."""

    now: Mapping[str, Any] | None  # the identity of what the present inputs would train; None: unknown, as without data
    result: str | None  # the name of the training, and of its folder in scratch, whose result is in models/candidate
    sent: Callable[[Path], bool]  # whether MLflow has everything in the folder's journal


def find_trainings(scratch: Path, policy: Policy, known: Known) -> Found:
    """Return the runs whose checkpoints, or whole folders, are not needed."""
    found = Found([], [])
    folders = sorted((file.parent for file in scratch.glob(f"*/{_IDENTITY}")), key=last_change, reverse=True)
    finished = [folder for folder in folders if (folder / _FINISHED).exists()]
    for folder in folders:
        rank = finished.index(folder) if folder in finished else None
        if reason := _needed(folder, rank, policy, known):
            found.kept.append(Kept(PLACE, _short(folder), reason))
        else:
            found.removals.extend(_removal(folder, rank is not None, known))
    return found


def _needed(folder: Path, rank: int | None, policy: Policy, known: Known) -> str | None:
    """Return why a run is needed, or None. `rank` is its place among the finished ones, None for an unfinished one."""
    days = days_since(last_change(folder))
    if is_locked(folder / "lock"):
        return "it is being trained"
    if folder.name == known.result:
        return "its result is in models/candidate"
    if rank is None and known.now is None:
        return "it is unfinished, and this folder's inputs are incomplete, so it may be resumed"
    if rank is None and _inputs(known.now) == _inputs(_identity(folder)):
        return "it is unfinished, and the present inputs resume it"
    if rank is not None and rank < policy.keep:
        return f"one of the newest {policy.keep} finished ones"
    return f"last written {age(days)}" if days < policy.days else None


def _removal(folder: Path, finished: bool, known: Known) -> Iterator[Removal]:
    when = f"last written {age(days_since(last_change(folder)))}"
    state = f"finished; {when}" if finished else f"unfinished, of other inputs than the present ones; {when}"
    if known.sent(folder):
        yield Removal(PLACE, _short(folder), state, size_of(folder), partial(_remove, folder, [folder]))
    elif checkpoints := [path for pattern in _CHECKPOINTS for path in sorted(folder.glob(pattern))]:
        why = f"{state}; the journal stays: `seqloom sync` has not sent it"
        size = sum(map(size_of, checkpoints))
        yield Removal(PLACE, f"{_short(folder)} (checkpoints)", why, size, partial(_remove, folder, checkpoints))


def _remove(folder: Path, paths: list[Path]) -> None:
    if not is_locked(folder / "lock"):  # else it was resumed meanwhile
        for path in paths:
            remove(path)


def _identity(folder: Path) -> Mapping[str, Any]:
    try:
        content = json.loads((folder / _IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _inputs(identity: Mapping[str, Any] | None) -> Any:
    """Return the part of an identity that is the same on every machine, as JSON holds it."""
    parts = {name: part for name, part in (identity or {}).items() if name not in _OF_THE_MACHINE}
    return json.loads(json.dumps(parts))


def _short(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name[:12]}"
