"""Reads the registry: the versions with their scores and data, and the model folder of a version.

Versions are named by MLflow's URIs, such as `models:/seqloom-en-de@champion` or `models:/seqloom-en-de/3`.
"""

import hashlib
import os
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.errors import RegistryError
from seqloom.tracking.client.library import mlflow
from seqloom.tracking.client.names import ARTIFACT, FINGERPRINT, REMOVED, VERDICT
from seqloom.tracking.client.run_data import search_all
from seqloom.tracking.client.store import Store, holds_model, local_folder, registry_errors

_REFERENCE = re.compile(r"models:/(?P<name>[^/@'\"`]+)(?:@(?P<alias>[^/@]+)|/(?P<number>[1-9][0-9]*))?")
_LOGGED = re.compile(r"(?:models:/|.*/models/)(m-[^/@]+)(?:/artifacts)?")  # the URI or the location of a logged model


class Reference(NamedTuple):
    """A registered model, or a version of it by number or alias."""

    name: str
    alias: str | None = None
    number: str | None = None


class Interval(NamedTuple):
    """A score with its 95% interval, None if it was not recorded."""

    score: float
    low: float | None
    high: float | None


class Version(NamedTuple):
    """A registered version; fields that were not recorded are None."""

    name: str
    version: str
    aliases: tuple[str, ...]
    fingerprint: str | None
    run_id: str | None
    created: str  # ISO 8601, UTC
    direction: str | None
    bleu: Interval | None
    chrf: Interval | None
    ter: Interval | None
    pairs: int | None  # in the training split
    corpora: str | None
    test_sha256: str | None
    commit: str | None
    verdict: str | None
    task: str | None
    family: str | None  # model.name
    rouge_l: Interval | None
    removed: str | None = None  # when `seqloom gc` removed its files, ISO 8601


def parse_reference(uri: str) -> Reference:
    """Read `models:/NAME`, `models:/NAME@ALIAS` or `models:/NAME/NUMBER`. Raises `RegistryError` for anything else."""
    if (match := _REFERENCE.fullmatch(uri)) is None:
        raise RegistryError(f"{uri!r} names no registered model; valid are models:/NAME@ALIAS and models:/NAME/NUMBER")
    return Reference(match["name"], match["alias"], match["number"])


def list_versions(store: Store, wanted: Reference | None = None) -> list[Version]:
    """Return the versions of all models, of one model, or the version named by alias or number; newest first.

    The list is empty if the model or version does not exist. Raises `RegistryError` if the registry refuses.
    """
    with registry_errors(store):
        condition = "" if wanted is None else f"name = '{wanted.name}'"
        models = {
            model.name: dict(model.aliases) for model in search_all(store.client.search_registered_models, condition)
        }
        found = [
            _version(each, [alias for alias, number in models[each.name].items() if str(number) == str(each.version)])
            for each in search_all(store.client.search_model_versions, condition)
            if each.name in models
        ]
    if wanted is not None and wanted.alias is not None:
        found = [version for version in found if wanted.alias in version.aliases]
    if wanted is not None and wanted.number is not None:
        found = [version for version in found if wanted.number == version.version]
    return sorted(found, key=lambda version: (version.name, -int(version.version)))


def get_version(store: Store, wanted: Reference) -> Version:
    """Return the version of that number or alias. Raises `RegistryError`, listing the versions, if there is none."""
    found = list_versions(store, wanted)
    if not found or (wanted.alias is None and wanted.number is None):
        raise RegistryError(_unknown(store, wanted))
    return found[0]


def fetch_model(store: Store, wanted: Reference) -> Path:
    """Return the model folder of a version, for `Translator`. From a server it is downloaded once, to a cache.

    Raises:
        RegistryError: the version does not exist, its files are gone, or the registry refuses.
    """
    found = get_version(store, wanted)
    with registry_errors(store):
        version = store.client.get_model_version(found.name, found.version)
        if (when := removed(store, version)) is not None:
            raise RegistryError(_gone(found, when))
        place = location(store, version) or _downloaded(store, version)
    folder: Path = place / "artifacts" / ARTIFACT
    if not folder.is_dir() and holds_model(place):
        raise RegistryError(
            f"{found.name} version {found.version} was not registered by seqloom: it holds no model folder, and "
            "only such a folder can be loaded"
        )
    if not folder.is_dir():
        raise RegistryError(
            f"the files of {found.name} version {found.version} are not in {place}: they were moved or "
            "deleted; `make run` registers the model of this folder again"
        )
    return folder


