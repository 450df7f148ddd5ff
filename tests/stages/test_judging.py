"""Which registered version becomes champion."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from seqloom import places
from seqloom.gate.performance import LoadedVersion
from seqloom.params import Params
from seqloom.progress import Progress, ignore
from seqloom.stages.register_model import run
from seqloom.stages.registration import judging
from seqloom.tracking.client.run_data import read_artifact
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.registry.champion import history
from seqloom.tracking.registry.versions import Reference, list_versions
from tests.stages.registering import registered, teach
from tests.workspaces import made_pairs, write_results

pytestmark = pytest.mark.usefixtures("untried")


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
