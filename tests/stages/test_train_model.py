"""The whole stage in a folder of its own, on a language whose words are the source's written backwards."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml

from seqloom.corpus.splits import Pair, Split, SplitWriter
from seqloom.decoding.translator import Translator
from seqloom.params import Params, load_params
from seqloom.progress import Progress, ignore
from seqloom.stages import places, train_model, train_tokenizer

REPOSITORY = Path(__file__).parents[2]
CHANGES = {
    "tokenizer": {"name": "characters", "vocab_size": 64, "slots": 2},
    "model": {"preset": "tiny", "width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1},
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
    places.CORPUS.mkdir(parents=True)
    draw = random.Random(1)
    for split, count in ((Split.train, 80), (Split.valid, 10)):
        with SplitWriter(places.CORPUS / split.file_name) as writer:
            for _ in range(count):
                word = "".join(draw.choices("abcdefgh", k=draw.randint(2, 6)))
                writer.write(Pair(word, word[::-1], "en-de", "toy", ""))
    train_tokenizer.run(load_params(), ignore)
    return tmp_path


def change_params(**train: object) -> Params:
    content = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    for section, change in CHANGES.items():
        content[section].update(change)
    content["train"].update(train)
    content["train"]["lr"] = float(content["train"]["lr"])
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return load_params()


def outputs() -> dict[str, bytes]:
    files = [file for place in WRITTEN for file in ([place] if place.is_file() else place.rglob("*"))]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def test_leaves_a_folder_that_translates_and_a_learning_curve(workplace: Path) -> None:
    heard: list[Progress] = []
    train_model.run(load_params(), heard.append)
    translator = Translator.load(places.CANDIDATE, "cpu")
    assert len(translator.translate(["abc", ""])) == 2
    assert translator.languages == ("en", "de")
    metrics = json.loads(places.TRAINING_METRICS.read_text())
    assert metrics["steps"] == 20
    assert metrics["stopped_because"] == "max_steps (20) reached"
    rows = list(csv.DictReader(places.TRAINING_PLOT.read_text().splitlines()))
    assert [row["step"] for row in rows] == ["4", "8", "12", "16", "20"]
    assert [bool(row["valid_bleu"]) for row in rows] == [False, True, False, True, True]
    assert heard[-1].done == heard[-1].total == 20
    assert any("tokens/s" in progress.note for progress in heard)


def test_the_same_inputs_give_the_same_bytes_and_nothing_of_the_clock(workplace: Path) -> None:
    train_model.run(load_params(), ignore)
    first = outputs()
    assert len(first) == 7
    for folder in places.SCRATCH.iterdir():  # nothing to resume from
        folder.rename(workplace / "aside")
    torch.manual_seed(77)
    train_model.run(load_params(), ignore)
    assert outputs() == first


def test_other_params_start_from_nothing_and_the_old_ones_find_their_checkpoint(workplace: Path) -> None:
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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_a_checkpoint_and_a_rerun_ends_the_same(
    workplace: Path, number: signal.Signals, status: int
) -> None:
    change_params(max_steps=400, validate_every=200, checkpoint_every=400, report_every=100)
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
    assert errors == "error: train_model was interrupted; run again to go on\n"
    assert not places.CANDIDATE.exists()
    (scratch,) = places.SCRATCH.iterdir()
    (checkpoint,) = scratch.glob("step-*")
    assert int(checkpoint.name.removeprefix("step-")) < 400
    heard: list[Progress] = []
    train_model.run(load_params(), heard.append)
    assert heard[0].note == "going on from a checkpoint"
    resumed = outputs()
    scratch.rename(workplace / "aside")
    train_model.run(load_params(), ignore)
    assert outputs() == resumed
