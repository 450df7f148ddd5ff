"""The whole stage in a temporary folder; the target language is the source written backwards."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from seqloom import places
from seqloom.batching.store import TokenStore
from seqloom.corpus.splits import Pair, Split, SplitWriter
from seqloom.decoding.model_folder import read_longest_source
from seqloom.decoding.translator import Translator
from seqloom.errors import CorpusError, TrainingError
from seqloom.import_closure import PACKAGE
from seqloom.languages import Direction
from seqloom.params import Params, load_params
from seqloom.progress import Progress, ignore
from seqloom.stages import train_model, train_tokenizer
from seqloom.stages.training import preflight, validation
from seqloom.stages.training.identity import fingerprint, identify
from seqloom.stages.training.inputs import resampling
from seqloom.stages.training.validation import Samples
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.training.device import place
from seqloom.training.reports import CheckpointReport, ValidationReport
from tests.no_network.sitecustomize import NO_NETWORK
from tests.records import merge, tree

CHANGES: dict[str, Any] = {
    "tokenizer": {"name": "characters", "vocab_size": 64, "slots": 2},
    "model": {
        "transformer": {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1},
        "lstm": {"embedding": 8, "hidden": 16, "layers": 1},
        "attention_lstm": {"embedding": 8, "hidden": 16, "encoder_layers": 1, "decoder_layers": 1},
    },
    "train": {
        "device": "cpu", "max_steps": 20, "warmup_steps": 4, "validate_every": 8, "report_every": 4, "average": 2,
        "checkpoint_every": 5, "tokens_per_batch": 128, "validation_segments": 6, "max_epochs": None, "patience": None,
    },
}  # fmt: skip
WRITTEN = [places.CANDIDATE, places.TRAINING_METRICS, places.TRAINING_PLOT]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    change_params()
    write_corpus(["en-de"])
    train_tokenizer.run(load_params(), ignore)
    return tmp_path


def write_corpus(directions: Sequence[str], counts: tuple[int, int] = (80, 10)) -> None:
    """Write pairs of words and the same words backwards; in the second direction also in capitals."""
    places.CORPUS.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    for split, count in zip((Split.train, Split.valid), counts, strict=True):
        (places.CORPUS / split.file_name).unlink(missing_ok=True)
        with SplitWriter(places.CORPUS / split.file_name) as writer:
            for number in range(count):
                direction = directions[number % len(directions)]
                word = " ".join("".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(1 + number % 3))
                back = word[::-1].upper() if directions.index(direction) else word[::-1]
                writer.write(Pair(word, back, direction, "toy", ""))


def change_params(*, sections: dict[str, Any] | None = None, **train: object) -> Params:
    """Write params.yaml with changed settings, `train` ones by keyword, and load it."""
    content = tree()
    for changes in (CHANGES, sections or {}, {"train": train}):
        merge(content, changes)
    content["train"]["lr"] = float(content["train"]["lr"])
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return load_params()


def outputs() -> dict[str, bytes]:
    files = [file for place in WRITTEN for file in ([place] if place.is_file() else place.rglob("*"))]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


@pytest.mark.parametrize("family", ["transformer", "lstm", "attention_lstm"])
def test_writes_a_model_folder_that_translates_and_a_learning_curve(workplace: Path, family: str) -> None:
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


def test_the_same_inputs_give_the_same_bytes(workplace: Path) -> None:
    train_model.run(load_params(), ignore)
    first = outputs()
    assert len(first) == 8
    for folder in places.SCRATCH.iterdir():  # nothing to resume from
        folder.rename(workplace / "aside")
    torch.manual_seed(77)
    train_model.run(load_params(), ignore)
    assert outputs() == first


def test_other_params_start_a_new_run_and_the_old_ones_find_their_checkpoint(workplace: Path) -> None:
    train_model.run(load_params(), ignore)
    first = outputs()
    train_model.run(change_params(lr=0.01), ignore)
    assert outputs() != first
    assert len(list(places.SCRATCH.iterdir())) == 2
    heard: list[Progress] = []
    train_model.run(change_params(), heard.append)
    assert outputs() == first
    assert heard[0].note == "going on from a checkpoint"
    assert heard[0].done == 20


def test_other_code_starts_a_new_run(workplace: Path) -> None:
    copied = workplace / "copy" / PACKAGE.name
    shutil.copytree(PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))

    def train() -> str:
        command = [sys.executable, "-m", "seqloom.stages", "train_model"]
        environment = os.environ | {
            "PYTHONPATH": f"{NO_NETWORK}{os.pathsep}{copied.parent}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    assert "from a checkpoint" not in train()
    first = outputs()
    module = copied / "stages" / "training" / "inputs.py"
    usual = module.read_text(encoding="utf-8")
    module.write_text(usual.replace("        settings.seed,\n", "        settings.seed + 1000,\n"), encoding="utf-8")
    assert "from a checkpoint" not in train()
    weights = str(places.CANDIDATE / "model.safetensors")
    assert outputs()[weights] != first[weights]
    module.write_text(usual, encoding="utf-8")
    assert "from a checkpoint" in train()
    assert outputs() == first


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_stage_writes_a_checkpoint_and_a_rerun_ends_the_same(
    workplace: Path, number: signal.Signals, status: int
) -> None:
    change_params(max_steps=150, validate_every=75, checkpoint_every=150, report_every=50)
    command = [sys.executable, "-m", "seqloom.stages", "train_model"]
    stage = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert stage.stdout is not None
    watchdog = threading.Timer(120, stage.kill)
    watchdog.start()
    assert stage.stdout.readline().startswith("train")  # the first update is reported
    stage.send_signal(number)
    _, errors = stage.communicate()
    watchdog.cancel()
    assert stage.returncode == status
    *warned, error = errors.splitlines()
    assert all(line.startswith("warning: train.") for line in warned)
    assert error == "error: train_model was interrupted; run again to continue"
    assert not places.CANDIDATE.exists()
    (scratch,) = places.SCRATCH.iterdir()
    (checkpoint,) = scratch.glob("step-*")
    assert int(checkpoint.name.removeprefix("step-")) < 150
    heard: list[Progress] = []
    train_model.run(load_params(), heard.append)
    assert heard[0].note == "going on from a checkpoint"
    resumed = outputs()
    scratch.rename(workplace / "aside")
    train_model.run(load_params(), ignore)
    assert outputs() == resumed


def test_a_paused_process_ends_the_same(workplace: Path) -> None:
    change_params(max_steps=30, validate_every=15, checkpoint_every=15)
    stopped = stage()
    watchdog = threading.Timer(120, stopped.kill)
    watchdog.start()
    assert stopped.stdout is not None
    assert stopped.stdout.readline().startswith("train")
    stopped.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    stopped.send_signal(signal.SIGCONT)
    _, errors = stopped.communicate()
    watchdog.cancel()
    assert stopped.returncode == 0, errors
    found = outputs()
    (scratch,) = places.SCRATCH.iterdir()
    scratch.rename(workplace / "aside")
    train_model.run(load_params(), ignore)
    assert outputs() == found


RECIPES: dict[str, object] = {
    "r_drop": 5.0, "word_dropout": 0.1, "subword_sampling": 0.2, "direction_temperature": 5.0, "ema_decay": 0.99,
}  # fmt: skip
BILINGUAL: dict[str, Any] = {"languages": {"source": "en", "target": ["de", "fr"]}}
SUBWORDS: dict[str, Any] = {"tokenizer": {"name": "sentencepiece", "byte_fallback": False, "vocab_size": 64}}


def test_all_recipes_on_two_directions_give_the_same_bytes_after_a_kill(workplace: Path) -> None:
    params = change_params(sections=BILINGUAL | SUBWORDS, **RECIPES)
    write_corpus(["en-de", "en-fr"], (120, 12))
    train_tokenizer.run(params, ignore)
    train_model.run(params, ignore)
    undisturbed = outputs()
    assert len(Translator.load(places.CANDIDATE, "cpu").translate(["abc de", ""], language="fr")) == 2
    for folder in places.SCRATCH.iterdir():
        folder.rename(workplace / "aside")

    class Killed(BaseException):
        pass

    def kill(progress: Progress) -> None:
        if progress.task == "train" and progress.done == 13:
            raise Killed

    with pytest.raises(Killed):
        train_model.run(params, kill)
    heard: list[Progress] = []
    train_model.run(params, heard.append)
    assert (heard[0].done, heard[0].note) == (10, "going on from a checkpoint")
    assert outputs() == undisturbed
    for name in RECIPES:
        train_model.run(change_params(sections=BILINGUAL | SUBWORDS, **RECIPES | {name: tree()["train"][name]}), ignore)
        assert outputs() != undisturbed, name


def test_resampling_depends_only_on_the_seed(workplace: Path) -> None:
    params = change_params(sections=SUBWORDS)
    train_tokenizer.run(params, ignore)
    tokenizer = load_tokenizer(places.TOKENIZER)
    source = tokenizer.encode_source("abcdef gh").ids
    pair = (source, tokenizer.encode_target("hg fedcba", ()))
    resample = resampling(tokenizer, 0.1)
    drawn = [resample(seed, [pair] * 3) for seed in (1, 2, 1)]
    assert drawn[0] == drawn[2] != drawn[1]
    assert {tokenizer.decode(target, ()) for pairs in drawn for _, target in pairs} == {"hg fedcba"}


def test_validation_uses_equally_many_segments_of_each_direction(workplace: Path) -> None:
    write_corpus(["en-de", "en-fr", "en-de"], (3, 30))
    both = [Direction("en", "de"), Direction("en", "fr")]
    found = validation.validation_segments(both, 12)
    assert list(found) == both
    for direction, pairs in found.items():
        assert len(pairs) == 6
        assert {pair.direction for pair in pairs} == {str(direction)}
    assert [len(pairs) for pairs in validation.validation_segments(both, 1000).values()] == [20, 10]
    with pytest.raises(CorpusError, match=r"valid\.tsv: has no pair of en-es to validate with"):
        validation.validation_segments([*both, Direction("en", "es")], 12)


def test_the_validation_score_is_the_mean_over_directions(workplace: Path) -> None:
    class Right:
        def translate(self, texts: list[str], language: str) -> list[str]:
            return [text[::-1] if language == "de" else "nothing of it" for text in texts]

    write_corpus(["en-de", "en-fr"], (3, 30))
    segments = validation.validation_segments([Direction("en", "de"), Direction("en", "fr")], 12)
    longer = {
        direction: [pair._replace(source="a b c d e", target="e d c b a") for pair in pairs]
        for direction, pairs in segments.items()
    }
    samples = Samples(workplace / "samples.jsonl")
    bleu = validation.validation_bleu(Right(), longer, samples.note)  # type: ignore[arg-type]
    assert bleu == pytest.approx(50, abs=1)
    samples(ValidationReport(8, 1.0, bleu, True, 0.5))
    samples(CheckpointReport(8, resumed=False))
    lines = [json.loads(line) for line in (workplace / "samples.jsonl").read_text().splitlines()]
    assert [line["direction"] for line in lines] == ["en-de"] * 3 + ["en-fr"] * 3
    assert lines[0] == {
        "step": 8, "direction": "en-de", "source": "a b c d e", "reference": "e d c b a", "hypothesis": "e d c b a"
    }  # fmt: skip


def test_unused_settings_do_not_start_a_new_run(workplace: Path) -> None:
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
    workplace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Killed(BaseException):
        pass

    def kill(progress: Progress) -> None:
        if progress.task == "train" and progress.done == 13:
            raise Killed

    with pytest.raises(Killed):
        train_model.run(load_params(), kill)
    train_model.run(change_params(lr=0.01), ignore)
    (message,) = [record.message for record in caplog.records if "unfinished" in record.message]
    assert message.endswith("from the beginning: the unfinished run had other inputs (train.lr was 0.004, is 0.01)")
    caplog.clear()
    train_model.run(change_params(), ignore)  # resumes
    train_model.run(change_params(lr=0.02), ignore)  # next to finished runs
    assert not [record for record in caplog.records if "unfinished" in record.message]


def test_an_edit_during_training_is_an_error(workplace: Path) -> None:
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


def test_invalid_tokens_are_an_error_before_the_first_step(workplace: Path) -> None:
    ids = places.TOKENS / "train" / "source.ids.bin"
    content = bytearray(ids.read_bytes())
    content[40:42] = (60_000).to_bytes(2, "little")
    ids.write_bytes(content)
    with pytest.raises(CorpusError, match=r"data/tokens/train.*source id 60000 is outside the vocabulary"):
        train_model.run(load_params(), ignore)
    assert not places.CANDIDATE.exists()


def test_an_automatic_batch_size_is_stored_and_used_again(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "tokens_that_fit", lambda *given: 96)
    train_model.run(change_params(tokens_per_batch="auto"), ignore)
    first = outputs()
    assert json.loads(places.TRAINING_METRICS.read_text())["tokens_per_batch"] == 96
    monkeypatch.setattr(preflight, "tokens_that_fit", lambda *given: 64)
    train_model.run(load_params(), ignore)
    assert outputs() == first


def test_a_profile_is_a_trace_and_a_table_and_does_not_change_the_outputs(workplace: Path) -> None:
    change_params(max_steps=24)
    subprocess.run([sys.executable, "-m", "seqloom.stages", "train_model", "--profile"], check=True)
    (scratch,) = places.SCRATCH.iterdir()
    assert json.loads((scratch / "profile" / "trace.json").read_text())["traceEvents"]
    assert "aten::" in (scratch / "profile" / "table.txt").read_text()
    profiled = outputs()
    scratch.rename(workplace / "aside")
    train_model.run(load_params(), ignore)
    assert outputs().keys() == profiled.keys()


def stage(**environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seqloom.stages", "train_model"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.mark.slow
@pytest.mark.drill
def test_two_processes_train_stop_on_a_signal_and_resume(workplace: Path) -> None:
    change_params(processes=2, max_steps=60, validate_every=30, checkpoint_every=60)
    asked = stage()
    assert asked.stdout is not None
    watchdog = threading.Timer(200, asked.kill)
    watchdog.start()
    assert asked.stdout.readline().startswith("train")
    asked.send_signal(signal.SIGTERM)
    _, errors = asked.communicate()
    watchdog.cancel()
    assert asked.returncode == 143, errors
    (scratch,) = places.SCRATCH.iterdir()
    (checkpoint,) = scratch.glob("step-*")
    assert 0 < int(checkpoint.name.removeprefix("step-")) < 60
    heard, errors = stage().communicate(timeout=200)
    assert "going on from a checkpoint" in heard, errors
    metrics = json.loads(places.TRAINING_METRICS.read_text())
    assert metrics["steps"] == 60
    assert "2 processes" in metrics["device"]
    assert len(Translator.load(places.CANDIDATE, "cpu").translate(["abc", ""])) == 2
