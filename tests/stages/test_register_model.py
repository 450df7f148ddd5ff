import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom import places
from seqloom.errors import RegistryError, SeqloomError
from seqloom.export import loading
from seqloom.export.fast_search import FastSearch
from seqloom.params import Params
from seqloom.progress import Progress, ignore
from seqloom.stages import register_model
from seqloom.stages.register_model import run
from seqloom.stages.registration.results import read_results
from seqloom.tracking.client.library import mlflow
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry.versions import Reference, fetch_model, list_versions
from seqloom.tracking.runs import training_run as runs
from seqloom.tracking.runs.page import VIEW_TAG, view_columns
from seqloom.translation.texts import TextTranslator
from tests.stages.registering import MODEL, export_candidate, logged_runs, registered
from tests.workspaces import give_store, write_results


def test_a_result_becomes_a_run_and_a_version(workspace: Path) -> None:
    params = write_results(workspace)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    outs = [{"path": "data/corpus", "hash": "md5", "md5": "12ab.dir"}]
    (workspace / "dvc.lock").write_text(json.dumps({"stages": {"prepare_corpus": {"cmd": "x", "outs": outs}}}))
    reports: list[Progress] = []
    run(params, reports.append)

    store = connect(workspace, create=False)
    (logged,) = logged_runs(store)
    assert logged.info.status == "FINISHED"
    assert logged.info.run_name.startswith("transformer-tiny en-de ")
    assert logged.data.tags["mlflow.note.content"].startswith("BLEU 12.5 [11.5, 13.5], chrF 40.0")
    assert logged.data.params["train.lr"] == "0.002"
    assert logged.data.params["corpora.home_assistant.package"] == "homeassistant"
    assert logged.data.params["model.transformer.width"] == "16"
    assert not [name for name in logged.data.params if "lstm" in name or "model.pretrained" in name]
    kind = {"task": "translation", "direction": "en-de", "model.name": "transformer", "model.preset": "tiny"}
    assert kind.items() <= logged.data.tags.items()
    assert logged.data.tags["git.dirty"] == "false"
    assert len(logged.data.tags["git.commit"]) == 40
    assert logged.data.tags["dvc.data/corpus"] == "12ab.dir"
    assert float(logged.data.tags["speed.segments_per_s"]) > 0
    assert logged.data.metrics["test/bleu"] == 12.5
    assert set(logged.data.metrics) == {
        "test/bleu", "test/chrf", "test/ter", "train/loss", "train/lr", "train/grad_norm", "train/tokens_per_s",
        "valid/loss", "valid/bleu",
    }  # fmt: skip
    (file,) = (workspace / "mlartifacts").rglob("numbers.json")
    numbers = json.loads(file.read_text(encoding="utf-8"))["data"]
    assert ["corpus", "splits.train", 8.0] in numbers
    assert ["tokens", "train.too_long", 1.0] in numbers
    assert ["test", "bleu.low", 11.5] in numbers
    assert view_columns("translation")[0] in store.client.get_experiment(logged.info.experiment_id).tags[VIEW_TAG]
    loss = store.client.get_metric_history(logged.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in loss] == [(10, 5.5), (20, 4.5)]
    assert loss[1].timestamp - loss[0].timestamp == 5000  # ten steps of half a second
    assert logged.data.metrics["train/tokens_per_s"] == 200
    assert {dataset.dataset.name for dataset in logged.inputs.dataset_inputs} == {
        "home_assistant train", "home_assistant valid", "home_assistant test"
    }  # fmt: skip
    kept = {file.path for file in store.client.list_artifacts(logged.info.run_id)}
    assert {"report", "plots", "metrics", "params.yaml", "dvc.lock"} <= kept

    (version,) = registered(workspace).values()
    assert version.aliases == ("candidate", "champion")
    assert version.bleu is not None
    assert version.bleu == (12.5, 11.5, 13.5)
    assert (version.pairs, version.direction, version.test_sha256) == (8, "en-de", "a" * 64)
    assert (version.task, version.family, version.rouge_l) == ("translation", "transformer", None)
    assert version.commit == logged.data.tags["git.commit"]
    written = json.loads(places.REGISTRATION.read_text())
    assert written == {
        "model": "seqloom-en-de", "fingerprint": version.fingerprint, "bleu": 12.5, "test_sha256": "a" * 64
    }  # fmt: skip
    assert (reports[-1].done, reports[-1].total) == (4, 4)
    assert "champion" in reports[-1].note


