"""A small project for train_model: the target language is the source written backwards, and the model is tiny."""

import random
import shutil
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from seqloom import places
from seqloom.corpus.splits import Pair, Split, SplitWriter
from seqloom.params import Params, load_params
from seqloom.progress import Progress, ignore
from seqloom.stages import train_model, train_tokenizer
from tests.records import merge, tree, write_yaml
from tests.templates import template

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
WEIGHTS = str(places.CANDIDATE / "model.safetensors")
SUBWORDS: dict[str, Any] = {"tokenizer": {"name": "sentencepiece", "byte_fallback": False, "vocab_size": 64}}


class Killed(BaseException):
    pass


def kill(progress: Progress) -> None:
    """A listener that ends training hard after 13 updates."""
    if progress.task == "train" and progress.done == 13:
        raise Killed


def give_toy_project(root: Path) -> None:
    """Put params.yaml, a corpus, its tokenizer and its tokens into `root`."""
    shutil.copytree(template("toy_training", _make), root, dirs_exist_ok=True)


def give_trained_project(root: Path) -> None:
    """Put such a project into `root` on which train_model has run: outputs and checkpoints."""
    shutil.copytree(template("toy_trained", _train), root, dirs_exist_ok=True)


def _train(root: Path) -> None:
    give_toy_project(root)
    with chdir(root):
        train_model.run(load_params(), ignore)


def _make(root: Path) -> None:
    with chdir(root):
        params = change_params()
        write_corpus(["en-de"])
        train_tokenizer.run(params, ignore)


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
    Path("params.yaml").write_text(write_yaml(content))
    return load_params()


def outputs() -> dict[str, bytes]:
    files = [file for place in WRITTEN for file in ([place] if place.is_file() else place.rglob("*"))]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def start_afresh() -> None:
    """Hide the checkpoints, so that there is nothing to resume from."""
    for number, folder in enumerate(places.SCRATCH.iterdir()):
        folder.rename(Path(f"aside-{folder.name[:8]}-{number}"))
