import hashlib
import subprocess
import sys
from itertools import groupby, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.batching import batches as module
from seqloom.batching.batches import Batch, BatchOrder, ProcessShare, in_order, make_batch
from seqloom.batching.store import TokenStore, TokenWriter
from seqloom.symbols import SPECIAL_IDS, Symbols
from tests.examples import examples

LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=80)


def read_back(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """The pairs of a batch, row by row, using only the lengths."""
    pairs = []
    for row in range(len(batch.source)):
        source = batch.source[row, : batch.source_lengths[row]].tolist()
        target = batch.target_out[row, : batch.target_lengths[row]].tolist()
        assert target.pop() == SPECIAL_IDS.eos
        pairs.append((source, target))
    return pairs


def digest(order) -> str:
    content = hashlib.sha256()
    for batch in order:
        for tensor in batch:
            content.update(tensor.numpy().tobytes())
    return content.hexdigest()


def test_a_batch_holds_its_pairs_padded_with_bos_and_eos(write_store):
    store = write_store([([11, 12, 13], [21]), ([14], [22, 23, 24]), ([15, 16], [25, 26])])
    batch = make_batch(store, np.array([1, 2]))
    assert batch.source.tolist() == [[14, 0], [15, 16]]
    assert batch.source_lengths.tolist() == [1, 2]
    assert batch.target_in.tolist() == [[2, 22, 23, 24], [2, 25, 26, 0]]
    assert batch.target_out.tolist() == [[22, 23, 24, 3], [25, 26, 3, 0]]
    assert batch.target_lengths.tolist() == [4, 3]
    assert batch.tokens == 7
    assert all(tensor.dtype == torch.int64 and tensor.is_contiguous() for tensor in batch)


def test_the_special_ids_are_those_of_the_store(tmp_path):
    with TokenWriter(tmp_path / "store", 100, 100, Symbols(pad=9, unk=8, bos=9, eos=7)) as writer:
        writer.add([11], [21, 22])
        writer.add([12, 13], [23])
    store = TokenStore.open(tmp_path / "store")
    batch = make_batch(store, np.array([0, 1]))
    assert batch.source.tolist() == [[11, 9], [12, 13]]
    assert batch.target_in.tolist() == [[9, 21, 22], [9, 23, 9]]
    assert batch.target_out.tolist() == [[21, 22, 7], [23, 7, 9]]
    assert BatchOrder(store, 64, 1).symbols.unk == 8


def test_the_pad_id_inside_a_segment_is_kept(write_store):
    batch = make_batch(write_store([([0, 5, 0], [3, 0])]), np.array([0]))
    assert batch.source.tolist() == [[0, 5, 0]]
    assert batch.target_out.tolist() == [[3, 0, 3]]


def test_an_epoch_contains_every_pair_exactly_once(write_store, some_pairs):
    store = write_store(some_pairs)
    for order in (BatchOrder(store, 128, 1).epoch(0), BatchOrder(store, 128, 1).epoch(5), in_order(store, 128)):
        seen = [pair for batch in order for pair in read_back(batch)]
        assert sorted(seen) == sorted(some_pairs)
        numbers = np.concatenate([order.pairs(i) for i in range(len(order))])
        assert [some_pairs[number] for number in numbers] == seen


@settings(max_examples=examples(60), deadline=None)
@given(lengths=LENGTHS, budget=st.integers(1, 120), epoch=st.integers(0, 3))
def test_only_a_batch_of_a_single_pair_may_exceed_the_budget(lengths, budget, epoch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any") / "store"
    with TokenWriter(folder, 1000, 1000) as writer:
        for number, (source, target) in enumerate(lengths):
            writer.add([4 + number] * source, [4 + number] * target)
    order = BatchOrder(TokenStore.open(folder), budget, 3)
    batches = order.epoch(epoch)
    assert sorted(batch.source[row, 0].item() for batch in batches for row in range(len(batch.source))) == [
        4 + number for number in range(len(lengths))
    ]
    for batch in batches:
        size = len(batch.source) * max(batch.source.shape[1], batch.target_in.shape[1])
        assert size <= budget or len(batch.source) == 1


def test_batches_are_as_full_as_the_budget_allows(write_store, some_pairs):
    batches = list(in_order(write_store(some_pairs), 128))
    for batch, following in pairwise(batches):
        width = max(following.source_lengths[0].item(), following.target_lengths[0].item())
        assert (len(batch.source) + 1) * width > 128


def test_sorting_by_length_leaves_little_padding(write_store, some_pairs):
    store = write_store(some_pairs)

    def share(batches) -> float:
        batches = list(batches)
        real = sum(batch.tokens + int(batch.source_lengths.sum()) for batch in batches)
        return 1 - real / sum(batch.source.numel() + batch.target_in.numel() for batch in batches)

    unsorted = [make_batch(store, np.arange(i, i + 10)) for i in range(0, 600, 10)]
    assert share(unsorted) > 0.5
    assert share(BatchOrder(store, 128, 1).epoch(0)) < 0.12


def test_an_epoch_depends_only_on_seed_and_number(write_store, some_pairs):
    store = write_store(some_pairs)
    one, two = BatchOrder(store, 128, 1), BatchOrder(store, 128, 1)
    late = digest(two.epoch(3))
    assert [digest(one.epoch(n)) for n in (0, 1, 2, 3)][3] == late
    digests = {digest(one.epoch(n)) for n in range(4)} | {digest(BatchOrder(store, 128, 2).epoch(n)) for n in range(4)}
    assert len(digests) == 8


def test_batches_can_be_accessed_in_any_order(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs), 128, 1)
    forward = [read_back(batch) for batch in order.epoch(1)]
    order.epoch(0)
    assert [read_back(order.epoch(1)[i]) for i in reversed(range(len(forward)))] == forward[::-1]
    with pytest.raises(IndexError):
        order.epoch(1)[len(forward)]


def test_batches_and_their_order_change_from_epoch_to_epoch(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs), 128, 1)
    first, second = ([order.epoch(n).pairs(i).tolist() for i in range(len(order.epoch(n)))] for n in (0, 1))
    assert [len(pairs) for pairs in first] != [len(pairs) for pairs in second]  # the order of batches
    same = {tuple(sorted(pairs)) for pairs in first} & {tuple(sorted(pairs)) for pairs in second}
    assert len(same) < len(first) / 2  # what is in them: only rare lengths always stand together


