"""prepare_corpus is killed at random moments and run again: the files are those of a run that was left alone."""

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from seqloom.corpus import statistics
from seqloom.corpus.prepare import CorpusItem, Means, RawCorpus, prepare
from seqloom.corpus.preparing.means import Sizes
from seqloom.corpus.reading import RawPair
from seqloom.files import replacing_folder, write_json
from seqloom.languages import Direction
from seqloom.progress import ignore
from seqloom.sharding.local import LocalLauncher
from tests.forked import Forked
from tests.records import prepare_settings

EN_DE = Direction("en", "de")
SIZES = Sizes(above=10_000, shard=15_000, chunk=15_000, bucket=500)
PAIRS = 1200
WORDS = ["red", "blue", "door", "window", "opens", "slowly", "quickly", "house", "garden", "light", "garage", "Küche"]


def write_corpora(folder: Path) -> None:
    folder.mkdir()
    draw = random.Random(1)
    for name in ("a", "b"):
        lines = [" ".join(draw.choices(WORDS, k=6)) for _ in range(PAIRS // 2)]
        text = "".join(f"{line} {draw.choice(lines)[:9]}\t{line[::-1]} {draw.choice(WORDS)}\n" for line in lines)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")


def read(path: Path) -> Iterator[CorpusItem]:
    for line in path.read_text(encoding="utf-8").splitlines():
        source, target = line.split("\t")
        yield CorpusItem(EN_DE, None, RawPair(source, target, ""))


def run(folder: Path, workers: int) -> None:
    """Prepare the corpora of a folder, as the stage does."""
    split = {"by": "pair", "apart": "both", "valid": 0.1, "test": 0.1, "salt": "s"}
    settings = prepare_settings(split=split, max_leakage=1.0, leakage_sample=PAIRS)  # no threads
    corpora = [RawCorpus(path.stem, "1", partial(read, path)) for path in sorted(folder.glob("*.tsv"))]
    means = Means(LocalLauncher(workers), folder / "scratch", ignore, SIZES)
    with replacing_folder(folder / "out") as new:
        counts = prepare(corpora, [EN_DE], settings, new, means)
        write_json(new / "metrics.json", counts.record())
        (new / "page.html").write_text(counts.examples.page(), encoding="utf-8")


def finish(folder: Path, workers: int) -> dict[str, bytes]:
    """Run to the end and return the files."""
    process = Forked(partial(run, folder, workers))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    found = sorted(path for path in (folder / "out").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def results(folder: Path) -> int:
    return sum(1 for _ in folder.glob("scratch/*/*/done.json"))


def kill_after(folder: Path, workers: int, moment: int, delay: float) -> bool:
    """Run, and kill when there are this many results and some time has passed; return whether it had not finished."""
    process = Forked(partial(run, folder, workers))
    while results(folder) < moment and not (folder / "out").exists():
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
    process.communicate()
    return not (folder / "out").exists()


@pytest.mark.parametrize("kills", [pytest.param(1, id="few"), pytest.param(20, id="many", marks=pytest.mark.drill)])
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, kills: int) -> None:
    draw = random.Random(2)
    statistics._recogniser()  # loads its model, for all forked processes
    write_corpora(tmp_path / "whole")
    expected = finish(tmp_path / "whole", 1)
    assert sum(name.endswith(".parquet") for name in expected) > 3
    count, identical, unfinished = results(tmp_path / "whole"), 0, 0
    for number in range(kills):
        folder, workers = tmp_path / f"killed-{number}", 2 if number % 5 == 4 else 1  # two are slow to start
        write_corpora(folder)
        for moment in sorted(draw.sample(range(count), 2)):
            unfinished += kill_after(folder, workers, moment, draw.uniform(0, 0.1))
        identical += finish(folder, workers) == expected
    assert identical == kills
    assert unfinished >= kills