def test_several_directions_are_one_model_with_scores_of_each(workspace: Path) -> None:
    params = write_results(workspace, languages={"source": "en", "target": ["de", "fr"]})
    reports: list[Progress] = []
    run(params, reports.append)
    store = connect(workspace, create=False)
    (logged,) = logged_runs(store)
    assert logged.info.run_name.startswith("transformer-tiny en-to-de-fr ")
    assert logged.data.tags["direction"] == "en-de, en-fr"
    assert "(means of 2 directions)" in logged.data.tags["mlflow.note.content"]
    for name in ("test/bleu", "test/en-de/bleu", "test/en-fr/bleu"):
        assert name in logged.data.metrics
    assert "test/en-fr/chrf" not in logged.data.metrics
    (version,) = list_versions(store, Reference("seqloom-en-to-de-fr"))
    assert (version.direction, version.aliases) == ("en-de, en-fr", ("candidate", "champion"))
    model = mlflow.pyfunc.load_model("models:/seqloom-en-to-de-fr@champion")
    folder = fetch_model(store, Reference("seqloom-en-to-de-fr", alias="champion"))
    (expected,) = TextTranslator.load(folder).translate(["Turn on the light"], language="fr")
    assert model.predict(["Turn on the light"], params={"language": "fr"}) == [expected.text]
    with pytest.raises(SeqloomError, match="this model writes de, fr"):
        model.predict(["Turn on the light"])
    with pytest.raises(SeqloomError, match="it writes de, fr"):
        model.predict(["Turn on the light"], params={"language": "es"})


