import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqloom.decoding.translator import Translator
from seqloom.errors import RegistryError, SeqloomError
from seqloom.progress import Progress, ignore
from seqloom.stages import places, register_model
from seqloom.stages.register_model import run
from seqloom.tracking import registry
from seqloom.tracking import run as runs
from seqloom.tracking.library import mlflow
from seqloom.tracking.store import Store, connect
from seqloom.tracking.versions import Reference, Version, fetch, versions
from tests.finished import finish, give_store

MODEL = Reference("seqloom-en-de")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return tmp_path


def registered(workspace: Path) -> dict[str, Version]:
    return {version.version: version for version in versions(connect(workspace, create=False), MODEL)}


def logged_runs(store: Store) -> list[Any]:
    experiment = store.client.get_experiment_by_name("seqloom")
    return [] if experiment is None else list(store.client.search_runs([experiment.experiment_id]))


def test_a_result_becomes_a_run_and_a_version(workspace: Path) -> None:
    params = finish(workspace)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    outs = [{"path": "data/corpus", "hash": "md5", "md5": "12ab.dir"}]
    (workspace / "dvc.lock").write_text(json.dumps({"stages": {"prepare_corpus": {"cmd": "x", "outs": outs}}}))
    told: list[Progress] = []
    run(params, told.append)

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
    assert logged.data.metrics["test/bleu"] == 12.5
    assert logged.data.metrics["values/corpus/splits.train"] == 8
    assert logged.data.metrics["values/tokens/train.too_long"] == 1
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
    assert (told[-1].done, told[-1].total) == (3, 3)
    assert "champion" in told[-1].note


def test_several_directions_are_one_model_with_scores_of_each(workspace: Path) -> None:
    params = finish(workspace, languages={"source": "en", "target": ["de", "fr"]})
    told: list[Progress] = []
    run(params, told.append)
    store = connect(workspace, create=False)
    (logged,) = logged_runs(store)
    assert logged.info.run_name.startswith("transformer-tiny en-to-de-fr ")
    assert logged.data.tags["direction"] == "en-de, en-fr"
    assert "(means of 2 directions)" in logged.data.tags["mlflow.note.content"]
    for name in ("test/bleu", "test/en-de/bleu", "test/en-fr/bleu", "values/test/en-fr/bleu.low"):
        assert name in logged.data.metrics
    (version,) = versions(store, Reference("seqloom-en-to-de-fr"))
    assert (version.direction, version.aliases) == ("en-de, en-fr", ("candidate", "champion"))
    model = mlflow.pyfunc.load_model("models:/seqloom-en-to-de-fr@champion")
    folder = fetch(store, Reference("seqloom-en-to-de-fr", alias="champion"))
    expected = Translator.load(folder).translate(["Turn on the light"], language="fr")
    assert model.predict(["Turn on the light"], params={"language": "fr"}) == expected
    with pytest.raises(SeqloomError, match="this model writes de, fr"):
        model.predict(["Turn on the light"])
    with pytest.raises(SeqloomError, match="it writes de, fr"):
        model.predict(["Turn on the light"], params={"language": "es"})


def test_a_summary_is_judged_by_rouge(workspace: Path) -> None:
    changes: dict[str, Any] = {"task": "summarization", "languages": {"source": "en", "target": "en"}}
    run(finish(workspace, **changes), ignore)
    told: list[Progress] = []
    run(finish(workspace, bleu=20.0, seed=2, **changes), told.append)
    assert "ROUGE-L 30.00 against 22.50 of version 1" in told[-1].note
    assert json.loads(places.REGISTRATION.read_text())["rougeL"] == 30.0
    found = versions(connect(workspace, create=False), Reference("seqloom-summarization-en"))
    assert [(version.rouge_l, version.ter) for version in found] == [((30, 29, 31), None), ((22.5, 21.5, 23.5), None)]
    assert [version.aliases for version in found] == [("candidate", "champion"), ()]


def test_a_champion_of_another_measure_keeps_its_place(workspace: Path) -> None:
    run(finish(workspace), ignore)
    params = finish(workspace, bleu=20.0, seed=2)
    metrics = json.loads(places.EVALUATION_METRICS.read_text()) | {"leading": "chrf"}
    places.EVALUATION_METRICS.write_text(json.dumps(metrics))
    told: list[Progress] = []
    run(params, told.append)
    assert told[-1].note.endswith("version 1, is measured by BLEU, not chrF: they do not compare")
    assert registered(workspace)["1"].aliases == ("champion",)


def test_a_champion_from_before_scores_were_named_was_measured_by_bleu(workspace: Path) -> None:
    run(finish(workspace), ignore)
    connect(workspace, create=False).client.delete_model_version_tag("seqloom-en-de", "1", "leading")
    told: list[Progress] = []
    run(finish(workspace, bleu=12.6, seed=2), told.append)
    assert "BLEU 12.60 against 12.50 of version 1" in told[-1].note


def test_the_second_time_nothing_is_new(workspace: Path) -> None:
    params = finish(workspace)
    run(params, ignore)
    before, first = places.REGISTRATION.read_bytes(), registered(workspace)
    run(params, ignore)
    assert registered(workspace) == first
    assert len(logged_runs(connect(workspace, create=False))) == 1
    assert places.REGISTRATION.read_bytes() == before


