"""Who is champion: moving the alias, and a history of its moves that is kept with the registered model.

The alias itself moves in one transaction of the registry, to a version that is whole: at every instant whoever loads
`@champion` gets a whole model. A move is written down before it is made, so that none of ours can happen unseen; one
that was cut off in between is finished when it is asked for again, and shown as not made until then.
"""

import getpass
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from seqloom.errors import RegistryError
from seqloom.tracking.client.names import CHAMPION, MOVE
from seqloom.tracking.client.store import Store, registry_errors
from seqloom.tracking.registry.versions import has_files

How = Literal["gate", "promote", "rollback"]


class Move(NamedTuple):
    """One move of the alias `champion`."""

    at: str  # ISO 8601, UTC
    how: How  # who moved it: the gate, or a person by one of the commands
    version: str
    before: str | None  # the champion until then
    because: str
    by: str  # the user's name on the machine
    made: bool  # False: written down, and cut off before it was done


def current_champion(store: Store, name: str) -> str | None:
    """The number of the champion, or None."""
    with registry_errors(store):
        number = store.client.get_registered_model(name).aliases.get(CHAMPION)
    return None if number is None else str(number)


def set_champion(store: Store, name: str, number: str, how: How, because: str) -> Move:
    """Make a version champion, and write it down. The same again changes nothing.

    Raises:
        RegistryError: there is no such version, or its files are gone, or the registry refuses.
    """
    with registry_errors(store):
        if not has_files(store, store.client.get_model_version(name, number)):
            raise RegistryError(f"the files of {name} version {number} are gone; it cannot be the champion")
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
        _write(store, name, len(moves), last._replace(made=True))
        return last._replace(made=True)


def history(store: Store, name: str) -> list[Move]:
    """Every move of the alias, the oldest first; what other tools did to it is not in here."""
    with registry_errors(store):
        model = store.client.get_registered_model(name)
    written = sorted((key, value) for key, value in model.tags.items() if key.startswith(MOVE))
    return [_read(value) for _, value in written]


def previous_champion(moves: Iterable[Move], champion: str | None) -> str | None:
    """The version that a rollback leads to: the champion before this one, as if what was rolled back had never been."""
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
    return champions[-1] if champions else None


def _write(store: Store, name: str, number: int, move: Move) -> None:
    store.client.set_registered_model_tag(name, f"{MOVE}{number:06}", json.dumps(move._asdict()))


def _read(text: str) -> Move:
    content: dict[str, Any] = json.loads(text)
    return Move(**{key: content[key] for key in Move._fields if key in content})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return "unknown"
