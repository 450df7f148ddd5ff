"""One training run as MLflow keeps it: written once, whole, and found again by its fingerprint.

A run is a record of plain data; what a stage measured and where it lies is the caller's affair. Where `seqloom sync`
has sent the curves while training went on, its run is taken over and gets what is missing; else a run is made. A run
that was cut off while it was written is closed and written anew, so that a finished run is always complete.
"""

import importlib.metadata
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from seqloom import __version__
from seqloom.evaluation.settings import Task
from seqloom.tracking.client.library import mlflow
from seqloom.tracking.client.names import ARTIFACT, FINGERPRINT
from seqloom.tracking.client.run_data import log_metrics, log_params, log_tags, logged_steps
from seqloom.tracking.client.store import Store, experiment_id, holds_model, local_folder, registry_errors
from seqloom.tracking.runs.curves import Point
from seqloom.tracking.runs.page import TABLE, Sample, is_score, log_numbers, log_table, save_view

_CODE = Path(__file__).with_name("served_model.py")  # handed over as a file: importing it would import torch
TRAINING = "seqloom.training"  # tag of runs: the folder in scratch that their training had
_MODEL_NAME = "model"
_REQUIRED = ("torch", "sentencepiece", "sentencex", "safetensors", "numpy", "pydantic", "pyyaml")


class Dataset(NamedTuple):
    """A split that the run used."""

    name: str
    context: str  # train, valid or test
    digest: str  # DVC's hash, or another that names the content
    place: str
    pairs: int


class Model(NamedTuple):
    """The model folder that train_model wrote, and what the registry adds to it."""

    folder: Path
    search: Mapping[str, Any]  # the settings of the search, as the model folder keeps them
    example: str  # a source sentence
    language: str  # what the example is translated into where the model has to be told, else empty
    needs: Sequence[str]  # libraries that this model needs to run, beside those that every one does
    description: Mapping[str, str]  # shown beside the logged model


class TrainingRun(NamedTuple):
    """Everything that is known of a run."""

    name: str
    note: str  # a sentence or two for its page
    fingerprint: str
    began: float  # seconds since the epoch
    params: Mapping[str, Any]  # flat
    tags: Mapping[str, str]
    curves: Sequence[Point]
    metrics: Mapping[str, float]  # single numbers: scores of the test split, and costs
    numbers: Mapping[str, float]  # every number of the result, for the table
    datasets: Sequence[Dataset]
    artifacts: Sequence[tuple[Path, str]]  # files and folders, each with its folder in the run; "" is the top
    model: Model
    task: Task
    training: str | None = None  # the folder in scratch that the training had
    samples: Sequence[Sample] = ()


class Logged(NamedTuple):
    """A finished run and the model that it logged."""

    run_id: str
    model_id: str


def log_run(store: Store, experiment: str, run: TrainingRun) -> Logged:
    """Write the run and its model, unless a finished run of the same fingerprint is there.

    Raises:
        RegistryError: the store refuses. What was begun is closed as failed, or by the next call.
    """
    with registry_errors(store):
        home = experiment_id(store, experiment)
        if (found := _finished(store, home, run.fingerprint)) is not None:
            return found
        tags = dict(run.tags) | {FINGERPRINT: run.fingerprint, "mlflow.note.content": run.note}
        if run.training is not None:
            tags[TRAINING] = run.training
        run_id = _taken_over(store, home, run, tags) or _made(store, home, run, tags)
        with _closed(store, run_id):
            _log_facts(store, run_id, run)
            for path, target in run.artifacts:
                if path.exists():
                    log = store.client.log_artifacts if path.is_dir() else store.client.log_artifact
                    log(run_id, str(path), target or None)
            if run.samples:
                log_table(store, run_id, TABLE, Sample._fields, run.samples)
            log_numbers(store, run_id, run.numbers)
            model_id = _log_model(store, home, run_id, run)
            _log_metrics(store, run_id, model_id, run.metrics)
        save_view(store, home, run.task)
        return Logged(run_id, model_id)


def live_run(store: Store, home: str, training: str) -> Any | None:
    """The run of a training that no result has taken over yet; the newest, should there be several."""
    with registry_errors(store):
        found = store.client.search_runs([home], f"tags.`{TRAINING}` = '{training}'")
        return next((run for run in found if FINGERPRINT not in run.data.tags), None)


def _taken_over(store: Store, home: str, run: TrainingRun, tags: Mapping[str, str]) -> str | None:
    found = None if run.training is None else live_run(store, home, run.training)
    if found is None:
        return None
    run_id = str(found.info.run_id)
    store.client.update_run(run_id, status="RUNNING", name=run.name)
    log_tags(store, run_id, tags)
    return run_id


def _made(store: Store, home: str, run: TrainingRun, tags: Mapping[str, str]) -> str:
    made = store.client.create_run(home, start_time=round(run.began * 1000), run_name=run.name, tags=dict(tags))
    return str(made.info.run_id)


def _finished(store: Store, home: str, fingerprint: str) -> Logged | None:
    """The finished run of that fingerprint; those that were cut off are closed on the way."""
    found = None
    for run in store.client.search_runs([home], f"tags.`{FINGERPRINT}` = '{fingerprint}'"):
        if run.info.status in ("RUNNING", "SCHEDULED"):
            store.client.set_terminated(run.info.run_id, "KILLED")
        outputs = run.outputs.model_outputs if run.outputs else []
        if run.info.status == "FINISHED" and outputs and found is None and _has_files(store, outputs[0].model_id):
            found = Logged(run.info.run_id, outputs[0].model_id)
    return found


