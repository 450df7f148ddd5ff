"""Sets the alias `champion` and keeps a history of its moves in tags of the registered model.

The registry moves the alias atomically, and only to a version whose files exist, so `@champion` always loads a complete
model. A move is recorded before it is made. If it is interrupted in between, the history shows it as not made, and the
next call for the same version completes it.
"""

import getpass
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from seqloom.errors import RegistryError
from seqloom.tracking.client.names import CHAMPION, MOVE
from seqloom.tracking.client.store import Store, registry_errors
from seqloom.tracking.registry.versions import has_files, removed

How = Literal["gate", "promote", "rollback"]


class Move(NamedTuple):
    """One move of the alias `champion`."""

    at: str  # ISO 8601, UTC
    how: How  # by the gate, or by a person with a command
    version: str
    before: str | None  # the previous champion
    because: str
    by: str  # user name
    made: bool  # False: recorded, but interrupted before the alias moved


def current_champion(store: Store, name: str) -> str | None:
    """Return the version number of the champion, or None."""
    with registry_errors(store):
        number = store.client.get_registered_model(name).aliases.get(CHAMPION)
    return None if number is None else str(number)


def set_champion(store: Store, name: str, number: str, how: How, because: str) -> Move:
    """Make a version the champion and record the move. Does nothing if the last move made it champion already.

    Raises:
        RegistryError: the version does not exist, its files are gone, or the registry refuses.
    """
    with registry_errors(store):
        version = store.client.get_model_version(name, number)
        if not has_files(store, version):
            raise RegistryError(_gone(name, number))
        before = current_champion(store, name)
        moves = history(store, name)
        last = moves[-1] if moves else None
        if before == number and last is not None and last.version == number and last.made:
            return last
        if last is None or last.made or last.version != number:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            last = Move(now, how, number, before, because, _user(), made=False)
            moves.append(last)
            _write(store, name, len(moves), last)
        store.client.set_registered_model_alias(name, CHAMPION, number)
        if removed(store, version) is not None:  # `seqloom gc` on another machine, at the same moment
            _undo(store, name, before)
            raise RegistryError(_gone(name, number))
        _write(store, name, len(moves), last._replace(made=True))
        return last._replace(made=True)


def history(store: Store, name: str) -> list[Move]:
    """Return every move of the alias that seqloom made, oldest first."""
    with registry_errors(store):
        model = store.client.get_registered_model(name)
    written = sorted((key, value) for key, value in model.tags.items() if key.startswith(MOVE))
    return [_read(value) for _, value in written]


def previous_champion(moves: Iterable[Move], champion: str | None) -> str | None:
    """Return the version to roll back to: the previous champion, ignoring moves that were rolled back, or None."""
    return next(iter(earlier_champions(moves, champion)), None)


def earlier_champions(moves: Iterable[Move], champion: str | None) -> list[str]:
    """Return the versions that one rollback after another goes back to, the previous champion first."""
    champions: list[str] = []
    for move in moves:
        if move.how == "rollback" and move.version in champions:
            del champions[champions.index(move.version) + 1 :]
        else:
            if move.before is not None and not champions:
                champions.append(move.before)
            champions.append(move.version)
    while champions and champions[-1] == champion:
        champions.pop()
    return list(dict.fromkeys(reversed(champions)))


def _gone(name: str, number: str) -> str:
    return (
        f"the files of {name} version {number} are gone; it cannot be the champion. `seqloom reproduce "
        f"models:/{name}/{number}` trains it again, into a folder"
    )


def _undo(store: Store, name: str, before: str | None) -> None:
    if before is None:
        store.client.delete_registered_model_alias(name, CHAMPION)
    else:
        store.client.set_registered_model_alias(name, CHAMPION, before)


def _write(store: Store, name: str, number: int, move: Move) -> None:
    store.client.set_registered_model_tag(name, f"{MOVE}{number:06}", json.dumps(move._asdict()))


def _read(text: str) -> Move:
    content: dict[str, Any] = json.loads(text)
    return Move(**{key: content[key] for key in Move._fields if key in content})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user id may have no name, as in a container
        return "unknown"
