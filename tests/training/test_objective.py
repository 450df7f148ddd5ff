import pytest
import torch

from seqloom.batching.batches import Batch
from seqloom.symbols import SPECIAL_IDS
from seqloom.training.objective import drop_words, twice


@pytest.fixture
def batch() -> Batch:
    """200 padded pairs of at most 9 and 7 ids."""
    torch.manual_seed(4)
    source, target = torch.randint(4, 50, (200, 9)), torch.randint(4, 50, (200, 8))
    source_lengths, target_lengths = torch.randint(1, 10, (200,)), torch.randint(2, 9, (200,))
    source[torch.arange(9) >= source_lengths.unsqueeze(1)] = SPECIAL_IDS.pad
    target_in, target_out = target.clone(), target.roll(-1, 1)
    target_in[:, 0] = SPECIAL_IDS.bos
    target_in[torch.arange(8) >= target_lengths.unsqueeze(1)] = SPECIAL_IDS.pad
    target_out[torch.arange(200), target_lengths - 1] = SPECIAL_IDS.eos
    target_out[torch.arange(8) >= target_lengths.unsqueeze(1)] = SPECIAL_IDS.pad
    return Batch(source, source_lengths, target_in, target_out, target_lengths)


NOTHING = torch.tensor([], dtype=torch.int64)


def test_twice_repeats_the_batch(batch: Batch) -> None:
    assert twice(batch).tokens == 2 * batch.tokens
    for tensor, double in zip(batch, twice(batch), strict=True):
        assert torch.equal(double[:200], tensor)
        assert torch.equal(double[200:], tensor)


def test_word_dropout_replaces_input_ids_and_nothing_else(batch: Batch) -> None:
    dropped = drop_words(batch, 0.3, SPECIAL_IDS.unk, NOTHING)
    for before, after, words in (
        (batch.source, dropped.source, batch.source > 3), (batch.target_in, dropped.target_in, batch.target_in > 3),
    ):  # fmt: skip
        changed = before != after
        assert (after[changed] == SPECIAL_IDS.unk).all()
        assert not (changed & ~words).any()  # neither BOS nor padding
        assert changed.sum() / words.sum() == pytest.approx(0.3, abs=0.05)
    assert torch.equal(dropped.target_out, batch.target_out)
    assert torch.equal(dropped.source_lengths, batch.source_lengths)
    assert torch.equal(dropped.target_lengths, batch.target_lengths)


def test_padding_with_the_id_of_bos_is_not_replaced(batch: Batch) -> None:
    """Some networks start the decoder with padding."""
    same = batch._replace(target_in=batch.target_in.masked_fill(batch.target_in == SPECIAL_IDS.bos, SPECIAL_IDS.pad))
    dropped = drop_words(same, 0.9, SPECIAL_IDS.unk, NOTHING)
    assert torch.equal(dropped.target_in == SPECIAL_IDS.pad, same.target_in == SPECIAL_IDS.pad)


def test_kept_ids_are_not_replaced(batch: Batch) -> None:
    dropped = drop_words(batch, 0.9, SPECIAL_IDS.unk, torch.tensor([7, 9]))
    assert torch.equal(dropped.source == 7, batch.source == 7)
    assert torch.equal(dropped.target_in == 9, batch.target_in == 9)
    assert (batch.source == 7).any()


def test_word_dropout_draws_from_the_generator_in_checkpoints(batch: Batch) -> None:
    state = torch.get_rng_state()
    first = drop_words(batch, 0.3, SPECIAL_IDS.unk, NOTHING)
    second = drop_words(batch, 0.3, SPECIAL_IDS.unk, NOTHING)
    assert not torch.equal(first.source, second.source)
    torch.set_rng_state(state)
    assert torch.equal(drop_words(batch, 0.3, SPECIAL_IDS.unk, NOTHING).source, first.source)
