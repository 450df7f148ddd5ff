"""The lineage of a version or run: commit, data, params and costs, as recorded in the run's tags, params and artifacts.

What was not recorded is None or empty.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from seqloom.errors import ParamsError, RegistryError
from seqloom.plain_yaml import read
from seqloom.tracking.client.library import MlflowException
from seqloom.tracking.client.names import CANDIDATE, FINGERPRINT
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store, registry_errors
from seqloom.tracking.registry.versions import Reference, Version, get_version, list_versions, parse_reference
from seqloom.tracking.runs.costs import FLOW_RUN
from seqloom.tracking.runs.training_run import TRAINING

PARAMS, LOCK = "params.yaml", "dvc.lock"  # artifacts of a run
_CORPUS_METRICS = "metrics/corpus.json"


class Lineage(NamedTuple):
    """Where a model comes from."""

    named: str  # the name that was looked up
    model: str | None  # the registered model and version, None for a run
    version: str | None
    aliases: tuple[str, ...]
    fingerprint: str | None
    run_id: str
    run_name: str
    status: str
    training: str | None  # the name of the training's folder in scratch
    flow_run: str | None  # id of the Prefect flow run
    commit: str | None
    dirty: bool | None  # whether code or params had uncommitted changes
    device: str | None
    libraries: Mapping[str, str]
    sources: Mapping[str, Any]  # the section corpora of params.yaml
    artefacts: Mapping[str, str]  # DVC's hash of each output, by path
    inputs: Mapping[str, str]  # DVC's hash of each input from outside the pipeline, by path
    params: Mapping[str, str]
    metrics: Mapping[str, float]  # test scores
    costs: Mapping[str, float]


def read_lineage(store: Store, name: str) -> Lineage:
    """Return the lineage of `models:/NAME@ALIAS`, `models:/NAME/NUMBER`, or a run id.

    Raises:
        RegistryError: the version or run does not exist, or the store refuses.
    """
    version, run = find(store, name)
    tags, run_id = run.data.tags, str(run.info.run_id)
    lock = read_artifact(store, run_id, LOCK)
    made, stages = recorded_outs(lock), _stages(lock)
    read = {str(dep["path"]): _hash(dep) for stage in stages for dep in stage.get("deps", [])}
    return Lineage(
        named=name,
        model=None if version is None else version.name,
        version=None if version is None else version.version,
        aliases=() if version is None else version.aliases,
        fingerprint=tags.get(FINGERPRINT),
        run_id=run_id,
        run_name=str(run.info.run_name),
        status=str(run.info.status),
        training=tags.get(TRAINING),
        flow_run=tags.get(FLOW_RUN),
        commit=tags.get("git.commit"),
        dirty={"true": True, "false": False}.get(tags.get("git.dirty", "")),
        device=tags.get("device"),
        libraries=_below(tags, "version."),
        sources=_sources(read_artifact(store, run_id, PARAMS)),
        artefacts=made,
        inputs={path: content for path, content in read.items() if path not in made and not path.startswith("src/")},
        params=dict(sorted(run.data.params.items())),
        metrics={name: value for name, value in sorted(run.data.metrics.items()) if name.startswith("test/")},
        costs={name: float(value) for name, value in _below(tags, "cost.").items()},
    )


def find(store: Store, name: str) -> tuple[Version | None, Any]:
    """Return the version of that name, None for a run id, and MLflow's run. Raises `RegistryError`."""
    version = get_version(store, parse_reference(name)) if name.startswith("models:") else None
    run_id = name if version is None else version.run_id
    if not run_id:
        raise RegistryError(f"{name}: has no run; it was not registered by seqloom")
    with registry_errors(store):
        try:
            return version, store.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    fault = "its run was deleted" if version else "is not a run"
    raise RegistryError(f"{name}: {fault} in {store.shown}; valid are run ids, models:/NAME@ALIAS, models:/NAME/NUMBER")


def recorded_outs(lock: bytes | None) -> dict[str, str]:
    """Return DVC's hash of each output in a dvc.lock, by path."""
    return {str(out["path"]): _hash(out) for stage in _stages(lock) for out in stage.get("outs", [])}


class Baseline(NamedTuple):
    """The version that new data is compared with, as `models:/NAME/NUMBER`, and its corpus metrics."""

    version: str
    corpus: dict[str, Any]


def last_registered(store: Store, name: str) -> Baseline | None:
    """Return the version with the alias `candidate` and its metrics/corpus.json, or None if there is none.

    Raises:
        RegistryError: its run did not log metrics/corpus.json, or the registry refuses.
    """
    found = list_versions(store, Reference(name, alias=CANDIDATE))
    if not found:
        return None
    version = f"models:/{name}/{found[0].version}"
    content = read_artifact(store, found[0].run_id, _CORPUS_METRICS) if found[0].run_id else None
    try:
        corpus = json.loads(content) if content is not None else None
    except ValueError:
        corpus = None
    if not isinstance(corpus, dict):
        raise RegistryError(
            f"{version}: its run has no {_CORPUS_METRICS} to compare with; `make run` registers the model of this "
            "folder again"
        )
    return Baseline(version, corpus)


def _below(tags: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): tags[name] for name in sorted(tags) if name.startswith(prefix)}


def _hash(entry: Mapping[str, Any]) -> str:
    return str(entry.get("md5") or entry.get("etag") or "")


def _stages(lock: bytes | None) -> list[dict[str, Any]]:
    content = _yaml(lock)
    stages = content.get("stages") if isinstance(content, dict) else None
    return [stage for stage in stages.values() if isinstance(stage, dict)] if isinstance(stages, dict) else []


def _sources(params: bytes | None) -> dict[str, Any]:
    content = _yaml(params)
    corpora = content.get("corpora") if isinstance(content, dict) else None
    return dict(corpora) if isinstance(corpora, dict) else {}


def _yaml(content: bytes | None) -> Any:
    try:
        return None if content is None else read(content.decode("utf-8", "replace"), "an artifact").content
    except ParamsError:
        return None