def test_an_empty_store_gets_the_same_registration(workspace: Path) -> None:
    params = finish(workspace)
    run(params, ignore)
    before = places.REGISTRATION.read_bytes()
    elsewhere = workspace / "clone"
    for name in ("models", "data", "metrics", "plots", "reports", "params.yaml"):
        copy = shutil.copytree if (workspace / name).is_dir() else shutil.copy
        elsewhere.mkdir(exist_ok=True)
        copy(workspace / name, elsewhere / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        give_store(elsewhere)
        run(params, ignore)
        assert places.REGISTRATION.read_bytes() == before
        assert [version.aliases for version in registered(elsewhere).values()] == [("candidate", "champion")]


@pytest.mark.parametrize(
    ("bleu", "test_set", "champion", "why"),
    [
        (12.6, "a" * 64, "2", "12.60 against 12.50 of version 1"),
        (12.5, "a" * 64, "1", "not better"),
        (99.0, "b" * 64, "1", "another test set"),
    ],
)
def test_only_a_better_model_on_the_same_test_set_is_champion(
    workspace: Path, bleu: float, test_set: str, champion: str, why: str
) -> None:
    run(finish(workspace), ignore)
    told: list[Progress] = []
    run(finish(workspace, bleu=bleu, seed=2, test_sha256=test_set), told.append)
    aliases = {alias: number for number, version in registered(workspace).items() for alias in version.aliases}
    assert aliases == {"candidate": "2", "champion": champion}
    assert why in told[-1].note
    assert why in (registered(workspace)["2"].verdict or "")


def test_an_earlier_result_is_candidate_again_without_a_new_version(workspace: Path) -> None:
    run(finish(workspace), ignore)
    run(finish(workspace, bleu=20.0, seed=2), ignore)
    run(finish(workspace), ignore)
    found = registered(workspace)
    assert {number: version.aliases for number, version in found.items()} == {"1": ("candidate",), "2": ("champion",)}


def test_a_champion_that_a_person_chose_stays(workspace: Path) -> None:
    run(finish(workspace), ignore)
    params = finish(workspace, bleu=20.0, seed=2)
    run(params, ignore)
    connect(workspace, create=False).client.set_registered_model_alias("seqloom-en-de", "champion", "1")
    told: list[Progress] = []
    run(params, told.append)
    assert registered(workspace)["1"].aliases == ("champion",)
    assert told[-1].note == "seqloom-en-de version 2, not champion: version 1 is, since then"


@pytest.mark.parametrize(
    ("module", "call"),
    [
        (runs, "_log_model"),
        (runs, "_log_facts"),
        (runs, "_now"),
        (registry, "_make_model"),
        (registry, "settle"),
        (registry, "_judge"),
        (places, "write_text"),
    ],
)
def test_killed_anywhere_it_goes_on(workspace: Path, monkeypatch: pytest.MonkeyPatch, module: Any, call: str) -> None:
    params = finish(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(module, call, _killed)
        with pytest.raises(KeyboardInterrupt):
            run(params, ignore)
    assert not places.REGISTRATION.exists()
    run(params, ignore)
    assert [version.aliases for version in registered(workspace).values()] == [("candidate", "champion")]
    statuses = sorted(each.info.status for each in logged_runs(connect(workspace, create=False)))
    assert statuses in (["FINISHED"], ["FINISHED", "KILLED"])


def test_a_run_that_a_power_cut_left_open_is_closed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = finish(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_log_facts", _killed)
        patch.setattr("mlflow.MlflowClient.set_terminated", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            run(params, ignore)
    run(params, ignore)
    assert sorted(each.info.status for each in logged_runs(connect(workspace, create=False))) == ["FINISHED", "KILLED"]


def test_the_files_of_a_moved_folder_are_registered_anew(workspace: Path) -> None:
    params = finish(workspace)
    run(params, ignore)
    shutil.rmtree(workspace / "mlartifacts")
    with pytest.raises(RegistryError, match="make run"):
        fetch(connect(workspace, create=False), Reference("seqloom-en-de", alias="champion"))
    run(params, ignore)
    run(params, ignore)
    assert (
        fetch(connect(workspace, create=False), Reference("seqloom-en-de", alias="champion")) / "model.json"
    ).is_file()
    assert {number: version.aliases for number, version in registered(workspace).items()} == {
        "1": (), "2": ("candidate", "champion")
    }  # fmt: skip


def test_a_label_is_put_on_what_is_registered(workspace: Path) -> None:
    params = finish(workspace)
    run(params, ignore)
    run(params.model_copy(update={"register_": params.register_.model_copy(update={"label": "night"})}), ignore)
    store = connect(workspace, create=False)
    (logged,) = logged_runs(store)
    assert logged.data.tags["label"] == "night"
    assert store.client.get_model_version("seqloom-en-de", "1").tags["label"] == "night"


def test_a_label_is_no_part_of_a_result(workspace: Path) -> None:
    params = finish(workspace)
    results = register_model.read_results()
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


@pytest.mark.parametrize(
    ("spoil", "said"),
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
def test_a_result_that_is_missing_is_named(workspace: Path, spoil: Callable[[], object], said: str) -> None:
    params = finish(workspace)
    spoil()
    with pytest.raises(RegistryError, match=said):
        run(params, ignore)
    assert not places.REGISTRATION.exists()
    assert registered(workspace) == {}


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