def test_lengths_are_mixed_over_the_epoch(write_store, some_pairs):
    widths = [batch.target_in.shape[1] for batch in BatchOrder(write_store(some_pairs), 128, 1).epoch(0)]
    assert widths != sorted(widths)
    assert abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.5


def test_the_validation_order_starts_with_the_shortest(write_store, some_pairs):
    store = write_store(some_pairs)
    widths = [max(batch.source.shape[1], batch.target_in.shape[1]) for batch in in_order(store, 128)]
    assert widths == sorted(widths)
    assert digest(in_order(store, 128)) == digest(in_order(store, 128))


def test_another_process_builds_the_same_bytes(write_store, some_pairs, tmp_path):
    here = digest(BatchOrder(write_store(some_pairs), 128, 9).epoch(2))
    program = f"""
import hashlib
from pathlib import Path
from seqloom.batching.batches import BatchOrder
from seqloom.batching.store import TokenStore
content = hashlib.sha256()
for batch in BatchOrder(TokenStore.open(Path({str(tmp_path / "store")!r})), 128, 9).epoch(2):
    for tensor in batch:
        content.update(tensor.numpy().tobytes())
print(content.hexdigest())
"""
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert there.stdout.strip() == here


def test_the_integer_type_of_the_lengths_does_not_change_the_order(write_store, monkeypatch):
    pairs = [([4] * (1 + n % 7), [5] * (1 + n % 11)) for n in range(200)]
    store = write_store(pairs)
    assert module.PairLengths(store).widths.dtype == np.int8
    before = digest(BatchOrder(store, 64, 1).epoch(0))
    for kind in (np.int16, np.int32, np.int64):
        monkeypatch.setattr(module, "_small", lambda values, kind=kind: values.astype(kind))
        assert digest(BatchOrder(store, 64, 1).epoch(0)) == before


