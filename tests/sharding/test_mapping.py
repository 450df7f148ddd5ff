from collections.abc import Iterator
from pathlib import Path

import pytest

from seqloom.errors import ShardError
from seqloom.progress import Progress, ignore
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import map_shards
from seqloom.sharding.step import input_of
from tests.sharding.upper import Upper


def worked_on(log: Path) -> list[str]:
    names = [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return sorted(names)


def mapped(step: Upper, shards: list[Path], into: Path, workers: int = 1) -> list[str]:
    results = map_shards(step, map(input_of, shards), into, LocalLauncher(workers), ignore)
    return [(each.folder / "out.txt").read_text() for each in results]


EXPECTED = ["A0\nB\n", "A1\nB\n", "BAD\n", "A3\nB\n"]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_the_order_of_the_inputs(shards: list[Path], tmp_path: Path, workers: int) -> None:
    assert mapped(Upper(), shards, tmp_path / "out", workers) == EXPECTED


def test_what_is_done_is_not_repeated(shards: list[Path], tmp_path: Path) -> None:
    log = tmp_path / "log"
    step = Upper(log=str(log))
    assert mapped(step, shards, tmp_path / "out") == EXPECTED
    assert len(worked_on(log)) == 4
    assert mapped(step, shards, tmp_path / "out") == EXPECTED
    assert worked_on(log) == []
    shards[1].write_text("new\n")
    assert mapped(step, shards, tmp_path / "out")[1] == "NEW\n"
    assert worked_on(log) == ["in1.txt"]
    assert mapped(Upper("!", log=str(log)), shards, tmp_path / "out")[0] == "A0!\nB!\n"
    assert len(worked_on(log)) == 4
    assert len(mapped(step, shards[:2], tmp_path / "out")) == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00000", "00001"]


@pytest.mark.parametrize(("trouble", "workers"), [("once", 1), ("once", 2), ("dies once", 2)])
def test_a_shard_that_fails_is_tried_once_more(shards: list[Path], tmp_path: Path, trouble: str, workers: int) -> None:
    log = tmp_path / "log"
    assert mapped(Upper(trouble=trouble, log=str(log)), shards, tmp_path / "out", workers) == EXPECTED
    assert worked_on(log).count("in2.txt") == 2


@pytest.mark.parametrize(
    ("trouble", "tries", "message"),
    [("always", 2, r"in2\.txt: ValueError: oops"), ("wrong", 1, r"in2\.txt: .*in2\.txt: line 1: is bad")],
)
def test_a_shard_that_fails_for_good_is_named_and_the_others_stay(
    shards: list[Path], tmp_path: Path, trouble: str, tries: int, message: str
) -> None:
    log = tmp_path / "log"
    with pytest.raises(ShardError, match=rf"1 shards failed; 3 are done and will not be repeated\n.*{message}"):
        mapped(Upper(trouble=trouble, log=str(log)), shards, tmp_path / "out")
    assert worked_on(log).count("in2.txt") == tries
    shards[2].write_text("good\n")
    assert mapped(Upper(trouble=trouble, log=str(log)), shards, tmp_path / "out")[2] == "GOOD\n"
    assert worked_on(log) == ["in2.txt"]
    assert not list((tmp_path / "out").glob(".*"))


def test_inputs_are_made_while_others_are_worked_on(shards: list[Path], tmp_path: Path) -> None:
    events: list[str] = []

    def inputs() -> Iterator[Path]:
        for path in shards:
            events.append(f"made {path.name}")
            yield path

    def listen(progress: Progress) -> None:
        events.append(f"done {progress.done}")

    map_shards(Upper(), map(input_of, inputs()), tmp_path / "out", LocalLauncher(1), listen)
    assert events[:4] == ["made in0.txt", "done 1", "made in1.txt", "done 2"]
