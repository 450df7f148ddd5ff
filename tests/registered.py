"""Registered versions with a few bytes instead of a model, made through MLflow's client in milliseconds each."""

import tempfile
from pathlib import Path
from typing import Any

from seqloom.tracking.client.library import artifact_repository_registry
from seqloom.tracking.client.names import FINGERPRINT, VERDICT
from seqloom.tracking.client.store import Store, experiment_id
from seqloom.tracking.runs.training_run import TRAINING

NAME = "seqloom-en-de"
WEIGHTS = 1000  # bytes of each version


def add_version(
    store: Store, verdict: str | None = "worse", name: str = NAME, tags: dict[str, str] | None = None, **params: str
) -> str:
    """Register a version with a verdict (None: not judged) and params of its run; return its number."""
    client = store.client
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    home = experiment_id(store, "seqloom")
    run = client.create_run(home, tags={FINGERPRINT: "f", TRAINING: "t"}).info.run_id
    for key, value in params.items():
        client.log_param(run, key, value)
    model = client.create_logged_model(home, name="model", source_run_id=run)
    write_files(store, model)
    client.set_terminated(run, "FINISHED")
    found = {FINGERPRINT: "f", **({} if verdict is None else {VERDICT: verdict}), **(tags or {})}
    source = f"models:/{model.model_id}"
    made = client.create_model_version(name, source=source, run_id=run, tags=found, model_id=model.model_id)
    return str(made.version)


def write_files(store: Store, model: Any) -> None:
    """Write the files of a logged model, on this machine or in an object store."""
    with tempfile.TemporaryDirectory() as name:
        weights = Path(name) / "artifacts" / "model" / "model.safetensors"
        weights.parent.mkdir(parents=True)
        weights.write_bytes(b"w" * WEIGHTS)
        (Path(name) / "MLmodel").write_bytes(b"")
        repository = artifact_repository_registry.get_artifact_repository(model.artifact_location, store.uri)
        repository.log_artifacts(name)


def files_of(root: Path) -> list[str]:
    """Return the ids of the models in a store whose files are there."""
    return sorted(path.parts[-3] for path in (root / "mlartifacts" / "models").glob("*/artifacts/MLmodel"))
