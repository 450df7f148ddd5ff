from pathlib import Path

import numpy as np
import pytest

from seqloom.batching import checks as module
from seqloom.batching.checks import check_store
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.errors import CorpusError
from seqloom.symbols import Symbols

PAIRS = [([11, 1], [21, 22]), ([12], [23]), ([13, 14, 15], [24, 25])]


def damaged(folder: Path, side: str, place: int, index: int, *, size: int = 100, **symbols: int) -> TokenStore:
    """A store of `PAIRS` with one id overwritten."""
    with TokenWriter(folder, size, size, Symbols(**{"pad": 0, "unk": 1, "bos": 2, "eos": 3} | symbols)) as writer:
        for pair in PAIRS:
            writer.add(*pair)
    path = folder / f"{side}.ids.bin"
    ids = np.fromfile(path, "<u2" if size <= 1 << 16 else "<i4")
    ids[place] = index
    ids.tofile(path)
    return TokenStore.open(folder)


@pytest.fixture(params=[1, 2, 1 << 20], autouse=True)
def checked_at_once(request, monkeypatch):
    monkeypatch.setattr(module, "_CHECKED", request.param)


def test_a_valid_store_passes(tmp_path):
    check_store(damaged(tmp_path / "train", "source", 0, 99), 100, 100)
    check_store(damaged(tmp_path / "with a zero", "source", 0, 0, pad=4), 100, 100)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("index", "message"),
    [
        (100, r"is outside the vocabulary of 100"),
        (65_535, r"is outside the vocabulary of 100"),
        (0, "is PAD, which a segment must not contain"),
        (2, "is BOS, which a segment must not contain"),
        (3, "is EOS, which a segment must not contain"),
    ],
)
@pytest.mark.parametrize(("place", "source_pair", "target_pair"), [(0, 0, 0), (2, 1, 1), (3, 2, 2)])
def test_the_error_names_the_first_invalid_pair(tmp_path, side, place, source_pair, target_pair, index, message):
    store = damaged(tmp_path / "train", side, place, index)
    pair = source_pair if side == "source" else target_pair
    where = rf"{tmp_path / 'train'}: pair {pair} .*line {pair + 2} of train\.tsv,"
    with pytest.raises(CorpusError, match=rf"{where}.*: {side} id {index} {message}; run train_tokenizer again"):
        check_store(store, 100, 100)


def test_a_negative_int32_id_is_found(tmp_path):
    store = damaged(tmp_path / "train", "target", 4, -7, size=70_000)
    with pytest.raises(CorpusError, match=r"pair 2 .*: target id -7 is outside the vocabulary of 70,000"):
        check_store(store, 70_000, 70_000)


@pytest.mark.parametrize(("sizes", "message"), [((99, 100), "source ids .* of 100, .*99"), ((100, 4000), "target ids")])
def test_a_different_vocabulary_size_is_rejected(tmp_path, sizes, message):
    with pytest.raises(CorpusError, match=message):
        check_store(damaged(tmp_path / "valid", "source", 0, 5), *sizes)


def test_segments_of_a_pretrained_tokenizer_may_contain_special_ids(tmp_path):
    store = damaged(tmp_path / "train", "source", 0, 7, pad=9, bos=9, eos=7)
    check_store(store, 100, 100, bare=False)
    with pytest.raises(CorpusError, match="source id 7 is EOS"):
        check_store(store, 100, 100)
    with pytest.raises(CorpusError, match="source id 9 is PAD and BOS"):
        check_store(damaged(tmp_path / "train", "source", 0, 9, pad=9, bos=9, eos=7), 100, 100)


def test_minus_one_is_outside_the_vocabulary(tmp_path):
    store = damaged(tmp_path / "train", "source", 0, -1, size=70_000)
    with pytest.raises(CorpusError, match=r"pair 0 .*: source id -1 is outside the vocabulary of 70,000"):
        check_store(store, 70_000, 70_000)
