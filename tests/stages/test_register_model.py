import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from seqloom import places
from seqloom.corpus.keys import fraction_of
from seqloom.corpus.splits import Pair, SplitWriter, read_split
from seqloom.errors import RegistryError, SeqloomError
from seqloom.export import loading
from seqloom.export.fast_search import FastSearch
from seqloom.export.folder import write_export
from seqloom.export.settings import TRANSLATIONS
from seqloom.gate.performance import LoadedVersion
from seqloom.languages import Direction
from seqloom.params import Params, load_params
from seqloom.progress import Progress, ignore
from seqloom.stages import register_model
from seqloom.stages.register_model import run
from seqloom.stages.registration import judging
from seqloom.stages.registration.export_loss import export_rules
from seqloom.stages.registration.results import read_results
from seqloom.symbols import SPECIAL_IDS
from seqloom.tracking.client.library import mlflow
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.registry import registration as registry
from seqloom.tracking.registry.champion import history
from seqloom.tracking.registry.versions import Reference, Version, fetch_model, list_versions
from seqloom.tracking.runs import training_run as runs
from seqloom.tracking.runs.page import VIEW_TAG, view_columns
from seqloom.translation.texts import TextTranslator
from tests.workspaces import give_registered, give_store, made_pairs, write_results

MODEL = Reference("seqloom-en-de")
DE, FR = Direction("en", "de"), Direction("en", "fr")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def registered_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one registered version, made before a test replaces any function."""
    folder = tmp_path_factory.mktemp("registered")
    give_registered(folder)
    return folder


@pytest.fixture
def version_1(registered_once: Path, workspace: Path) -> Params:
    """The params of the workspace, in which version 1 is registered."""
    shutil.copytree(registered_once, workspace, dirs_exist_ok=True)
    return load_params(workspace / "params.yaml")


@pytest.fixture
def skilled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions whose translations match their made-up BLEU: that share of the test segments is correct."""

    def load(folder: Path, device: str) -> Any:
        skill = float((folder / "skill").read_text())
        answers = {pair.source: pair.target for way in (DE, FR) for pair in made_pairs([way])}

        def write(sources: Sequence[str], *_: object) -> list[str]:
            chosen = [fraction_of(source, "skill") < skill for source in sources]
            return [answers[each] if right else each[::-1] for each, right in zip(sources, chosen, strict=True)]

        return SimpleNamespace(translate=write, size=1000)

    monkeypatch.setattr(LoadedVersion, "load", load)


def registered(workspace: Path) -> dict[str, Version]:
    return {version.version: version for version in list_versions(connect(workspace, create=False), MODEL)}


def logged_runs(store: Store) -> list[Any]:
    experiment = store.client.get_experiment_by_name("seqloom")
    return [] if experiment is None else list(store.client.search_runs([experiment.experiment_id]))


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


def export_candidate(bleu: float) -> None:
    """Write what export_model would, with a made-up score of the export."""
    write_export(places.CANDIDATE, SPECIAL_IDS, "int8", places.EXPORT / "int8")
    quality = {"int8": {"scores": {"bleu": bleu, "chrf": 40.0}, "placeholders": 1.0}}
    places.EXPORT_METRICS.write_text(json.dumps({"exported": True, "reason": None, "quality": quality}))


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


def translate_candidate(exported: Callable[[int, str], str]) -> None:
    """Write translations of the test split: those of torch are the references, and the export changes them."""
    pairs = list(read_split(places.CORPUS / "test.tsv"))
    rows = [f"{pair.source}\t{pair.target}\t{pair.target}\n" for pair in pairs]
    places.HYPOTHESES.write_text("source\treference\thypothesis\n" + "".join(rows), encoding="utf-8")
    texts = [exported(row, pair.target) for row, pair in enumerate(pairs)]
    (places.EXPORT / TRANSLATIONS).write_text(json.dumps({"int8": texts}), encoding="utf-8")


def test_an_export_that_loses_too_much_makes_no_champion(workspace: Path) -> None:
    params = write_results(workspace, bleu=12.5)
    export_candidate(bleu=11.0)
    translate_candidate(lambda row, text: text[::-1])
    run(params, ignore)
    version = registered(workspace)["1"]
    assert "champion" not in version.aliases
    assert version.verdict == (
        "the export is too inexact: BLEU of the export 11, p = 0.010 (required: at most 1 below 12.5 of torch)"
    )