def test_measuring_in_blocks_does_not_change_the_order(write_store, some_pairs, monkeypatch):
    store = write_store([*some_pairs[:100], ([5] * 300, [6] * 9)])  # the last part takes more bytes
    before = digest(BatchOrder(store, 400, 1).epoch(0))
    monkeypatch.setattr(module, "_MEASURED", 25)
    assert digest(BatchOrder(store, 400, 1).epoch(0)) == before


def test_the_order_has_not_changed_since_earlier_versions(write_store, some_pairs):
    """Runs must repeat byte for byte across versions; change this digest only on purpose."""
    assert digest(BatchOrder(write_store(some_pairs), 128, 1).epoch(0))[:16] == "69994ed49c4972a3"


def test_the_subwords_have_not_changed_since_earlier_versions(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs), 128, 1, resample=doubled)
    assert digest(order.epoch(1))[:16] == "ff416a060f1ad560"


def test_the_sampled_pairs_have_not_changed_since_earlier_versions(two_directions):
    order = BatchOrder(two_directions, 128, 1, temperature=5.0)
    assert digest(order.epoch(1))[:16] == "02c0685e81a66792"


@pytest.mark.parametrize(("longest", "kind"), [(127, np.int8), (128, np.int16), (32_768, np.int32)])
def test_lengths_take_the_smallest_type_that_fits(write_store, longest, kind):
    for pair in (([4] * longest, [5]), ([4], [5] * (longest - 1))):  # longer sources, longer targets
        lengths = module.PairLengths(write_store([pair, ([4, 4], [5])]))
        assert lengths.widths.dtype == kind
        assert lengths.widths.tolist() == [longest, 2]
        assert lengths.sort(np.array([0, 1])).tolist() == [1, 0]


# Long segments.


def test_a_long_pair_is_a_batch_of_its_own_and_leaves_the_others_unchanged(write_store, some_pairs, tmp_path):
    short = write_store(some_pairs)
    with TokenWriter(tmp_path / "long", 1000, 1000) as writer:
        for source, target in [*some_pairs[:300], ([5] * 4000, [6] * 3900), *some_pairs[300:]]:
            writer.add(source, target)
    long = TokenStore.open(tmp_path / "long")
    shapes = [tuple(batch.source.shape) for batch in in_order(short, 128)]
    assert [tuple(batch.source.shape) for batch in in_order(long, 128)] == [*shapes, (1, 4000)]
    *rest, last = in_order(long, 128)
    assert [read_back(batch) for batch in rest] == [read_back(batch) for batch in in_order(short, 128)]
    assert read_back(last) == [([5] * 4000, [6] * 3900)]
    order = BatchOrder(long, 128, 1)
    for number in (0, 1):
        sizes = [len(batch.source) for batch in order.epoch(number) if batch.source.shape[1] < 4000]
        assert sorted(sizes) == sorted(len(batch.source) for batch in rest)


# Resampled subwords.


def doubled(seed, pairs):
    """A `Resample` that doubles some source ids and puts an id derived from the seed before the target."""
    draw = np.random.default_rng(seed)
    return [
        ([i for i in source for _ in range(draw.integers(1, 3))], [4 + seed % 900, *target]) for source, target in pairs
    ]


def test_resample_is_applied_to_every_pair(write_store, some_pairs):
    store = write_store([pair for pair in some_pairs if len(pair[1]) > 1])
    plain, order = BatchOrder(store, 128, 1), BatchOrder(store, 128, 1, resample=doubled)
    seeds = set()
    for epoch in (0, 1):
        for position in range(len(order.epoch(epoch))):
            rows = order.epoch(epoch).pairs(position)
            assert rows.tolist() == plain.epoch(epoch).pairs(position).tolist()
            found = read_back(order.epoch(epoch)[position])
            seeds |= {target[0] - 4 for _, target in found}
            for row, (source, target) in zip(rows, found, strict=True):
                assert target[1:] == store.target(row).tolist()
                assert [i for i, _ in groupby(source)] == [i for i, _ in groupby(store.source(row).tolist())]
    assert len(seeds) > 600  # 1200 pairs draw a new one of 900 each


