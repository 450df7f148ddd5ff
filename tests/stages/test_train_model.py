"""The whole stage in a temporary folder, in the process of the test."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom import places
from seqloom.batching.store import TokenStore
from seqloom.decoding.model_folder import read_longest_source
from seqloom.decoding.translator import Translator
from seqloom.errors import CorpusError, TrainingError
from seqloom.languages import Direction
from seqloom.params import load_params
from seqloom.progress import Progress, ignore
from seqloom.stages import train_model, train_tokenizer
from seqloom.stages.training import preflight
from seqloom.stages.training.identity import fingerprint, identify
from seqloom.training.device import place
from tests.records import tree
from tests.stages.toy_training import (
    SUBWORDS,
    WEIGHTS,
    Killed,
    change_params,
    kill,
    outputs,
    start_afresh,
    write_corpus,
)


@pytest.mark.parametrize("family", ["transformer", "lstm", "attention_lstm"])
def test_writes_a_model_folder_that_translates_and_a_learning_curve(toy_project: Path, family: str) -> None:
    heard: list[Progress] = []
    train_model.run(change_params(sections={"model": {"name": family}}), heard.append)
    translator = Translator.load(places.CANDIDATE, "cpu")
    assert len(translator.translate(["abc", ""])) == 2
    assert translator.languages.directions == [Direction("en", "de")]
    assert read_longest_source(places.CANDIDATE) == int(TokenStore.open(places.TOKENS / "train").source_lengths.max())
    metrics = json.loads(places.TRAINING_METRICS.read_text())
    assert metrics["steps"] == 20
    assert metrics["stopped_because"] == "max_steps (20) reached"
    rows = list(csv.DictReader(places.TRAINING_PLOT.read_text().splitlines()))
    assert [row["step"] for row in rows] == ["4", "8", "12", "16", "20"]
    assert [bool(row["valid_bleu"]) for row in rows] == [False, True, False, True, True]
    assert heard[-1].done == heard[-1].total == 20
    assert any("tokens/s" in progress.note for progress in heard)


def test_the_same_inputs_give_the_same_bytes(trained_project: Path) -> None:
    first = outputs()
    assert len(first) == 8
    start_afresh()
    torch.manual_seed(77)
    train_model.run(load_params(), ignore)
    assert outputs() == first


def test_other_params_start_a_new_run_and_the_old_ones_find_their_checkpoint(trained_project: Path) -> None:
    first = outputs()
    train_model.run(change_params(lr=0.01), ignore)
    assert outputs() != first
    assert len(list(places.SCRATCH.iterdir())) == 2
    heard: list[Progress] = []
    train_model.run(change_params(), heard.append)
    assert outputs() == first
    assert heard[0].note == "going on from a checkpoint"
    assert heard[0].done == 20


RECIPES: dict[str, object] = {
    "r_drop": 5.0, "word_dropout": 0.1, "subword_sampling": 0.2, "direction_temperature": 5.0, "ema_decay": 0.99,
    "max_steps": 14,
}  # fmt: skip
BILINGUAL: dict[str, Any] = {"languages": {"source": "en", "target": ["de", "fr"]}}


def test_all_recipes_on_two_directions_give_the_same_bytes_after_a_kill(toy_project: Path) -> None:
    params = change_params(sections=BILINGUAL | SUBWORDS, **RECIPES)
    write_corpus(["en-de", "en-fr"], (120, 12))
    train_tokenizer.run(params, ignore)
    train_model.run(params, ignore)
    undisturbed = outputs()
    assert len(Translator.load(places.CANDIDATE, "cpu").translate(["abc de", ""], language="fr")) == 2
    start_afresh()
    with pytest.raises(Killed):
        train_model.run(params, kill)
    heard: list[Progress] = []
    train_model.run(params, heard.append)
    assert (heard[0].done, heard[0].note) == (10, "going on from a checkpoint")
    assert outputs() == undisturbed
    for name in RECIPES.keys() - {"max_steps"}:
        train_model.run(change_params(sections=BILINGUAL | SUBWORDS, **RECIPES | {name: tree()["train"][name]}), ignore)
        assert outputs()[WEIGHTS] != undisturbed[WEIGHTS], name


def test_unused_settings_do_not_start_a_new_run(toy_project: Path) -> None:
    def identity(**sections: Any) -> str:
        params = change_params(sections=sections)
        return fingerprint(identify(params, place(params.train)))

    first = identity()
    assert identity(model={"lstm": {"hidden": 32}}) == first
    assert identity(search={"beam": 3, "method": "sampling", "temperature": 0.5}) == first
    assert identity(model={"transformer": {"width": 32}}) != first
    assert identity(model={"name": "lstm"}) != first
    assert identity(search={"max_length_extra": 3, "no_repeat_ngram": 2, "batch_tokens": 64}) == first
    assert identity(train={"validation_search": {"max_length_extra": 3}}) != first
    assert identity(train={"word_dropout": 0.1}) != first


def test_a_new_run_next_to_an_unfinished_one_logs_the_differences(
    toy_project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Killed):
        train_model.run(load_params(), kill)
    train_model.run(change_params(lr=0.01), ignore)
    (message,) = [record.message for record in caplog.records if "unfinished" in record.message]
    assert message.endswith("from the beginning: the unfinished run had other inputs (train.lr was 0.004, is 0.01)")
    caplog.clear()
    train_model.run(change_params(), ignore)  # resumes
    train_model.run(change_params(lr=0.02), ignore)  # next to finished runs
    assert not [record for record in caplog.records if "unfinished" in record.message]


def test_an_edit_during_training_is_an_error(toy_project: Path) -> None:
    params = load_params()

    def edit(progress: Progress) -> None:
        if progress.task == "train" and progress.done == 13:
            change_params(lr=0.01, sections={"search": {"beam": 3}})

    with pytest.raises(TrainingError, match=r"while the model was trained \(train\.lr was 0\.004, is 0\.01\), and DVC"):
        train_model.run(params, edit)
    assert not places.CANDIDATE.exists()
    assert not places.TRAINING_METRICS.exists()
    heard: list[Progress] = []
    train_model.run(change_params(), heard.append)
    assert heard[0].note == "going on from a checkpoint"
    assert heard[0].done == 20
    assert places.CANDIDATE.exists()


def test_invalid_tokens_are_an_error_before_the_first_step(toy_project: Path) -> None:
    ids = places.TOKENS / "train" / "source.ids.bin"
    content = bytearray(ids.read_bytes())
    content[40:42] = (60_000).to_bytes(2, "little")
    ids.write_bytes(content)
    with pytest.raises(CorpusError, match=r"data/tokens/train.*source id 60000 is outside the vocabulary"):
        train_model.run(load_params(), ignore)
    assert not places.CANDIDATE.exists()


def test_an_automatic_batch_size_is_stored_and_used_again(toy_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "tokens_that_fit", lambda *given: 96)
    train_model.run(change_params(tokens_per_batch="auto"), ignore)
    first = outputs()
    assert json.loads(places.TRAINING_METRICS.read_text())["tokens_per_batch"] == 96
    monkeypatch.setattr(preflight, "tokens_that_fit", lambda *given: 64)
    train_model.run(load_params(), ignore)
    assert outputs() == first
