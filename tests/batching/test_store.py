import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.batching import store as module
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.errors import CorpusError, FormatError
from tests.examples import examples

SEGMENT = st.lists(st.integers(0, 70_000), min_size=1, max_size=9)


def written(folder: Path, pairs, size=100) -> Path:
    with TokenWriter(folder, size, size) as writer:
        for source, target in pairs:
            writer.add(source, target)
    return folder


@settings(max_examples=examples(40), deadline=None)
@given(pairs=st.lists(st.tuples(SEGMENT, SEGMENT), min_size=1, max_size=12))
def test_a_written_store_reads_back_the_same_pairs(pairs, tmp_path_factory):
    folder = written(tmp_path_factory.mktemp("any") / "store", pairs, size=70_001)
    store = TokenStore.open(folder)
    assert [(store.source(i).tolist(), store.target(i).tolist()) for i in range(len(store))] == pairs
    assert store.source_lengths.tolist() == [len(source) for source, _ in pairs]
    assert store.target_lengths.tolist() == [len(target) for _, target in pairs]


def test_pairs_survive_several_flushes(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FLUSH", 3)
    pairs = [([n], [n, n + 1][: 1 + n % 2]) for n in range(20)]
    store = TokenStore.open(written(tmp_path / "a folder" / "that is not there" / "store", pairs))
    assert [(store.source(i).tolist(), store.target(i).tolist()) for i in range(20)] == pairs


@pytest.mark.parametrize(("size", "kind"), [(65_536, np.uint16), (65_537, np.int32)])
def test_ids_take_two_bytes_if_the_vocabulary_fits(tmp_path, size, kind):
    store = TokenStore.open(written(tmp_path / "store", [([size - 1], [0])], size))
    assert store.source(0).dtype == kind
    assert store.source(0).tolist() == [size - 1]
    assert store.source_vocab_size == store.target_vocab_size == size


def test_the_ids_are_memory_mapped_and_read_only(tmp_path):
    store = TokenStore.open(written(tmp_path / "store", [([1, 2], [3])]))
    ids = store.columns[0].ids
    assert isinstance(ids.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 5


def test_equal_pairs_give_equal_bytes(tmp_path):
    pairs = [([1, 2, 3], [4]), ([5], [6, 7])]
    one, two = written(tmp_path / "one", pairs), written(tmp_path / "two", pairs)
    names = sorted(file.name for file in one.iterdir())
    assert names == sorted(file.name for file in two.iterdir())
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


@pytest.mark.parametrize("pair", [([], [1]), ([1], [])])
def test_an_empty_side_is_rejected(tmp_path, pair):
    with pytest.raises(FormatError, match=rf"pair 1: the {'source' if not pair[0] else 'target'} is empty"):
        written(tmp_path / "store", [([1], [1]), pair])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [-1, 100])
def test_an_id_outside_the_vocabulary_is_rejected_naming_the_pair(tmp_path, wrong):
    pairs = [([1, 2], [3]), ([4], [5, 6]), ([7], [8, wrong])]
    with pytest.raises(FormatError, match=f"pair 2: target id {wrong} is outside the vocabulary of 100"):
        written(tmp_path / "store", pairs)
    assert list(tmp_path.iterdir()) == []


def test_an_id_outside_the_vocabulary_is_found_at_the_start_of_a_segment_and_after_a_flush(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FLUSH", 3)
    for wrong in range(8):
        pairs = [([100 if number == wrong else 7, 8], [9]) for number in range(8)]
        with pytest.raises(FormatError, match=f"pair {wrong}: source id 100 is outside the vocabulary of 100"):
            written(tmp_path / "store", pairs)


def test_of_several_ids_outside_the_vocabulary_the_first_one_is_named(tmp_path):
    with pytest.raises(FormatError, match="pair 1: source id 101 is outside the vocabulary of 100"):
        written(tmp_path / "store", [([1], [2]), ([3, 101, 102], [4]), ([103], [5])])


def test_a_store_without_pairs_is_rejected(tmp_path):
    with pytest.raises(CorpusError, match="no pair was written"):
        written(tmp_path / "store", [])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_writer_leaves_the_old_store_in_place(tmp_path):
    written(tmp_path / "store", [([1], [2])])

    def interrupted():
        yield [3], [4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "store", interrupted())
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert TokenStore.open(tmp_path / "store").source(0).tolist() == [1]


def test_a_writer_replaces_an_old_store_and_the_remains_of_a_killed_writer(tmp_path):
    written(tmp_path / "store", [([1], [2])])
    (tmp_path / "store.part").mkdir()
    (tmp_path / "store.part" / "old").touch()
    store = TokenStore.open(written(tmp_path / "store", [([3], [4]), ([5], [6])]))
    assert len(store) == 2
    assert not (tmp_path / "store.part").exists()
    assert not (tmp_path / "store" / "old").exists()


@pytest.mark.parametrize("name", ["source.ids.bin", "target.ids.bin", "source.offsets.bin", "target.offsets.bin"])
def test_opening_finds_a_truncated_or_missing_file(tmp_path, name):
    folder = written(tmp_path / "store", [([1, 2], [3, 4]), ([5], [6])])
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(CorpusError, match=rf"{name}: has {len(content) - 1} bytes, but should have {len(content)}"):
        TokenStore.open(folder)
    (folder / name).write_bytes(content + content[-8:])
    with pytest.raises(CorpusError, match=rf"{name}: has \d+ bytes, but should have {len(content)}"):
        TokenStore.open(folder)
    (folder / name).unlink()
    with pytest.raises(CorpusError, match=f"{name}: cannot be read"):
        TokenStore.open(folder)


@pytest.mark.parametrize("block", [1, 2, 1 << 20])
@pytest.mark.parametrize("offsets", [[0, 3, 2], [1, 2, 3], [0, 4, 3], [0, 2, 5], [0, 2, 2]])
def test_opening_finds_offsets_that_do_not_match_the_ids(tmp_path, monkeypatch, offsets, block):
    monkeypatch.setattr(module, "_COUNTED", block)
    folder = written(tmp_path / "store", [([1, 2], [3, 4]), ([5], [6])])
    np.array(offsets, "<u8").tofile(folder / "source.offsets.bin")
    with pytest.raises(CorpusError, match=r"source\.offsets\.bin: the offsets do not match the ids"):
        TokenStore.open(folder)


@pytest.mark.parametrize("block", [1, 2, 1 << 20])
@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("offsets", "pair"), [([0, 0, 2, 4], 0), ([0, 2, 2, 4], 1), ([0, 2, 4, 4], 2)])
def test_opening_names_an_empty_segment(tmp_path, monkeypatch, side, block, offsets, pair):
    monkeypatch.setattr(module, "_COUNTED", block)
    folder = written(tmp_path / "train", [([1, 2], [3, 4]), ([5], [6]), ([7], [8])])
    np.array(offsets, "<u8").tofile(folder / f"{side}.offsets.bin")
    with pytest.raises(CorpusError, match=rf"pair {pair} .*line {pair + 2} of train\.tsv, .*: the {side} is empty"):
        TokenStore.open(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "not a token store of format 2"),
        ('{"format": 1}', "not a token store of format 2"),
        ('{"format": 2}', "does not describe a token store"),
        ('{"format": 2, "pairs": "x", "dtype": "<u2"}', "does not describe a token store"),
        ('{"format": 2, "pairs": 2, "dtype": "what"}', "does not describe a token store"),
    ],
)
def test_an_invalid_meta_file_is_one_clear_error(tmp_path, text, message):
    folder = written(tmp_path / "store", [([1, 2], [3, 4])])
    (folder / "meta.json").unlink()
    if text is not None:
        (folder / "meta.json").write_text(text)
    with pytest.raises(CorpusError, match=message) as caught:
        TokenStore.open(folder)
    assert "run train_tokenizer again" in str(caught.value)