def has_files(store: Store, version: Any) -> bool:
    """Return whether the files of a version exist. Files on a server exist unless `seqloom gc` removed them."""
    place = location(store, version)
    return (place is None or holds_model(place)) and removed(store, version) is None


def removed(store: Store, version: Any) -> str | None:
    """Return when `seqloom gc` removed the files of a version, or None. Versions may share files."""
    model_id = model_of(store, version)
    return None if model_id is None else (store.client.get_logged_model(model_id).tags or {}).get(REMOVED)


def model_of(store: Store, version: Any) -> str | None:
    """Return the id of the logged model whose files a version has; a copied version has those of the original."""
    uri = version.source
    if not _LOGGED.fullmatch(uri):
        uri = store.client.get_model_version_download_uri(version.name, version.version)
    return match[1] if (match := _LOGGED.fullmatch(uri)) else None


def _gone(found: Version, when: str) -> str:
    uri = f"models:/{found.name}/{found.version}"
    return (
        f"the files of {found.name} version {found.version} were removed by `seqloom gc` on {when[:10]}; its records "
        f"are kept, and `seqloom reproduce {uri}` trains it again, into a folder"
    )


def location(store: Store, version: Any) -> Path | None:
    """Return the folder of a version's files, or None if they are not on this machine."""
    uri = store.client.get_model_version_download_uri(version.name, version.version)
    if uri.startswith("models:/"):
        uri = store.client.get_logged_model(uri.removeprefix("models:/")).artifact_location
    return local_folder(store, uri)


def model_cache(store: Store) -> Path:
    """Return the folder of this user's copies of versions of the store, `NAME/NUMBER-TIMESTAMP` each."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "seqloom" / "models" / hashlib.sha256(store.uri.encode()).hexdigest()[:16]


def _downloaded(store: Store, version: Any) -> Path:
    """Return a copy of a version's files in the user's cache. Versions never change, so it stays valid."""
    shelf: Path = model_cache(store) / version.name
    place = shelf / f"{version.version}-{version.creation_timestamp}"
    if place.is_dir():
        return place
    shelf.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".part-", dir=shelf))
    try:
        uri = f"models:/{version.name}/{version.version}"
        Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(beside))).rename(place)
    except OSError:
        if not place.is_dir():  # another process downloaded it meanwhile
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return place


def _version(entity: Any, aliases: list[str]) -> Version:
    tags = entity.tags
    return Version(
        name=entity.name,
        version=str(entity.version),
        aliases=tuple(sorted(aliases)),
        fingerprint=tags.get(FINGERPRINT),
        run_id=entity.run_id,
        created=datetime.fromtimestamp(entity.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
        direction=tags.get("direction"),
        bleu=_interval(tags, "bleu"),
        chrf=_interval(tags, "chrf"),
        ter=_interval(tags, "ter"),
        pairs=int(tags["pairs"]) if tags.get("pairs", "").isdigit() else None,
        corpora=tags.get("corpora"),
        test_sha256=tags.get("test_sha256"),
        commit=tags.get("git.commit"),
        verdict=tags.get(VERDICT),
        task=tags.get("task"),
        family=tags.get("model.name"),
        rouge_l=_interval(tags, "rougeL"),
        removed=tags.get(REMOVED),
    )


def _interval(tags: dict[str, str], score: str) -> Interval | None:
    numbers = [_number(tags.get(name)) for name in (score, f"{score}.low", f"{score}.high")]
    return None if numbers[0] is None else Interval(numbers[0], numbers[1], numbers[2])


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _unknown(store: Store, wanted: Reference) -> str:
    there = list_versions(store, Reference(wanted.name))
    if not there:
        names = sorted({version.name for version in list_versions(store)})
        known = f"registered are {', '.join(names)}" if names else "nothing is registered yet"
        return f"no model {wanted.name!r} in {store.shown}: {known}; `make run` trains and registers one"
    aliases = [f"@{alias}" for version in there for alias in version.aliases]
    choices = ", ".join(aliases + [f"/{version.version}" for version in there[:5]])
    what = f"@{wanted.alias}" if wanted.alias else f"/{wanted.number}" if wanted.number else ""
    return f"models:/{wanted.name}{what} names no version; valid are models:/{wanted.name} with one of {choices}"
