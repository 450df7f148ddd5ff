"""The registered versions and their names: which model is the candidate, which the champion, and why.

`candidate` is the version of the last registration. `champion` is the best that was measured on the same test set;
it moves when a version is registered, once, and never because a stage is run again: a person may have moved it back.
It knows no files of the pipeline: scores come as a record.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from seqloom.errors import RegistryError
from seqloom.evaluation.settings import TITLES
from seqloom.tracking.library import MlflowException
from seqloom.tracking.names import CANDIDATE, CHAMPION, FINGERPRINT, VERDICT
from seqloom.tracking.run import Logged
from seqloom.tracking.store import Store, refusals
from seqloom.tracking.versions import is_whole

_PROMOTED = "promoted: "


class Scored(NamedTuple):
    """What decides between two versions: the leading score of their task. More is better."""

    leading: str  # its name
    score: float
    test_sha256: str


class Verdict(NamedTuple):
    """Whether a version becomes champion, and why."""

    promoted: bool
    reason: str


class Registration(NamedTuple):
    """What became of a version."""

    version: str
    run_id: str
    champion: bool  # now
    reason: str


def find(store: Store, name: str, fingerprint: str) -> Any | None:
    """The latest version of that fingerprint whose files are still where MLflow keeps them, or None."""
    with refusals(store):
        found = store.client.search_model_versions(f"name = '{name}' and tags.`{FINGERPRINT}` = '{fingerprint}'")
        whole = (version for version in found if is_whole(store, version))
        return max(whole, key=lambda version: int(version.version), default=None)


def register(
    store: Store, name: str, logged: Logged, scored: Scored, tags: Mapping[str, str], description: str
) -> Registration:
    """Make a version of a logged model, and give the aliases to those who deserve them.

    Called again, also after it was cut off at any point, it finishes what is missing and makes no second version.

    Raises:
        RegistryError: the registry refuses.
    """
    with refusals(store):
        version = find(store, name, tags[FINGERPRINT])
        if version is None:
            _make_model(store, name)
            tags = dict(tags) | _decisive(scored)
            version = store.client.create_model_version(
                name,
                source=f"models:/{logged.model_id}",
                run_id=logged.run_id,
                tags=tags,
                description=description,
                model_id=logged.model_id,
            )
        return settle(store, version, scored)


def settle(store: Store, version: Any, scored: Scored) -> Registration:
    """Give a version the alias `candidate`, and `champion` if it was never judged and is better."""
    with refusals(store):
        name, number = version.name, str(version.version)
        aliases = store.client.get_registered_model(name).aliases
        if str(aliases.get(CANDIDATE)) != number:
            store.client.set_registered_model_alias(name, CANDIDATE, number)
        reigning = str(aliases[CHAMPION]) if CHAMPION in aliases else None
        said = version.tags.get(VERDICT)
        if said is not None:
            return Registration(number, str(version.run_id), reigning == number, _since(said, number, reigning))
        verdict = _judge(store, name, number, scored, reigning)
        if verdict.promoted and reigning != number:
            store.client.set_registered_model_alias(name, CHAMPION, number)
        said = f"{_PROMOTED if verdict.promoted else ''}{verdict.reason}"
        store.client.set_model_version_tag(name, number, VERDICT, said)
        return Registration(number, str(version.run_id), verdict.promoted, verdict.reason)


def _decisive(scored: Scored) -> dict[str, str]:
    """The tags that `_scored` reads again."""
    return {"leading": scored.leading, scored.leading: repr(scored.score), "test_sha256": scored.test_sha256}


def _scored(tags: Mapping[str, str]) -> Scored:
    """What the tags of a version say. Raises `KeyError` or `ValueError` where they do not."""
    leading = tags.get("leading", "bleu")  # the only one there was before it was named
    return Scored(leading, float(tags[leading]), tags["test_sha256"])


def label(store: Store, version: Any, word: str) -> None:
    """Tag a version and its run with a word of the user's."""
    with refusals(store):
        if version.tags.get("label") != word:
            store.client.set_model_version_tag(version.name, version.version, "label", word)
            store.client.set_tag(version.run_id, "label", word)


def _since(said: str, number: str, reigning: str | None) -> str:
    """Why a version that was judged before is champion now, or is not: what was said then, unless it was overruled."""
    promoted = said.startswith(_PROMOTED)
    if promoted == (reigning == number):
        return said.removeprefix(_PROMOTED)
    return f"version {reigning} is, since then" if promoted else "somebody chose it"


def _judge(store: Store, name: str, number: str, scored: Scored, reigning: str | None) -> Verdict:
    if reigning is None:
        return Verdict(True, "the first champion")
    if reigning == number:  # the alias was set, and the process ended before it could say so
        return Verdict(True, "better than the champion before it")
    champion = store.client.get_model_version(name, reigning)
    if not is_whole(store, champion):
        return Verdict(True, f"the files of the champion, version {reigning}, are gone")
    try:
        other = _scored(champion.tags)
    except (KeyError, ValueError):
        return Verdict(False, f"the champion, version {reigning}, has no scores to compare with")
    return compare(scored, other, reigning)


def compare(new: Scored, champion: Scored, number: str) -> Verdict:
    """Compare a version with the champion, version `number`: by the same score on the same test set alone."""
    ours, theirs = (TITLES.get(name, name) for name in (new.leading, champion.leading))
    if new.leading != champion.leading:
        measures = f"is measured by {theirs}, not {ours}"
        return Verdict(False, f"the champion, version {number}, {measures}: they do not compare")
    if new.test_sha256 != champion.test_sha256:
        return Verdict(False, f"the champion, version {number}, was scored on another test set: they do not compare")
    sides = f"{ours} {new.score:.2f} against {champion.score:.2f} of version {number} on the same test set"
    if new.score > champion.score:
        return Verdict(True, sides)
    return Verdict(False, f"{sides}: not better")


def _make_model(store: Store, name: str) -> None:
    try:
        store.client.create_registered_model(
            name, description="A model of seqloom. `champion` is the best version, `candidate` the latest."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise RegistryError(str(error)) from error