def test_seeds_of_subwords_are_below_two_to_the_31(write_store):
    seeds = []

    def vary(seed, pairs):
        seeds.append(seed)
        return pairs

    list(BatchOrder(write_store([([5], [6])] * 300), 128, 1, resample=vary).epoch(0))
    assert all(type(seed) is int and 0 <= seed < 1 << 31 for seed in seeds)
    assert max(seeds) > 1 << 30
    assert len({seed % 2 for seed in seeds}) == 2


def test_a_varied_batch_depends_only_on_seed_epoch_and_position(write_store, some_pairs):
    store = write_store(some_pairs)
    one, two = BatchOrder(store, 128, 1, resample=doubled), BatchOrder(store, 128, 1, resample=doubled)
    forward = [read_back(batch) for batch in one.epoch(2)]
    backward = [read_back(two.epoch(2)[position]) for position in reversed(range(len(forward)))]
    assert backward[::-1] == forward
    assert read_back(two.epoch(2)[-1]) == forward[-1]
    with pytest.raises(IndexError):
        one.epoch(2)[len(forward)]


def test_a_segment_that_grows_too_long_or_becomes_empty_is_used_as_stored(write_store):
    store = write_store([([11, 12], [21]), ([13], [22, 23]), ([14, 15, 16], [24])])

    def much(seed, pairs):
        return [([*source, *source][:5], []) for source, _ in pairs]

    (batch,) = BatchOrder(store, 64, 1, resample=much).epoch(0)
    assert sorted(read_back(batch)) == [([11, 12], [21]), ([13, 13], [22, 23]), ([14, 15, 16, 14, 15], [24])]


def test_a_segment_may_be_resampled_to_a_single_id(write_store):
    def shortest(seed, pairs):
        return [(source[:1], target[:1]) for source, target in pairs]

    (batch,) = BatchOrder(write_store([([5, 6, 7], [8, 9])]), 64, 1, resample=shortest).epoch(0)
    assert read_back(batch) == [([5], [8])]