def test_the_meta_file_records_all_sizes(tmp_path):
    folder = written(tmp_path / "store", [([1, 2], [3]), ([5], [6])])
    assert json.loads((folder / "meta.json").read_text()) == {
        "format": 2,
        "pairs": 2,
        "dtype": "<u2",
        "symbols": {"pad": 0, "unk": 1, "bos": 2, "eos": 3},
        "directions": [""],
        "source": {"vocab_size": 100, "tokens": 3},
        "target": {"vocab_size": 100, "tokens": 2},
    }


def with_directions(folder: Path, numbers) -> Path:
    with TokenWriter(folder, 100, 100, directions=("en-de", "en-fr", "de-fr")) as writer:
        for number in numbers:
            writer.add([1], [2, 3], direction=number)
    return folder


def test_the_direction_of_each_pair_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FLUSH", 3)
    store = TokenStore.open(with_directions(tmp_path / "store", [0, 2, 1, 1, 0, 2, 2]))
    assert store.directions == ("en-de", "en-fr", "de-fr")
    assert store.direction_numbers.tolist() == [0, 2, 1, 1, 0, 2, 2]
    assert store.direction_numbers.dtype == np.uint16


def test_a_single_direction_needs_no_file(tmp_path):
    folder = written(tmp_path / "store", [([1], [2])])
    assert not (folder / "directions.bin").exists()
    store = TokenStore.open(folder)
    assert store.directions == ("",)
    assert store.direction_numbers is None


def test_opening_finds_a_truncated_file_of_directions(tmp_path):
    folder = with_directions(tmp_path / "store", [0, 2, 1])
    (folder / "directions.bin").write_bytes(b"12345")
    with pytest.raises(CorpusError, match=r"directions\.bin: has 5 bytes, but should have 6"):
        TokenStore.open(folder)


def test_counts_do_not_depend_on_the_block_size(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_COUNTED", 2)
    store = TokenStore.open(written(tmp_path / "store", [([1, 1, 5], [2]), ([1], [3, 3])]))
    counts = [side.counts() for side in store.columns]
    for found, ids in zip(counts, ([1, 1, 5, 1], [2, 3, 3]), strict=True):
        assert found.sum() == len(ids)
        assert all(found[index] == ids.count(index) for index in set(ids))
    assert [len(found) for found in counts] == [store.source_vocab_size, store.target_vocab_size]


def test_each_side_has_its_own_vocabulary(tmp_path):
    with TokenWriter(tmp_path / "store", 10, 20) as writer:
        writer.add([9], [19])
    store = TokenStore.open(tmp_path / "store")
    assert (store.source_vocab_size, store.target_vocab_size) == (10, 20)
    with (
        pytest.raises(FormatError, match="source id 19 is outside the vocabulary of 10"),
        TokenWriter(tmp_path / "other", 10, 20) as writer,
    ):
        writer.add([19], [9])


def test_two_directions_are_stored(tmp_path):
    with TokenWriter(tmp_path / "store", 10, 10, directions=("en-de", "en-fr")) as writer:
        for number in (1, 0, 1):
            writer.add([1], [2], direction=number)
    assert TokenStore.open(tmp_path / "store").direction_numbers.tolist() == [1, 0, 1]


def test_a_store_of_a_later_format_is_rejected(tmp_path):
    meta = written(tmp_path / "store", [([1], [2])]) / "meta.json"
    meta.write_text(meta.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(CorpusError, match="not a token store of format 2"):
        TokenStore.open(tmp_path / "store")