def test_a_loss_of_the_export_by_chance_is_only_remarked_on(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    params = write_results(workspace, bleu=12.5)
    export_candidate(bleu=11.0)
    translate_candidate(lambda row, text: text[::-1] if row == 7 else text)
    run(params, ignore)
    assert "champion" in registered(workspace)["1"].aliases
    tags = connect(workspace, create=False).client.get_model_version(MODEL.name, "1").tags
    remark = tags["gate.BLEU_of_the_export"]
    assert remark.startswith("BLEU of the export 11, p = 0.")
    assert remark.endswith("(not at most 1 below 12.5 of torch, but the loss is not significant)")
    assert f"{remark}: look at its translations, or use a larger test split" in caplog.text


def test_missing_translations_of_an_export_are_named(workspace: Path) -> None:
    params = write_results(workspace, bleu=12.5)
    export_candidate(bleu=11.0)
    with pytest.raises(RegistryError, match=r"translations\.json.*`dvc repro export_model` writes it"):
        list(export_rules(params))
    translate_candidate(lambda row, text: text)
    (places.EXPORT / TRANSLATIONS).write_text(json.dumps({"int8": ["one"]}))
    with pytest.raises(RegistryError, match="translations of int8, one per test pair"):
        list(export_rules(params))
    translate_candidate(lambda row, text: text)
    places.HYPOTHESES.write_text("source\treference\thypothesis\n")
    with pytest.raises(RegistryError, match=r"hypotheses\.tsv: has 0 translations, but the test split has"):
        list(export_rules(params))
    places.HYPOTHESES.unlink()
    with pytest.raises(RegistryError, match=r"hypotheses\.tsv: cannot be read"):
        list(export_rules(params))
    unbounded = params.model_copy(update={"gate": params.gate.model_copy(update={"max_export_drop": None})})
    assert list(export_rules(unbounded)) == []


@pytest.mark.usefixtures("skilled")
def test_a_summary_is_judged_by_rouge(workspace: Path) -> None:
    changes: dict[str, Any] = {"task": "summarization", "languages": {"source": "en", "target": "en"}}
    run(write_results(workspace, **changes), ignore)
    reports: list[Progress] = []
    run(write_results(workspace, bleu=50.0, seed=2, **changes), reports.append)
    assert "champion: ROUGE-L" in reports[-1].note
    assert json.loads(places.REGISTRATION.read_text())["rougeL"] == 60.0
    found = list_versions(connect(workspace, create=False), Reference("seqloom-summarization-en"))
    assert [(version.rouge_l, version.ter) for version in found] == [((60, 59, 61), None), ((22.5, 21.5, 23.5), None)]
    assert [version.aliases for version in found] == [("candidate", "champion"), ()]


def test_the_second_time_nothing_is_new(workspace: Path, version_1: Params) -> None:
    before, first = places.REGISTRATION.read_bytes(), registered(workspace)
    run(version_1, ignore)
    assert registered(workspace) == first
    assert len(logged_runs(connect(workspace, create=False))) == 1
    assert places.REGISTRATION.read_bytes() == before


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


@pytest.mark.parametrize(
    ("bleu", "champion", "why"),
    [(60.0, "2", "BLEU "), (12.5, "1", "(required: better at p < 0.05)"), (5.0, "1", "chrF ")],
)
@pytest.mark.usefixtures("skilled")
def test_only_a_better_model_is_champion(
    workspace: Path, version_1: Params, bleu: float, champion: str, why: str
) -> None:
    reports: list[Progress] = []
    run(write_results(workspace, bleu=bleu, seed=2), reports.append)
    aliases = {alias: number for number, version in registered(workspace).items() for alias in version.aliases}
    assert aliases == {"candidate": "2", "champion": champion}
    assert why in reports[-1].note
    assert why in (registered(workspace)["2"].verdict or "")

    verdict = json.loads((places.GATE / "verdict.json").read_text())
    assert (verdict["version"], verdict["champion"], verdict["promoted"]) == ("2", "1", champion == "2")
    store = connect(workspace, create=False)
    version = store.client.get_model_version("seqloom-en-de", "2")
    scores, gate = version.description.split("\n\n")
    assert scores.startswith(f"BLEU {bleu}")
    assert gate.startswith(f"The gate: {'' if champion == '2' else 'not '}promoted. ")
    assert why in gate
    assert version.tags["gate.champion"] == "1"
    assert {f"gate.{rule['name'].replace(' ', '_')}" for rule in verdict["rules"]} <= version.tags.keys()
    assert read_artifact(store, version.run_id, "gate/verdict.md") == (places.GATE / "verdict.md").read_bytes()
    moves = history(store, "seqloom-en-de")
    assert [(move.version, move.before, move.how) for move in moves] == [
        ("1", None, "gate"), *([("2", "1", "gate")] if champion == "2" else [])
    ]  # fmt: skip


@pytest.mark.usefixtures("skilled")
def test_a_verdict_is_final_and_changed_bounds_are_reported(
    workspace: Path, version_1: Params, caplog: pytest.LogCaptureFixture
) -> None:
    params = write_results(workspace, bleu=5.0, seed=2)
    run(params, ignore)
    run(params, ignore)
    assert "judged once" not in caplog.text
    lenient = params.model_copy(update={"gate": params.gate.model_copy(update={"max_chrf_drop": 9.0, "p": 0.5})})
    run(lenient, ignore)
    assert registered(workspace)["1"].aliases == ("champion",)
    (message,) = [record.message for record in caplog.records if "judged once" in record.message]
    assert message.startswith(
        "version 2 was refused under other settings (gate.p was 0.05, is 0.5; gate.max_chrf_drop was 0.0, is 9.0)"
    )


@pytest.mark.usefixtures("skilled")
def test_what_the_champion_was_trained_on_is_left_out(workspace: Path) -> None:
    params = write_results(workspace)
    pairs = made_pairs(params.languages.directions)
    teach(pairs[:2])
    run(params, ignore)
    params = write_results(workspace, bleu=60.0, seed=2)
    run(params, ignore)
    rules = {rule["name"]: rule for rule in json.loads((places.GATE / "verdict.json").read_text())["rules"]}
    assert rules["share of test segments left out"]["challenger"] == pytest.approx(2 / 60)

    teach(pairs[:20])
    run(write_results(workspace, bleu=61.0, seed=3), ignore)  # its training data was whole again
    assert registered(workspace)["3"].aliases == ("candidate",)


@pytest.mark.usefixtures("skilled")
def test_a_test_set_that_favours_the_champion_decides_nothing(workspace: Path) -> None:
    params = write_results(workspace)
    teach(made_pairs(params.languages.directions)[:20])
    run(params, ignore)
    reports: list[Progress] = []
    run(write_results(workspace, bleu=90.0, seed=2), reports.append)
    assert "20 of 60 test segments are in the training data of the champion, version 1" in reports[-1].note
    assert registered(workspace)["1"].aliases == ("champion",)


@pytest.mark.usefixtures("skilled")
def test_a_version_that_was_trained_on_the_test_set_is_refused(workspace: Path, version_1: Params) -> None:
    params = write_results(workspace, bleu=90.0, seed=2)
    teach(made_pairs(params.languages.directions)[:1])
    reports: list[Progress] = []
    run(params, reports.append)
    assert "1 segments of the test split are also in the training data of the new version" in reports[-1].note
    assert registered(workspace)["1"].aliases == ("champion",)


def teach(pairs: Sequence[Pair]) -> None:
    """Put pairs into the training split."""
    before = list(read_split(places.CORPUS / "train.tsv"))
    (places.CORPUS / "train.tsv").unlink()
    with SplitWriter(places.CORPUS / "train.tsv") as file:
        for pair in [*before, *pairs]:
            file.write(pair)


def _spoil_numbers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({name: tensor * float("nan") for name, tensor in tensors.items()}, folder / "model.safetensors")


def _spoil_tokenizer(folder: Path) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"source_vocab_size": 3}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_spoil_numbers, "NaN"),
        (_spoil_tokenizer, "they have 3 and 30 entries"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "model.safetensors"),
    ],
)
def test_a_broken_version_is_refused_by_name(
    workspace: Path, version_1: Params, spoil: Callable[[Path], object], message: str
) -> None:
    params = write_results(workspace, bleu=90.0, seed=2)
    spoil(places.CANDIDATE)
    reports: list[Progress] = []
    run(params, reports.append)
    assert "version 2, not champion: the new version is broken: " in reports[-1].note
    assert message in reports[-1].note
    assert registered(workspace)["1"].aliases == ("champion",)


