"""The files of data/synthetic: for each name, NAME.tsv with a pair per line, and NAME.json with how they were made.

The pairs are stored without noise and tag. prepare_corpus cleans and compares them as they are, and changes the sources
of those that it keeps; otherwise a synthetic copy of a test segment would not be recognised.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from seqloom.errors import CorpusError
from seqloom.files import read_object, write_json
from seqloom.languages import Direction
from seqloom.synthesis.noise import Alteration, NoiseSettings

_REMEDY = "run the stage translate_corpus again"


class SyntheticCorpus(NamedTuple):
    """The pairs of a file, their direction, and how their sources are changed."""

    name: str
    path: Path
    direction: Direction
    alteration: Alteration

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield source and target of each pair. Raises `CorpusError` if a line has not two columns."""
        with self.path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                source, tab, target = line.rstrip("\n").partition("\t")
                if not tab:
                    raise CorpusError(f"{self.path}: line {number}: has no TAB; {_REMEDY}")
                yield source, target


def write_pairs(folder: Path, name: str, pairs: Iterable[tuple[str, str]]) -> int:
    """Write the pairs of a corpus to a new file, and return their number."""
    written = 0
    with (folder / f"{name}.tsv").open("x", encoding="utf-8", newline="\n") as file:
        for source, target in pairs:
            file.write(f"{source}\t{target}\n")
            written += 1
    return written


def write_record(folder: Path, name: str, direction: Direction, record: Mapping[str, Any]) -> None:
    """Write how the pairs of a corpus were made; the record must hold `noise` and `tag`."""
    write_json(folder / f"{name}.json", {**record, "direction": direction._asdict()})


def read_synthetic(folder: Path) -> list[SyntheticCorpus]:
    """Return the corpora in a folder by name; none if translate_corpus is switched off.

    Raises:
        CorpusError: a record is missing or malformed.
    """
    return [_read(path) for path in sorted(folder.glob("*.tsv"))]


def _read(path: Path) -> SyntheticCorpus:
    described = path.with_suffix(".json")
    record = read_object(described, CorpusError, _REMEDY)
    try:
        direction = Direction(str(record["direction"]["source"]), str(record["direction"]["target"]))
        alteration = Alteration(NoiseSettings.model_validate(record["noise"]), record["tag"])
    except (KeyError, TypeError, ValidationError) as error:
        raise CorpusError(f"{described}: is not the record of synthetic pairs ({error}); {_REMEDY}") from error
    return SyntheticCorpus(path.stem, path, direction, alteration)
