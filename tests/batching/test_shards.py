import fcntl
import json
import multiprocessing
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from seqloom.batching import shards
from seqloom.batching.shards import COLUMNS, META, Vocabularies, unpacked, write_shard
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.errors import CorpusError, ShardError
from seqloom.sharding.manifest import describe_shard, write_manifest
from seqloom.symbols import SPECIAL_IDS

DIRECTIONS = ["en-de", "en-fr"]
VOCABULARIES = Vocabularies(300, 70_000, SPECIAL_IDS, DIRECTIONS)


def pairs(vocabularies: Vocabularies = VOCABULARIES, count: int = 50) -> list[tuple[list[int], list[int], int]]:
    random = np.random.default_rng(1)
    sizes, several = vocabularies[:2], len(vocabularies.directions)
    return [
        (*(random.integers(4, size, random.integers(1, 9)).tolist() for size in sizes), int(random.integers(several)))
        for _ in range(count)
    ]


def write_plain(folder: Path, vocabularies: Vocabularies, rows: list[tuple[list[int], list[int], int]]) -> None:
    with TokenWriter(folder, *vocabularies) as writer:
        for row in rows:
            writer.add(*row)


def write_shards(folder: Path, vocabularies: Vocabularies, rows: list[tuple[list[int], list[int], int]]) -> None:
    folder.mkdir()
    parts = [rows[:20], rows[20:21], rows[21:]]
    for number, part in enumerate(parts):
        write_shard(folder / f"{number}.parquet", part, vocabularies.kind)
    entries = [describe_shard(folder / f"{number}.parquet", len(part)) for number, part in enumerate(parts)]
    write_manifest(folder, COLUMNS, entries)
    tokens = [sum(len(row[side]) for row in rows) for side in (0, 1)]
    (folder / META).write_text(json.dumps(vocabularies.meta(len(rows), tokens)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shards, "_ROWS", 8)
    write_shards(tmp_path / "train", VOCABULARIES, pairs())
    return tmp_path / "train"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != META}


@pytest.mark.parametrize("vocabularies", [VOCABULARIES, Vocabularies(300, 400, SPECIAL_IDS, ["en-de"])])
def test_unpacked_shards_are_the_bytes_of_a_plain_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vocabularies: Vocabularies
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shards, "_ROWS", 8)
    rows = pairs(vocabularies)
    write_plain(tmp_path / "plain", vocabularies, rows)
    write_shards(tmp_path / "sharded", vocabularies, rows)
    assert contents(unpacked(tmp_path / "sharded")) == contents(tmp_path / "plain")
    store, plain = TokenStore.open(tmp_path / "sharded"), TokenStore.open(tmp_path / "plain")
    assert store.folder == tmp_path / "sharded"
    assert (store.directions, store.symbols) == (plain.directions, plain.symbols)
    assert [store.target(row).tolist() for row in range(50)] == [target for _, target, _ in rows]


def test_shards_are_unpacked_once(folder: Path) -> None:
    store = unpacked(folder)
    before = (store / META).stat()
    assert unpacked(folder) == store
    assert (store / META).stat().st_mtime_ns == before.st_mtime_ns
    (store / META).unlink()  # as after a kill
    assert unpacked(folder) == store
    assert (store / META).is_file()


def test_other_shards_replace_what_was_unpacked(folder: Path) -> None:
    store = unpacked(folder)
    write_manifest(folder, COLUMNS, [describe_shard(folder / "0.parquet", 20)])
    assert unpacked(folder) != store
    assert not store.exists()


def test_several_processes_unpack_together(folder: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        stores = pool.map(unpacked, [folder] * 3)
    assert len(set(stores)) == 1
    assert len(TokenStore.open(folder)) == 50


def test_a_process_waits_while_another_one_unpacks(folder: Path) -> None:
    store = unpacked(folder)
    (store / META).unlink()
    with (store.parent / "lock").open("w") as other_process:
        fcntl.flock(other_process, fcntl.LOCK_EX)
        waiting = Thread(target=unpacked, args=(folder,))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert not (store / META).exists()
    waiting.join()
    assert (store / META).is_file()


@pytest.mark.parametrize("rows", [3, 20, 100])
def test_the_rows_read_at_once_need_not_be_those_written_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(shards, "_ROWS", rows)
    write_plain(folder.parent / "plain", VOCABULARIES, pairs())
    assert contents(unpacked(folder)) == contents(folder.parent / "plain")


def test_a_file_that_is_no_shard_is_named(folder: Path) -> None:
    (folder / "0.parquet").write_bytes(b"PAR1 and something else")
    write_manifest(folder, COLUMNS, [describe_shard(folder / "0.parquet", 20)])
    with pytest.raises(ShardError, match=r"0\.parquet: is not a shard of token ids: .*run train_tokenizer again"):
        unpacked(folder)


def test_a_damaged_shard_is_named(folder: Path) -> None:
    path = folder / "1.parquet"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(ShardError, match=r"1\.parquet: is damaged.*run train_tokenizer again"):
        TokenStore.open(folder)
    path.unlink()
    with pytest.raises(ShardError, match=r"1\.parquet: is missing"):
        TokenStore.open(folder)


def test_a_folder_without_a_description_is_an_error(folder: Path) -> None:
    (folder / META).unlink()
    for read in (TokenStore.open, unpacked):
        with pytest.raises(CorpusError, match=r"meta\.json.* cannot be read"):
            read(folder)