# Shares of several processes.


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("how", ["plain", "resample", "temperature"])
def test_the_shares_of_all_processes_make_up_the_batch(two_directions, how, ranks):
    changes = {
        "plain": {},
        "resample": {"resample": doubled},
        "temperature": {"temperature": 5.0, "resample": doubled},
    }[how]
    whole = BatchOrder(two_directions, 128, 1, **changes)
    orders = [
        BatchOrder(two_directions, 128, 1, share=ProcessShare(rank, ranks, ranks), **changes) for rank in range(ranks)
    ]
    for number in (0, 1):
        epochs = [order.epoch(number) for order in orders]
        assert {len(epoch) for epoch in epochs} == {len(whole.epoch(number))}
        for position, batch in enumerate(whole.epoch(number)):
            shares = [epoch[position] for epoch in epochs]
            pairs = read_back(batch)
            assert sum(share.tokens for share in shares) == batch.tokens
            assert max(share.target_in.shape[1] for share in shares) == batch.target_in.shape[1]
            for rank, share in enumerate(shares):
                if rank < len(pairs):
                    assert read_back(share) == pairs[rank::ranks]
                else:
                    assert share.tokens == 0
                    assert share.target_lengths.tolist() == [0]
                    assert share.source[0].tolist() == pairs[0][0]


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("how", [{}, {"temperature": 5.0, "resample": doubled}])
def test_shares_and_their_order_do_not_depend_on_the_number_of_processes(two_directions, how, ranks):
    each = [BatchOrder(two_directions, 128, 1, share=ProcessShare(number, 4, 4), **how).epoch(1) for number in range(4)]
    for rank in range(ranks):
        share = ProcessShare(rank, ranks, 4)
        order = BatchOrder(two_directions, 128, 1, share=share, **how)
        epoch = order.epoch(1)
        assert (share.turns, list(share.own)) == (-(-4 // ranks), list(range(4))[rank::ranks])
        assert len(epoch) == len(each[0]) * share.turns
        assert order.batches == BatchOrder(two_directions, 128, 1, **how).batches
        for number, batch in enumerate(epoch):
            position, turn = divmod(number, share.turns)
            if rank + turn * ranks < 4:
                expected = each[rank + turn * ranks][position]
                assert all(torch.equal(one, other) for one, other in zip(batch, expected, strict=True))
            else:
                assert batch.tokens == 0


def test_shares_need_equal_work(write_store, some_pairs):
    store = write_store(some_pairs)
    epochs = [BatchOrder(store, 1024, 1, share=ProcessShare(rank, 4, 4)).epoch(0) for rank in range(4)]
    work = np.array([[batch.target_in.numel() + batch.source.numel() for batch in epoch] for epoch in epochs])
    assert np.median(work.max(0) / work.mean(0)) < 1.05  # the median, because the few longest pairs differ in length
    assert work.sum(1).max() / work.sum(1).mean() < 1.05


# Temperature.


@pytest.fixture
def two_directions(tmp_path, some_pairs):
    """500 pairs of one direction and 20 of another, marked by the last source id."""
    with TokenWriter(tmp_path / "two", 1000, 1000, directions=("en-de", "en-fr")) as writer:
        for number, (source, target) in enumerate(some_pairs[:520]):
            small = number % 26 == 7
            writer.add([*source, 500 + small], target, direction=int(small))
    return TokenStore.open(tmp_path / "two")


def test_directions_have_no_effect_without_temperature(two_directions, write_store, some_pairs):
    alone = [([*source, 500 + (number % 26 == 7)], target) for number, (source, target) in enumerate(some_pairs[:520])]
    for temperature in (1.0, 5.0):  # with only one direction, a temperature has no effect
        one = BatchOrder(write_store(alone), 128, 1, temperature=temperature)
        assert digest(one.epoch(1)) == digest(BatchOrder(two_directions, 128, 1).epoch(1))


def test_a_temperature_gives_small_directions_a_larger_share(two_directions):
    order = BatchOrder(two_directions, 128, 1, temperature=5.0)
    weights = np.array([500, 20]) ** (1 / 5)
    expected = np.round(520 * weights / weights.sum())
    seen = []
    for number in range(4):
        epoch = order.epoch(number)
        rows = np.concatenate([epoch.pairs(position) for position in range(len(epoch))])
        small = two_directions.direction_numbers[rows] == 1
        assert [len(rows) - small.sum(), small.sum()] == expected.tolist()
        counts = np.bincount(rows, minlength=520)[two_directions.direction_numbers == 1]
        assert counts.max() - counts.min() <= 2  # whole permutations, and a partial one at either end
        seen.append(set(rows[~small]))
        for batch in epoch:
            size = len(batch.source) * max(batch.source.shape[1], batch.target_in.shape[1])
            assert size <= 128 or len(batch.source) == 1
    assert len(seen[0]) == expected[0]  # a part of the large direction, without repeats
    assert seen[0] | seen[1] == set(np.flatnonzero(two_directions.direction_numbers == 0))  # then the rest
    assert digest(order.epoch(1)) == digest(BatchOrder(two_directions, 128, 1, temperature=5.0).epoch(1))
    assert digest(order.epoch(1)) != digest(BatchOrder(two_directions, 128, 2, temperature=5.0).epoch(1))


def test_an_epoch_is_computed_once(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs[:20]), 128, 1)
    epoch = order.epoch(1)
    assert order.epoch(1) is epoch
    assert order.epoch(0) is not epoch
    assert order.batches == len(epoch)


@pytest.mark.parametrize("share", [ProcessShare(-1, 2, 2), ProcessShare(2, 2, 2), ProcessShare(0, 2, 1)])
def test_a_share_of_a_process_that_does_not_exist_is_refused(write_store, some_pairs, share):
    with pytest.raises(AssertionError):
        BatchOrder(write_store(some_pairs[:20]), 128, 1, share=share)


def test_any_temperature_above_1_has_an_effect(two_directions):
    plain = BatchOrder(two_directions, 128, 1)
    assert digest(BatchOrder(two_directions, 128, 1, temperature=1.5).epoch(0)) != digest(plain.epoch(0))