def test_an_export_is_part_of_the_version_and_is_served_if_ctranslate2_is_there(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = write_results(workspace, bleu=12.5)
    export_candidate(bleu=12.0)
    run(params, ignore)
    assert "champion" in registered(workspace)["1"].aliases
    folder = fetch_model(connect(workspace, create=False), MODEL._replace(number="1"))
    assert (folder / "ctranslate2" / "int8" / "model.bin").is_file()
    assert not (folder / "ctranslate2" / "float32").exists()
    tags = connect(workspace, create=False).client.get_model_version(MODEL.name, "1").tags
    assert tags["gate.BLEU_of_the_export"] == "BLEU of the export 12 (at most 1 below 12.5 of torch)"
    model = mlflow.pyfunc.load_model("models:/seqloom-en-de@champion")
    fast = model.unwrap_python_model()._translator.translator.engine
    assert isinstance(fast, FastSearch)
    text = "Turn on {name}"
    assert "{name}" in model.predict([text])[0]
    assert sum(fast.tally) == 1
    needed = Path(mlflow.pyfunc.get_model_dependencies("models:/seqloom-en-de@champion")).read_text()
    assert "ctranslate2==" in needed
    monkeypatch.setattr(loading, "is_installed", lambda: False)
    slow = mlflow.pyfunc.load_model("models:/seqloom-en-de@champion")
    assert slow.unwrap_python_model()._translator.translator.engine is None
    assert "{name}" in slow.predict([text])[0]


def test_the_second_time_nothing_is_new(workspace: Path, version_1: Params) -> None:
    before, first = places.REGISTRATION.read_bytes(), registered(workspace)
    run(version_1, ignore)
    assert registered(workspace) == first
    assert len(logged_runs(connect(workspace, create=False))) == 1
    assert places.REGISTRATION.read_bytes() == before


@pytest.mark.usefixtures("untried")
def test_an_empty_store_gets_the_same_registration(workspace: Path, version_1: Params) -> None:
    before = places.REGISTRATION.read_bytes()
    elsewhere = workspace / "clone"
    for name in ("models", "data", "metrics", "plots", "reports", "params.yaml"):
        copy = shutil.copytree if (workspace / name).is_dir() else shutil.copy
        elsewhere.mkdir(exist_ok=True)
        copy(workspace / name, elsewhere / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        give_store(elsewhere)
        run(version_1, ignore)
        assert places.REGISTRATION.read_bytes() == before
        assert [version.aliases for version in registered(elsewhere).values()] == [("candidate", "champion")]


@pytest.mark.usefixtures("untried")
def test_the_files_of_a_moved_folder_are_registered_anew(workspace: Path, version_1: Params) -> None:
    shutil.rmtree(workspace / "mlartifacts")
    with pytest.raises(RegistryError, match="make run"):
        fetch_model(connect(workspace, create=False), Reference("seqloom-en-de", alias="champion"))
    run(version_1, ignore)
    run(version_1, ignore)
    assert (
        fetch_model(connect(workspace, create=False), Reference("seqloom-en-de", alias="champion")) / "model.json"
    ).is_file()
    assert {number: version.aliases for number, version in registered(workspace).items()} == {
        "1": (), "2": ("candidate", "champion")
    }  # fmt: skip


@pytest.mark.usefixtures("untried")
def test_a_label_is_put_on_what_is_registered(workspace: Path, version_1: Params) -> None:
    run(version_1.model_copy(update={"register_": version_1.register_.model_copy(update={"label": "night"})}), ignore)
    store = connect(workspace, create=False)
    (logged,) = logged_runs(store)
    assert logged.data.tags["label"] == "night"
    assert store.client.get_model_version("seqloom-en-de", "1").tags["label"] == "night"


def test_a_label_is_no_part_of_a_result(workspace: Path) -> None:
    params = write_results(workspace)
    results = read_results()
    labelled = params.model_copy(update={"register_": params.register_.model_copy(update={"label": "night"})})
    faster = params.model_copy(update={"train": params.train.model_copy(update={"lr": 0.1})})
    identity = register_model.identify(params, results)
    assert register_model.identify(labelled, results) == identity
    assert register_model.identify(faster, results) != identity
    lstm = params.model.lstm.model_copy(update={"hidden": 64})  # which nothing was made of
    idle = params.model_copy(update={"model": params.model.model_copy(update={"lstm": lstm})})
    assert register_model.identify(idle, results) == identity
    (places.CANDIDATE / "model.json").write_text("{}")
    assert register_model.identify(params, results) != identity


def test_other_code_to_serve_a_model_is_another_version(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params, results = write_results(workspace), read_results()
    identity = register_model.identify(params, results)
    assert register_model.SERVED.samefile(runs._CODE)
    changed = workspace / "served_model.py"
    changed.write_text(register_model.SERVED.read_text() + "# changed\n")
    monkeypatch.setattr(register_model, "SERVED", changed)
    assert register_model.identify(params, results) != identity


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda: places.EVALUATION_METRICS.unlink(), "dvc repro evaluate_model"),
        (lambda: places.EVALUATION_METRICS.write_text("{"), "cannot be read"),
        (lambda: places.EVALUATION_METRICS.write_text('{"bleu": 3}'), "no leading score or no test_sha256"),
        (lambda: (places.TOKENS / "counts.json").unlink(), "dvc repro train_tokenizer"),
        (lambda: places.CORPUS_METRICS.write_text("[]"), "dvc repro prepare_corpus"),
        (lambda: places.CORPUS_METRICS.write_text("{}"), "splits"),
        (lambda: shutil.rmtree(places.CANDIDATE), "dvc repro train_model"),
        (lambda: places.TRAINING_PLOT.write_text("a,b\n1,2\n"), "training.csv"),
    ],
)
def test_a_result_that_is_missing_is_named(workspace: Path, spoil: Callable[[], object], message: str) -> None:
    params = write_results(workspace)
    spoil()
    with pytest.raises(RegistryError, match=message):
        run(params, ignore)
    assert not places.REGISTRATION.exists()
    assert registered(workspace) == {}
