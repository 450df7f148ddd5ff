"""Workspaces for tests: the results of all stages before register_model, an empty store, or a registered model.

The model is real but tiny and untrained, and its scores are made up.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom import places
from seqloom.corpus.splits import Pair, SplitWriter
from seqloom.evaluation.settings import LEADING, METRICS
from seqloom.languages import Direction
from seqloom.models.catalogue import build_model, save_model
from seqloom.params import Params, load_params
from seqloom.progress import ignore
from seqloom.stages import register_model
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tracking.client.store import connect
from tests.records import tree, write_yaml
from tests.templates import template

REPOSITORY = Path(__file__).parents[1]
PAIRS = [("Turn on the light in the kitchen", "Schalte das Licht in der Küche ein"), ("Hello {name}", "Hallo {name}")]


def write_results(
    root: Path, *, bleu: float = 12.5, seed: int = 16, test_sha256: str = "a" * 64, **changes: object
) -> Params:
    """Write the outputs of all stages before register_model to `root`, which must be the working folder.

    A different `seed` gives a different model. `changes` replace sections of params.yaml, such as `task`.
    """
    settings = tree()
    settings["tokenizer"] |= {"name": "characters", "vocab_size": 96, "slots": 4}
    settings["model"]["transformer"] |= {
        "width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1
    }  # fmt: skip
    settings["train"] |= {"seed": seed, "lr": 0.002}
    settings["evaluate"] |= {"bootstrap": 100}
    settings["gate"] |= {"max_empty": 1.0}  # an untrained model may write only empty texts
    settings["search"] |= {"beam": 2, "length_penalty": 3.0, "max_length_ratio": 0.1, "max_length_extra": 4}
    settings |= changes
    (root / "params.yaml").write_text(write_yaml(settings), encoding="utf-8")
    params = load_params(root / "params.yaml")
    _model(root / places.CANDIDATE, params)
    _text(root / places.CANDIDATE / "skill", f"{bleu / 100}")
    _corpus(root / places.CORPUS, params)
    _write(root / places.EXPORT_METRICS, {"exported": False, "reason": "a test"})
    (root / places.EXPORT).mkdir(parents=True, exist_ok=True)
    _write(root / places.EVALUATION_METRICS, _evaluation(params, bleu) | {"segments": 2, "test_sha256": test_sha256})
    _write(root / places.CORPUS_METRICS, {"kept": 12, "splits": {"train": 8, "valid": 2, "test": 2}, "raw": {"x": 20}})
    _write(root / places.TOKENS / "counts.json", {"train": {"pairs": 7, "too_long": 1}, "valid": {"too_long": 0}})
    _write(root / places.TRAINING_METRICS, {"steps": 20, "device": "cpu", "fingerprint": "f00d", "averaged": 3})
    curve = "step,epoch,loss,lr,grad_norm,valid_loss,valid_bleu\n10,0,5.5,0.001,1.5,,\n20,1,4.5,0.002,1.25,4.75,2.5\n"
    _text(root / places.TRAINING_PLOT, curve)
    _text(root / places.LENGTHS_PLOT, "words,segments,bleu,chrf\n1-5,2,12.5,40.0\n")
    _text(root / places.REPORT / "index.html", "<h1>Report</h1>")
    _text(root / places.REPORT / "hypotheses.tsv", "source\treference\thypothesis\nTurn on\tEinschalten\tAn\n")
    steps = ({"kind": "step", "step": step, "tokens": 100, "seconds": 0.5} for step in range(1, 21))
    _text(root / places.SCRATCH / "f00d" / "journal.jsonl", "".join(json.dumps(step) + "\n" for step in steps))
    return params


def _evaluation(params: Params, bleu: float) -> dict[str, Any]:
    """Return made-up scores for the metrics of the task, and for each direction if there are several."""
    values = {"bleu": bleu, "chrf": 40.0, "ter": 70.0, "rouge1": 31.0, "rouge2": 11.0, "rougeL": bleu + 10}
    scores = {
        name: {"score": values[name], "low": values[name] - 1, "high": values[name] + 1, "signature": f"{name}|test"}
        for name in METRICS[params.task]
    }
    directions = params.languages.directions
    each = {"by_direction": {str(direction): scores for direction in directions}} if len(directions) > 1 else {}
    return {"leading": LEADING[params.task], **scores, **each}


def give_store(root: Path) -> None:
    """Put an empty store into `root`: made once in seconds, copied in milliseconds."""
    shutil.copy(template("mlflow", _make_store) / "mlflow.db", root)


def _make_store(folder: Path) -> None:
    with _working_in(folder):  # MLflow's own experiment "Default" keeps its files in the working folder
        connect(folder, create=True)


def give_registered(root: Path) -> Params:
    """Put the workspace of `write_results(root)` into `root`, with a store in which it is registered as version 1."""
    shutil.copytree(template("registered", _register), root, dirs_exist_ok=True)
    connect(root, create=False)  # MLflow's default store is then this one, as after register_model
    return load_params(root / "params.yaml")


def _register(folder: Path) -> None:
    with _working_in(folder):
        give_store(folder)
        register_model.run(write_results(folder), ignore)


def spoil(root: Path) -> None:
    """Make every read of this clone's model files fail."""
    for path in (root / "mlartifacts").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\0")


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        yield


def _model(folder: Path, params: Params) -> None:
    tokenizer = train_tokenizer(params.tokenizer, lambda: PAIRS, 1, ignore, params.languages.target_languages)
    torch.manual_seed(params.train.seed)
    model = build_model(params.model.architecture, tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    save_model(model, params.model.architecture, folder)
    tokenizer.save(folder / "tokenizer")
    _text(folder / "languages.json", params.languages.model_dump_json())


def made_pairs(directions: Sequence[Direction], count: int = 60) -> list[Pair]:
    """Return made-up pairs for the test split."""
    words = [f"{first}{second}" for first in ("ra", "be", "ki", "lo", "mu") for second in ("t", "nd", "p")]
    made = (
        f"{words[row // 15]} {words[row % 15]} in {words[row * 7 % 15]} on {words[row * 4 % 15]}"
        for row in range(count)
    )
    ways = [directions[row % len(directions)] for row in range(count)]
    return [Pair(text, text.upper(), str(way), "x", "") for text, way in zip(made, ways, strict=True)]


def _corpus(folder: Path, params: Params) -> None:
    directions = params.languages.directions
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    train = [Pair(source, target, str(way), "x", "") for source, target in PAIRS for way in directions]
    for split, pairs in (("train", train), ("test", made_pairs(directions))):
        with SplitWriter(folder / f"{split}.tsv") as file:
            for pair in pairs:
                file.write(pair)


def _write(path: Path, content: object) -> None:
    _text(path, json.dumps(content))


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
