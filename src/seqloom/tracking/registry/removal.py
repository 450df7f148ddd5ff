"""Removes the model files of versions that nothing needs. Records, metrics and reports stay.

The mark is written first: from then on the version counts as one without files, and after a kill the next call removes
the rest. A version may become champion on another machine at that moment, so the aliases are read after the mark;
`set_champion` reads the mark after it has set the alias. At least one of both sees the other.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from seqloom.retention.policy import Found, Kept, Policy, Removal, age, days_since, size_of
from seqloom.retention.removing import remove
from seqloom.tracking.client.artifacts import bytes_below, remove_model_files
from seqloom.tracking.client.names import PROMOTED, REMOVED, VERDICT
from seqloom.tracking.client.store import Store, exclusive, registry_errors
from seqloom.tracking.registry.needed import Label, needed_versions, read_registry
from seqloom.tracking.registry.versions import model_cache, model_of

PLACE, COPIES = "versions", "copies"


def find_versions(store: Store, policy: Policy, pins: str) -> Found:
    """Return the versions whose model files are not needed; `pins` is text with settings that may name versions.

    Raises:
        RegistryError: the store refuses.
    """
    registry = read_registry(store)
    needed = needed_versions(store, registry, policy, pins)
    found = Found([], [])
    for model_id, versions in _by_files(store, registry.versions).items():
        if reasons := [needed[label] for label in map(_label, versions) if label in needed]:
            found.kept.append(Kept(PLACE, _names(versions), reasons[0]))
        else:
            found.removals.extend(_removal(store, model_id, versions))
    return found


def find_copies(store: Store, policy: Policy, pins: str) -> Found:
    """Return the copies in this user's cache of versions that nothing needs any more; they can be downloaded again.

    Raises:
        RegistryError: the store refuses.
    """
    registry = read_registry(store)
    needed = needed_versions(store, registry, policy, pins)
    found = Found([], [])
    for folder in sorted(model_cache(store).glob("*/*")):
        name, number = folder.parent.name, folder.name.partition("-")[0]
        if (name, number) in needed:
            found.kept.append(Kept(COPIES, f"{name} version {number}", needed[name, number]))
        elif days_since(folder.stat().st_mtime) >= 1 or not folder.name.startswith("."):  # else it is being downloaded
            why = "an interrupted download" if folder.name.startswith(".") else "a copy; nothing needs the version"
            found.removals.append(
                Removal(COPIES, f"{name} version {number}", why, size_of(folder), partial(remove, folder))
            )
    return found


def _by_files(store: Store, versions: Iterable[Any]) -> dict[str, list[Any]]:
    """Return the versions by logged model: a copied version shares the files of the original."""
    groups: dict[str, list[Any]] = {}
    with registry_errors(store):
        for version in versions:
            if (model_id := model_of(store, version)) is not None:
                groups.setdefault(model_id, []).append(version)
    return groups


def _removal(store: Store, model_id: str, versions: list[Any]) -> Iterator[Removal]:
    with registry_errors(store):
        model = store.client.get_logged_model(model_id)
    if size := bytes_below(store, model.artifact_location):
        act = partial(_remove, store, model_id, versions)
        yield Removal(PLACE, _names(versions), _why(versions[-1], model), size, act)


def _why(version: Any, model: Any) -> str:
    if REMOVED in (model.tags or {}):
        return "an earlier gc was interrupted"
    promoted = version.tags.get(VERDICT, "").startswith(PROMOTED)
    state = "superseded" if promoted else "refused"
    return f"{state}; registered {age(days_since(version.creation_timestamp / 1000))}"


def _remove(store: Store, model_id: str, versions: list[Any]) -> None:
    """Mark the versions, and remove their files unless one got an alias meanwhile."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with exclusive(store), registry_errors(store):
        store.client.set_logged_model_tags(model_id, {REMOVED: now})
        if any(_has_alias(store, version) for version in versions):
            store.client.delete_logged_model_tag(model_id, REMOVED)
            return
        for version in versions:
            store.client.set_model_version_tag(version.name, version.version, REMOVED, now)
        remove_model_files(store, store.client.get_logged_model(model_id))


def _has_alias(store: Store, version: Any) -> bool:
    aliases = store.client.get_registered_model(version.name).aliases
    return str(version.version) in map(str, aliases.values())


def _names(versions: list[Any]) -> str:
    return ", ".join(f"{version.name} version {version.version}" for version in versions)


def _label(version: Any) -> Label:
    return version.name, str(version.version)