def test_a_version_with_too_many_empty_translations_is_broken(workspace: Path) -> None:
    params = write_results(workspace)
    strict = params.model_copy(update={"gate": params.gate.model_copy(update={"max_empty": 0.0})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoadedVersion, "translate", lambda self, sources, *_: ["", *sources[1:]])
        reports: list[Progress] = []
        run(strict, reports.append)
    assert "the new version is broken: empty share 0.01667 (required: at most 0)" in reports[-1].note
    assert registered(workspace)["1"].aliases == ("candidate",)


@pytest.mark.usefixtures("skilled")
def test_of_two_challengers_the_second_is_compared_with_the_first(
    workspace: Path, version_1: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare, met = judging._compare, []

    def interrupted(store: Store, version: Any, before: str, *rest: Any) -> Any:
        met.append(before)
        verdict = compare(store, version, before, *rest)
        if len(met) == 1:  # another machine finishes in the meantime
            store.client.copy_model_version("models:/seqloom-en-de/1", "seqloom-en-de")
            store.client.set_registered_model_alias("seqloom-en-de", "champion", "3")
        return verdict

    monkeypatch.setattr(judging, "_compare", interrupted)
    run(write_results(workspace, bleu=60.0, seed=2), ignore)
    assert met == ["1", "3"]


@pytest.mark.usefixtures("skilled")
def test_an_earlier_result_is_candidate_again_without_a_new_version(workspace: Path, version_1: Params) -> None:
    run(write_results(workspace, bleu=60.0, seed=2), ignore)
    run(write_results(workspace), ignore)
    found = registered(workspace)
    assert {number: version.aliases for number, version in found.items()} == {"1": ("candidate",), "2": ("champion",)}


@pytest.mark.usefixtures("skilled")
def test_a_champion_that_a_person_chose_stays(workspace: Path, version_1: Params) -> None:
    params = write_results(workspace, bleu=60.0, seed=2)
    run(params, ignore)
    connect(workspace, create=False).client.set_registered_model_alias("seqloom-en-de", "champion", "1")
    reports: list[Progress] = []
    run(params, reports.append)
    assert registered(workspace)["1"].aliases == ("champion",)
    assert reports[-1].note == "seqloom-en-de version 2, not champion: version 1 has replaced it since"


@pytest.mark.parametrize(
    ("module", "call"),
    [
        (runs, "_log_model"),
        (runs, "_log_facts"),
        (runs, "_now"),
        (registry, "_make_model"),
        (register_model, "settle"),
        (judging, "_judge"),
        (judging, "log_verdict"),
        (judging, "set_champion"),
        (register_model, "write_json"),
    ],
)
def test_a_killed_run_is_completed_by_the_next_one(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, module: Any, call: str
) -> None:
    params = write_results(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(module, call, _killed)
        with pytest.raises(KeyboardInterrupt):
            run(params, ignore)
    assert not places.REGISTRATION.exists()
    run(params, ignore)
    assert [version.aliases for version in registered(workspace).values()] == [("candidate", "champion")]
    statuses = sorted(each.info.status for each in logged_runs(connect(workspace, create=False)))
    assert statuses in (["FINISHED"], ["FINISHED", "KILLED"])


@pytest.mark.slow
def test_a_kill_between_the_model_and_its_alias_leaves_no_second_version(workspace: Path) -> None:
    params = write_results(workspace)
    code = """
import os, signal
from seqloom.params import load_params
from seqloom.stages import register_model
register_model.set_candidate = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
register_model.run(load_params(), lambda progress: None)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert [version.aliases for version in registered(workspace).values()] == [()]
    run(params, ignore)
    assert [version.aliases for version in registered(workspace).values()] == [("candidate", "champion")]
    assert [each.info.status for each in logged_runs(connect(workspace, create=False))] == ["FINISHED"]


def test_a_clock_that_was_set_back_changes_no_order(
    workspace: Path, version_1: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr("time.time", lambda: now - 90_000)
        run(write_results(workspace, bleu=60.0, seed=2), ignore)
    found = list_versions(connect(workspace, create=False), MODEL)
    assert [version.version for version in found] == ["2", "1"]
    assert [version.aliases for version in found if "candidate" in version.aliases] == [found[0].aliases]
    assert [move.version for move in history(connect(workspace, create=False), "seqloom-en-de")][:1] == ["1"]
    run(write_results(workspace), ignore)  # the first result again is found, not registered again
    assert len(registered(workspace)) == 2


def test_a_run_that_a_power_cut_left_open_is_closed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = write_results(workspace)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_log_facts", _killed)
        patch.setattr("mlflow.MlflowClient.set_terminated", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            run(params, ignore)
    run(params, ignore)
    assert sorted(each.info.status for each in logged_runs(connect(workspace, create=False))) == ["FINISHED", "KILLED"]


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


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
