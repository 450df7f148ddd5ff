"""`seqloom distill`: let a large model write the training pairs of a small one."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom.cli import loading
from seqloom.cli.model_names import PARAMS
from seqloom.errors import SeqloomError

if TYPE_CHECKING:
    from seqloom.distillation import Taught
    from seqloom.languages import Direction
    from seqloom.params import Params
    from seqloom.translation.texts import TextTranslator

NAME = "distill"
HELP = "let a model, the teacher, write the training pairs of a smaller one"
DESCRIPTION = """\
Translate the sources of the training split with a model, the teacher. The pairs are written below data/local/distilled
and added to the corpora of params.yaml. A pair is left out if its translation has one of the flags cut, looped,
placeholders and low_confidence, or if one of its texts is in the validation or test split; these splits do not change.
"""
EPILOG = """\
examples:
  seqloom distill                               the teacher is the champion of the model in params.yaml
  seqloom distill --model models:/seqloom-en-de/3
  seqloom preset student_lstm                   then train a small, fast model; student if the teacher is a Transformer
  dvc repro

docs/MODELS.md describes the recipe, and docs/RESULTS.md what it gave.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    add = parser.add_argument
    add("--model", metavar="MODEL", action="append", help="the teacher; several form an ensemble (default: champion)")
    add("--device", metavar="DEVICE", default="auto", help="auto, cpu or cuda (default: auto)")
    loading.add_search(parser)


def run(options: argparse.Namespace) -> None:
    """Write the teacher's pairs, and add them to params.yaml."""
    from seqloom import places
    from seqloom.corpus.splits import shard_folder
    from seqloom.editing import put_corpora_first
    from seqloom.files import replacing_folder, sha256_of, write_json, write_text
    from seqloom.params import load_params
    from seqloom.plain_yaml import read_text
    from seqloom.sharding.manifest import MANIFEST

    params = load_params(PARAMS)
    splits = [places.CORPUS / f"{name}.tsv" for name in ("train", "valid", "test")]
    for path in splits:
        if not path.is_file() and shard_folder(path) is None:
            raise SeqloomError(f"{path} does not exist: `dvc repro prepare_corpus` writes it")
    shards = shard_folder(splits[0])
    teacher = loading.load(options)
    directions = _directions(params, teacher.translator)
    folder = places.LOCAL / "distilled" / re.sub(r"[^\w.-]+", "-", teacher.name.replace("models:/", ""))
    with replacing_folder(folder) as beside:
        counts = _write(_taught(splits, directions, teacher.translator), beside, list(directions))
        if not counts["kept"]:
            raise SeqloomError(f"no translation can be used, so {PARAMS} is unchanged: {_shown(counts)}")
        record = {
            "teacher": teacher.name,
            "weights_sha256": [sha256_of(each / "model.safetensors") for each in teacher.folders],
            "search": teacher.translator.search.model_dump(mode="json"),
            "train_sha256": sha256_of(splits[0] if shards is None else shards / MANIFEST),
            "pairs": dict(counts),
        }
        write_json(beside / "teacher.json", record)
    edited = put_corpora_first(read_text(PARAMS), _corpora(folder, directions))
    write_text(PARAMS, edited.text)
    print(f"{folder}: {_shown(counts)}")
    print("\n".join(map(str, edited.changes)))
    print(f"Next: {', '.join(f'`seqloom {each}`' for each in _settings(teacher))}, then `make run` or `dvc repro`.")


def _settings(teacher: loading.Loaded) -> list[str]:
    """Return the commands that set up a student.

    The student of a recurrent teacher is recurrent, every other one a Transformer. It starts from its teacher if that
    is a registered Transformer.
    """
    from seqloom.decoding.ensemble import Ensemble
    from seqloom.models.recurrent import Recurrent
    from seqloom.models.transformer import Transformer

    model = teacher.translator.translator.model
    members = model.members if isinstance(model, Ensemble) else [model]
    if all(isinstance(each, Recurrent) for each in members):
        return ["preset student_lstm"]
    if isinstance(model, Transformer) and re.fullmatch(r"models:/[^/ ]+/\d+", teacher.name):
        return ["preset student", f"set train.start={teacher.name} train.lr=2e-3"]  # lower: it is trained already
    return ["preset student"]


def _directions(params: "Params", teacher: "TextTranslator") -> "dict[str, Direction]":
    """Return the directions of params.yaml by name. Raises `SeqloomError` if the teacher lacks one."""
    known = teacher.languages.directions
    if missing := [str(each) for each in params.languages.directions if each not in known]:
        raise SeqloomError(
            f"the teacher does not translate {', '.join(missing)}, as languages in {PARAMS} demands; it translates "
            f"{', '.join(map(str, known))}"
        )
    return {str(each): each for each in params.languages.directions}


def _taught(splits: list[Path], directions: "Mapping[str, Direction]", teacher: "TextTranslator") -> "Iterator[Taught]":
    """Yield the training pairs with the teacher's translations, and show the progress on standard error."""
    from seqloom.corpus.splits import read_split
    from seqloom.distillation import HeldOut, teach
    from seqloom.progress import Progress
    from seqloom.stages.console import Meter

    train, *held_out = splits
    total = sum(1 for _ in read_split(train))
    meter = Meter(sys.stderr, live=sys.stderr.isatty())
    taught = teach(
        read_split(train),
        directions,
        lambda texts, direction: teacher.translate(texts, language=direction.target),
        HeldOut(held_out, directions),
    )
    for done, each in enumerate(taught, 1):
        yield each
        meter(Progress("translate the training split", done, total, "pairs"))
    meter.close()


def _write(taught: "Iterator[Taught]", folder: Path, directions: list[str]) -> Counter[str]:
    """Write a TSV file per direction; return how many pairs were kept, and left out by reason."""
    counts = Counter({"kept": 0})
    with ExitStack() as stack:
        files = {
            name: stack.enter_context((folder / f"{name}.tsv").open("w", encoding="utf-8", newline="\n"))
            for name in directions
        }
        for (source, target, direction, *_), reason in taught:
            if reason is None:
                files[direction].write(f"{source}\t{target}\n")
            counts[reason or "kept"] += 1
    return counts


def _corpora(folder: Path, directions: "Mapping[str, Direction]") -> dict[str, dict[str, Any]]:
    """Return the settings of the corpora in the folder, by name."""
    several = len(directions) > 1
    return {
        "distilled_" + re.sub(r"\W", "_", name.lower()): {
            "kind": "file",
            "path": f"{folder.as_posix()}/{name}.tsv",
            "format": "tsv",
            **({"direction": direction._asdict()} if several else {}),
            "split": "train",
        }
        for name, direction in directions.items()
    }


def _shown(counts: Counter[str]) -> str:
    left_out = [f"{number:,} {reason}" for reason, number in counts.items() if reason != "kept"]
    return f"{counts['kept']:,} pairs kept; left out: {', '.join(left_out) or 'none'}"