def _has_files(store: Store, model_id: str) -> bool:
    folder = local_folder(store, store.client.get_logged_model(model_id).artifact_location)
    return folder is None or holds_model(folder)


@contextmanager
def _closed(store: Store, run_id: str) -> Iterator[None]:
    """Give the run the status that tells how the block ended."""
    try:
        yield
    except Exception:
        store.client.set_terminated(run_id, "FAILED")
        raise
    except BaseException:  # Ctrl-C, SIGTERM
        store.client.set_terminated(run_id, "KILLED")
        raise
    store.client.set_terminated(run_id, "FINISHED")


def _log_facts(store: Store, run_id: str, run: TrainingRun) -> None:
    """Log params, curves and datasets, but for what is there: a param cannot change, a point would be there twice."""
    known = store.client.get_run(run_id).data
    log_params(store, run_id, {name: value for name, value in run.params.items() if name not in known.params})
    there = logged_steps(store, run_id, {point.metric for point in run.curves} & known.metrics.keys())
    metrics = [
        mlflow.entities.Metric(point.metric, point.value, round((run.began + point.seconds) * 1000), point.step)
        for point in run.curves
        if (point.metric, point.step) not in there
    ]
    log_metrics(store, run_id, metrics)
    if run.datasets:
        store.client.log_inputs(run_id, datasets=[_input(dataset) for dataset in run.datasets])


def _log_metrics(store: Store, run_id: str, model_id: str, metrics: Mapping[str, float]) -> None:
    """Log single numbers. Scores are also logged for the model, so that its page shows them."""
    entities = [
        mlflow.entities.Metric(name, value, _now(), 0, model_id=model_id if is_score(name) else None)
        for name, value in metrics.items()
    ]
    log_metrics(store, run_id, entities)


def _input(dataset: Dataset) -> Any:
    described = mlflow.entities.Dataset(
        name=dataset.name,
        digest=dataset.digest[:36],  # MLflow keeps no more
        source_type="local",
        source=json.dumps({"uri": dataset.place}),
        profile=json.dumps({"num_rows": dataset.pairs}),
    )
    return mlflow.entities.DatasetInput(described, [mlflow.entities.InputTag("mlflow.data.context", dataset.context)])


def _log_model(store: Store, home: str, run_id: str, run: TrainingRun) -> str:
    """Log the model folder with its search settings, without pickle; return the model's id."""
    model_id = store.client.create_logged_model(
        experiment_id=home,
        name=_MODEL_NAME,
        source_run_id=run_id,
        tags=dict(run.model.description) | {FINGERPRINT: run.fingerprint},
        params={name: str(value) for name, value in run.params.items()},
    ).model_id
    with tempfile.TemporaryDirectory(prefix="seqloom-") as scratch:
        folder = shutil.copytree(run.model.folder, Path(scratch) / ARTIFACT)
        (folder / "search.json").write_text(json.dumps(run.model.search, indent=2) + "\n", encoding="utf-8")
        mlflow.models.Model.log(  # mlflow.pyfunc.log_model would end the run, which is not all written yet
            artifact_path=None,
            flavor=_Movable,
            name=_MODEL_NAME,
            model_id=model_id,
            run_id=run_id,
            python_model=str(_CODE),
            artifacts={ARTIFACT: str(folder)},
            signature=_signature(run.model.search),
            input_example=_example(run.model),
            pip_requirements=requirements(run.model.needs),
        )
    return str(model_id)


class _Movable:
    """MLflow's flavor for Python models, without the absolute paths that it writes into MLmodel and never reads."""

    @staticmethod
    def save_model(path: str, mlflow_model: Any, **arguments: Any) -> None:
        """Write the model's folder to `path`."""
        mlflow.pyfunc.save_model(path=path, mlflow_model=mlflow_model, **arguments)
        described = mlflow_model.flavors[mlflow.pyfunc.FLAVOR_NAME]
        described["model_code_path"] = _CODE.name
        for artifact in described["artifacts"].values():
            artifact["uri"] = artifact["path"]
        mlflow_model.save(str(Path(path) / "MLmodel"))


def _signature(search: Mapping[str, Any]) -> Any:
    """A column of strings to a column of strings. Without a name, MLflow takes lists and frames alike."""
    types = mlflow.types
    strings = types.Schema([types.ColSpec(types.DataType.string)])
    params = [
        types.ParamSpec("beam", types.DataType.integer, search["beam"]),
        types.ParamSpec("length_penalty", types.DataType.double, search["length_penalty"]),
        types.ParamSpec("language", types.DataType.string, ""),
    ]
    return mlflow.models.ModelSignature(inputs=strings, outputs=strings, params=types.ParamSchema(params))


def _example(model: Model) -> Any:
    """What the model can be called with: a list of texts, and what has to be told beside it."""
    texts = [model.example]
    return (texts, {"language": model.language}) if model.language else texts


def requirements(more: Sequence[str] = ()) -> list[str]:
    """What a process needs beside MLflow to load the model, pinned; a local build (`2.13.0+cpu`) is its release."""
    pins = [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in (*_REQUIRED, *more)]
    return [f"seqloom=={__version__}", *pins]


def _now() -> int:
    return time.time_ns() // 1_000_000
