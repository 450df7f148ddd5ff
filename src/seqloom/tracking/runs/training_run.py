"""Logs a training run and its model once, and finds it again by its fingerprint.

If `seqloom sync` sent the curves during training, its run is completed; otherwise a run is created. A run whose logging
was interrupted is closed and logged again, so a finished run is always complete.
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
from seqloom.export.settings import EXPORTS
from seqloom.tracking.client.library import mlflow
from seqloom.tracking.client.names import ARTIFACT, FINGERPRINT, REMOVED
from seqloom.tracking.client.run_data import log_metrics, log_params, log_tags, logged_steps
from seqloom.tracking.client.store import Store, experiment_id, holds_model, local_folder, registry_errors
from seqloom.tracking.runs.curves import Point
from seqloom.tracking.runs.page import TABLE, Sample, is_score, log_numbers, log_table, save_view

_CODE = Path(__file__).with_name("served_model.py")  # passed as a file: importing it would import torch
TRAINING = "seqloom.training"  # tag of runs: the name of the training's folder in scratch
_MODEL_NAME = "model"
_REQUIRED = ("torch", "sentencepiece", "sentencex", "safetensors", "numpy", "pydantic", "pyyaml")


class Dataset(NamedTuple):
    """A split of the corpus that the run used."""

    name: str
    context: str  # train, valid or test
    digest: str  # DVC's hash or another hash of the content
    place: str
    pairs: int


class Model(NamedTuple):
    """The model folder that train_model wrote, and what is logged with it."""

    folder: Path
    search: Mapping[str, Any]  # search settings, written to search.json
    example: str  # a source sentence
    language: str  # target language of the example if the model needs one, else empty
    needs: Sequence[str]  # libraries that this model needs besides those that all models need
    description: Mapping[str, str]  # tags of the logged model
    export: Path | None = None  # a folder that becomes part of the model folder, as an export (`export.folder`)
    files: Mapping[str, str] = {}  # names and texts of more files in the model folder


class TrainingRun(NamedTuple):
    """Everything that is logged of a run."""

    name: str
    note: str  # its description on MLflow's page
    fingerprint: str
    began: float  # seconds since the epoch
    params: Mapping[str, Any]  # with dotted names
    tags: Mapping[str, str]
    curves: Sequence[Point]
    metrics: Mapping[str, float]  # test scores and costs
    numbers: Mapping[str, float]  # all numbers of the result, for the table numbers.json
    datasets: Sequence[Dataset]
    artifacts: Sequence[tuple[Path, str]]  # files and folders, each with its artifact folder; "" is the root
    model: Model
    task: Task
    training: str | None = None  # the name of the training's folder in scratch
    samples: Sequence[Sample] = ()


class Logged(NamedTuple):
    """The ids of a finished run and its logged model."""

    run_id: str
    model_id: str


def log_run(store: Store, experiment: str, run: TrainingRun) -> Logged:
    """Log a run and its model, unless a finished run with the same fingerprint exists; return their ids.

    Raises:
        RegistryError: the store refuses. The unfinished run is marked as failed, now or by the next call.
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
    """Return the newest run of a training that only `seqloom sync` has written, or None."""
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
    """Return the finished run with that fingerprint, or None. Interrupted ones are marked as killed."""
    found = None
    for run in store.client.search_runs([home], f"tags.`{FINGERPRINT}` = '{fingerprint}'"):
        if run.info.status in ("RUNNING", "SCHEDULED"):
            store.client.set_terminated(run.info.run_id, "KILLED")
        outputs = run.outputs.model_outputs if run.outputs else []
        if run.info.status == "FINISHED" and outputs and found is None and _has_files(store, outputs[0].model_id):
            found = Logged(run.info.run_id, outputs[0].model_id)
    return found


def _has_files(store: Store, model_id: str) -> bool:
    model = store.client.get_logged_model(model_id)
    folder = local_folder(store, model.artifact_location)
    return REMOVED not in (model.tags or {}) and (folder is None or holds_model(folder))


@contextmanager
def _closed(store: Store, run_id: str) -> Iterator[None]:
    """Set the run's status when the block ends: finished, failed, or killed."""
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
    """Log params, curves and datasets, but no param (MLflow refuses) or point (MLflow repeats it) twice."""
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
    """Log metrics. Scores are also linked to the model, so that its page shows them."""
    entities = [
        mlflow.entities.Metric(name, value, _now(), 0, model_id=model_id if is_score(name) else None)
        for name, value in metrics.items()
    ]
    log_metrics(store, run_id, entities)


def _input(dataset: Dataset) -> Any:
    described = mlflow.entities.Dataset(
        name=dataset.name,
        digest=dataset.digest[:36],  # MLflow's limit
        source_type="local",
        source=json.dumps({"uri": dataset.place}),
        profile=json.dumps({"num_rows": dataset.pairs}),
    )
    return mlflow.entities.DatasetInput(described, [mlflow.entities.InputTag("mlflow.data.context", dataset.context)])


def _log_model(store: Store, home: str, run_id: str, run: TrainingRun) -> str:
    """Log the model folder and search settings as a model from code, without pickle; return the model's id."""
    model_id = store.client.create_logged_model(
        experiment_id=home,
        name=_MODEL_NAME,
        source_run_id=run_id,
        tags=dict(run.model.description) | {FINGERPRINT: run.fingerprint},
        params={name: str(value) for name, value in run.params.items()},
    ).model_id
    with tempfile.TemporaryDirectory(prefix="seqloom-") as scratch:
        folder = shutil.copytree(run.model.folder, Path(scratch) / ARTIFACT)
        if run.model.export is not None:
            shutil.copytree(run.model.export, folder / EXPORTS / run.model.export.name)
        (folder / "search.json").write_text(json.dumps(run.model.search, indent=2) + "\n", encoding="utf-8")
        for name, text in run.model.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        mlflow.models.Model.log(  # mlflow.pyfunc.log_model would end the run too early
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
    """MLflow's pyfunc flavor, without the absolute paths that it writes to MLmodel and never reads."""

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
    """Return the signature: strings to strings, in a column without a name, so that MLflow accepts lists and frames."""
    types = mlflow.types
    strings = types.Schema([types.ColSpec(types.DataType.string)])
    params = [
        types.ParamSpec("beam", types.DataType.integer, search["beam"]),
        types.ParamSpec("length_penalty", types.DataType.double, search["length_penalty"]),
        types.ParamSpec("language", types.DataType.string, ""),
    ]
    return mlflow.models.ModelSignature(inputs=strings, outputs=strings, params=types.ParamSchema(params))


def _example(model: Model) -> Any:
    """Return an input example: a list of texts, with params if the model needs a target language."""
    texts = [model.example]
    return (texts, {"language": model.language}) if model.language else texts


def requirements(more: Sequence[str] = ()) -> list[str]:
    """Return pinned requirements for loading the model, besides MLflow, without local versions such as `+cpu`."""
    pins = [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in (*_REQUIRED, *more)]
    return [f"seqloom=={__version__}", *pins]


def _now() -> int:
    return time.time_ns() // 1_000_000
