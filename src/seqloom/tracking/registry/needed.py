"""Which versions are needed, and by what: aliases, rollback, lineage, pins, servers, or the policy of `seqloom gc`."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from seqloom.places import CHECKED, RAW
from seqloom.retention.policy import DAY, Policy, age, days_since
from seqloom.tracking.client.library import MlflowException
from seqloom.tracking.client.names import CHAMPION, FINGERPRINT, REMOVED, SERVED, VERDICT
from seqloom.tracking.client.run_data import read_artifact, search_all
from seqloom.tracking.client.store import Store, registry_errors
from seqloom.tracking.registry.champion import earlier_champions, history
from seqloom.tracking.registry.lineage import LOCK, recorded_outs

SERVED_DAYS = 7.0  # a server repeats every day that it serves a version
_REFERENCE = re.compile(r"models:/([^/@'\"`\s]+)/([1-9][0-9]*)|distilled/([^/\s]+)-([1-9][0-9]*)/")

Label = tuple[str, str]  # the name of a model, and the number of a version


class Registry(NamedTuple):
    """All versions that seqloom registered, oldest first, as MLflow's entities, and the aliases of each."""

    versions: list[Any]
    aliases: Mapping[Label, list[str]]


def read_registry(store: Store) -> Registry:
    """Return what is registered. Raises `RegistryError`."""
    aliases: dict[Label, list[str]] = {}
    with registry_errors(store):
        for model in search_all(store.client.search_registered_models):
            for alias, number in model.aliases.items():
                aliases.setdefault((model.name, str(number)), []).append(alias)
        found = [each for each in search_all(store.client.search_model_versions) if FINGERPRINT in each.tags]
    return Registry(sorted(found, key=lambda each: (each.name, int(each.version))), aliases)


def references(text: str) -> set[Label]:
    """Return the versions that a text names, as `models:/NAME/NUMBER` or as the teacher of a distilled corpus."""
    return {(match[1] or match[3], match[2] or match[4]) for match in _REFERENCE.finditer(text)}


def needed_versions(store: Store, registry: Registry, policy: Policy, pins: str) -> dict[Label, str]:
    """Return the versions that are needed, each with the first reason.

    Args:
        store: the store.
        registry: what is registered in it.
        policy: what is kept in any case.
        pins: text with settings that may name versions, such as params.yaml.

    Raises:
        RegistryError: the store refuses.
    """
    reasons: dict[Label, str] = {}
    for label, reason in _reasons(store, registry, policy, pins):
        reasons.setdefault(label, reason)
    return reasons


def _reasons(store: Store, registry: Registry, policy: Policy, pins: str) -> Iterator[tuple[Label, str]]:
    for label, aliases in registry.aliases.items():
        yield label, ", ".join(f"@{alias}" for alias in sorted(aliases))
    champions = dict(_champions(store, registry, policy))
    yield from champions.items()
    yield from ((label, "a setting names it (train.start or another pin)") for label in references(pins))
    for version in registry.versions:
        yield from _of_its_tags(version, policy)
        compared = version.tags.get("gate.champion")
        if compared and (_label(version) in champions or CHAMPION in registry.aliases.get(_label(version), [])):
            yield (version.name, compared), f"version {version.version} was compared with it"
    for version in registry.versions:
        for label in _lineage(store, version) - {_label(version)}:
            yield label, f"{version.name} version {version.version} was made from it"
    for name in {version.name for version in registry.versions}:
        newest = [version for version in registry.versions if version.name == name][-policy.keep :]
        yield from ((_label(version), f"one of the newest {policy.keep} versions") for version in newest)


def _champions(store: Store, registry: Registry, policy: Policy) -> Iterable[tuple[Label, str]]:
    """Yield the versions that the next rollbacks go back to."""
    for name in {version.name for version in registry.versions}:
        now = next((no for (model, no), each in registry.aliases.items() if model == name and CHAMPION in each), None)
        for number in earlier_champions(history(store, name), now)[: policy.keep]:
            yield (name, number), "an earlier champion, for `seqloom rollback`"


def _of_its_tags(version: Any, policy: Policy) -> Iterator[tuple[Label, str]]:
    label, days = _label(version), days_since(version.creation_timestamp / 1000)
    if VERDICT not in version.tags:
        yield label, "the gate has not judged it yet"
    if (served := served_by(version.tags)) is not None:
        yield label, f"served by {served}"
    if days < policy.days:
        yield label, f"registered {age(days)}"


def served_by(tags: Mapping[str, str], now: float | None = None) -> str | None:
    """Return the host that serves a version, or None if no server has said so for `SERVED_DAYS`."""
    when, _, host = tags.get(SERVED, "").partition(" ")
    try:
        said = datetime.fromisoformat(when).timestamp()
    except ValueError:
        return None
    return host if (time.time() if now is None else now) - said < SERVED_DAYS * DAY else None


def note_served(store: Store, name: str, number: str, host: str) -> None:
    """Record that a host serves a version now. Raises `RegistryError`."""
    with registry_errors(store):
        when = datetime.now(UTC).isoformat(timespec="seconds")
        store.client.set_model_version_tag(name, number, SERVED, f"{when} {host}")


def _lineage(store: Store, version: Any) -> set[Label]:
    """Return the versions that a version's params and tags name: where training started, teachers, and the like."""
    texts = [*version.tags.values(), *(_run_texts(store, version.run_id) if version.run_id else [])]
    return references("\n".join(map(str, texts)))


def _run_texts(store: Store, run_id: str) -> list[str]:
    with registry_errors(store):
        try:
            data = store.client.get_run(run_id).data
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # somebody deleted the run
                return []
            raise
    return [*data.params.values(), *data.tags.values()]


def _label(version: Any) -> Label:
    return version.name, str(version.version)


def needed_results(store: Store) -> dict[str, list[str]]:
    """Return DVC's hashes of the results that each registered version needs, by its label.

    Of a version whose files were removed, that is the downloaded data, from which it can be reproduced.

    Raises:
        RegistryError: the store refuses.
    """
    found = {}
    for version in read_registry(store).versions:
        lock = read_artifact(store, version.run_id, LOCK) if version.run_id else None
        outs = recorded_outs(lock)
        if REMOVED in version.tags:
            outs = {path: content for path, content in outs.items() if path in (str(RAW), str(CHECKED))}
        found["/".join(_label(version))] = sorted(filter(None, outs.values()))
    return found
