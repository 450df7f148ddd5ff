"""Registers versions, one for each result, and records the gate's verdict on them.

The alias `candidate` is the version that was registered last. The alias `champion` is set in `champion`.
"""

from collections.abc import Mapping
from typing import Any

from seqloom.errors import RegistryError
from seqloom.tracking.client.library import MlflowException
from seqloom.tracking.client.names import CANDIDATE, FINGERPRINT, PROMOTED, SPEED, VERDICT
from seqloom.tracking.client.store import Store, registry_errors
from seqloom.tracking.registry.versions import has_files
from seqloom.tracking.runs.training_run import Logged

_GATE = "\n\nThe gate: "  # separates scores and verdict in a version's description


def find_version(store: Store, name: str, fingerprint: str) -> Any | None:
    """Return MLflow's entity of the newest version with that fingerprint whose files exist, or None."""
    with registry_errors(store):
        found = store.client.search_model_versions(f"name = '{name}' and tags.`{FINGERPRINT}` = '{fingerprint}'")
        whole = (version for version in found if has_files(store, version))
        return max(whole, key=lambda version: int(version.version), default=None)


def register(store: Store, name: str, logged: Logged, tags: Mapping[str, str], description: str) -> Any:
    """Register a logged model as a version, unless one with its fingerprint exists; return MLflow's entity.

    If a call is interrupted, the next one completes the registration.

    Raises:
        RegistryError: the registry refuses.
    """
    with registry_errors(store):
        version = find_version(store, name, tags[FINGERPRINT])
        if version is not None:
            return version
        _make_model(store, name)
        return store.client.create_model_version(
            name,
            source=f"models:/{logged.model_id}",
            run_id=logged.run_id,
            tags=dict(tags),
            description=description,
            model_id=logged.model_id,
        )


def set_candidate(store: Store, version: Any) -> None:
    """Set the alias `candidate` to a version."""
    with registry_errors(store):
        aliases = store.client.get_registered_model(version.name).aliases
        if str(aliases.get(CANDIDATE)) != str(version.version):
            store.client.set_registered_model_alias(version.name, CANDIDATE, str(version.version))


def set_label(store: Store, version: Any, word: str) -> None:
    """Set the user's label as a tag of a version and its run."""
    with registry_errors(store):
        if version.tags.get("label") != word:
            store.client.set_model_version_tag(version.name, version.version, "label", word)
            store.client.set_tag(version.run_id, "label", word)


def log_speed(store: Store, version: Any, rate: float) -> None:
    """Set the decoding speed on this machine, in segments per second, as a tag of a version's run."""
    with registry_errors(store):
        store.client.set_tag(version.run_id, SPEED, f"{rate:.1f}")


def log_verdict(
    store: Store, version: Any, promoted: bool, reason: str, rules: Mapping[str, str], files: Mapping[str, str]
) -> None:
    """Record a verdict: artifacts of the run, then description and tags of the version, `VERDICT` last."""
    with registry_errors(store):
        name, number = version.name, str(version.version)
        note = f"{(version.description or '').partition(_GATE)[0]}{_GATE}{'' if promoted else 'not '}promoted. {reason}"
        store.client.update_model_version(name, number, description=note)
        for file, text in files.items():
            store.client.log_text(version.run_id, text, f"gate/{file}")
        for rule, outcome in rules.items():
            store.client.set_model_version_tag(name, number, f"gate.{rule}", outcome)
        verdict = f"{PROMOTED if promoted else ''}{reason}"
        store.client.set_model_version_tag(name, number, VERDICT, verdict)


def _make_model(store: Store, name: str) -> None:
    try:
        store.client.create_registered_model(
            name, description="A model of seqloom. `champion` is the best version, `candidate` the latest."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise RegistryError(str(error)) from error
