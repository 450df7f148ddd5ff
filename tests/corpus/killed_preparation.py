"""Prepares a corpus of a folder with small shards: a process that tests kill. Run as `python -m ... FOLDER WORKERS`."""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from seqloom.corpus.prepare import CorpusItem, Means, RawCorpus, prepare
from seqloom.corpus.preparing.means import Sizes
from seqloom.corpus.reading import RawPair
from seqloom.files import replacing_folder, write_json
from seqloom.languages import Direction
from seqloom.progress import ignore
from seqloom.sharding.local import LocalLauncher
from tests.records import prepare_settings

EN_DE = Direction("en", "de")
SIZES = Sizes(above=10_000, shard=20_000, chunk=20_000, bucket=500)


def read(path: Path) -> Iterator[CorpusItem]:
    """Yield the pairs of a file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        source, target = line.split("\t")
        yield CorpusItem(EN_DE, None, RawPair(source, target, ""))


def main(folder: Path, workers: int) -> None:
    """Prepare the corpora `*.tsv` of a folder."""
    split = {"by": "pair", "apart": "both", "valid": 0.1, "test": 0.1, "salt": "s"}
    settings = prepare_settings(split=split, max_leakage=1.0, leakage_sample=20)
    corpora = [RawCorpus(path.stem, "1", partial(read, path)) for path in sorted(folder.glob("*.tsv"))]
    means = Means(LocalLauncher(workers), folder / "scratch", ignore, SIZES)
    with replacing_folder(folder / "out") as new:
        counts = prepare(corpora, [EN_DE], settings, new, means)
        write_json(new / "metrics.json", counts.record())
        (new / "page.html").write_text(counts.examples.page(), encoding="utf-8")
    (folder / "kept.json").write_text(json.dumps(counts.splits.total()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
