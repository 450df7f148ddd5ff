"""The registered versions: one for every result, judged once.

`candidate` is the version of the last registration; who becomes `champion` is decided elsewhere, and moved in
`champion`. This module knows no files of the pipeline and no rules.
"""

from collections.abc import Mapping
from typing import Any

from seqloom.errors import RegistryError
from seqloom.tracking.client.library import MlflowException
from seqloom.tracking.client.names import CANDIDATE, FINGERPRINT, PROMOTED, SPEED, VERDICT
from seqloom.tracking.client.store import Store, registry_errors
from seqloom.tracking.registry.versions import has_files
from seqloom.tracking.runs.training_run import Logged

_GATE = "\n\nThe gate: "  # in a version's description, what it says after the scores


def find_version(store: Store, name: str, fingerprint: str) -> Any | None:
    """The latest version of that fingerprint whose files are still where MLflow keeps them, or None."""
    with registry_errors(store):
        found = store.client.search_model_versions(f"name = '{name}' and tags.`{FINGERPRINT}` = '{fingerprint}'")
        whole = (version for version in found if has_files(store, version))
        return max(whole, key=lambda version: int(version.version), default=None)


def register(store: Store, name: str, logged: Logged, tags: Mapping[str, str], description: str) -> Any:
    """Make a version of a logged model, and return it.

    Called again, also after it was cut off at any point, it finishes what is missing and makes no second version.

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
    """Give a version the alias `candidate`."""
    with registry_errors(store):
        aliases = store.client.get_registered_model(version.name).aliases
        if str(aliases.get(CANDIDATE)) != str(version.version):
            store.client.set_registered_model_alias(version.name, CANDIDATE, str(version.version))


def set_label(store: Store, version: Any, word: str) -> None:
    """Tag a version and its run with a word of the user's."""
    with registry_errors(store):
        if version.tags.get("label") != word:
            store.client.set_model_version_tag(version.name, version.version, "label", word)
            store.client.set_tag(version.run_id, "label", word)


def log_speed(store: Store, version: Any, rate: float) -> None:
    """Tag a version's run with the segments per second that it translates on this machine."""
    with registry_errors(store):
        store.client.set_tag(version.run_id, SPEED, f"{rate:.1f}")


def log_verdict(
    store: Store, version: Any, promoted: bool, reason: str, rules: Mapping[str, str], files: Mapping[str, str]
) -> None:
    """Write down what was found of a version: files for its run, a note and tags for itself, the verdict last."""
    with registry_errors(store):
        name, number = version.name, str(version.version)
        note = f"{(version.description or '').partition(_GATE)[0]}{_GATE}{'' if promoted else 'not '}promoted. {reason}"
        store.client.update_model_version(name, number, description=note)
        for file, text in files.items():
            store.client.log_text(version.run_id, text, f"gate/{file}")
        for rule, said in rules.items():
            store.client.set_model_version_tag(name, number, f"gate.{rule}", said)
        said = f"{PROMOTED if promoted else ''}{reason}"
        store.client.set_model_version_tag(name, number, VERDICT, said)


def _make_model(store: Store, name: str) -> None:
    try:
        store.client.create_registered_model(
            name, description="A model of seqloom. `champion` is the best version, `candidate` the latest."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise RegistryError(str(error)) from error
