import gc
import subprocess
import sys
import threading
import time
from itertools import islice
from random import Random

import numpy as np
import pytest
import torch

from seqloom.batching.batches import BatchOrder
from seqloom.batching.prefetch import Prefetcher
from seqloom.tokenization.sentencepiece import SentencePieceVocabulary
from tests.records import tokenizer_settings


def plainly(order, epoch=0, position=0):
    """The same batches without a `Prefetcher`, each with the epoch and position of the next one."""
    while True:
        batches = order.epoch(epoch)
        batch = batches[position]
        epoch, position = (epoch, position + 1) if position + 1 < len(batches) else (epoch + 1, 0)
        yield batch, epoch, position


def same(one, two) -> bool:
    return all(map(torch.equal, one[0], two[0])) and tuple(one[1:]) == tuple(two[1:])


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batch prefetcher"]


@pytest.mark.parametrize("depth", [1, 3, 1000])
def test_batches_equal_plain_iteration_across_epoch_boundaries(write_store, some_pairs, depth):
    store = write_store(some_pairs[:100])
    size = len(BatchOrder(store, 128, 1).epoch(0))
    expected = list(islice(plainly(BatchOrder(store, 128, 1)), 2 * size + 3))
    with Prefetcher(BatchOrder(store, 128, 1), 0, 0, depth=depth) as prefetcher:
        assert all(same(next(prefetcher), batch) for batch in expected)
    assert expected[size - 1][1:] == (1, 0)


def test_a_run_resumes_from_the_epoch_and_position_of_any_batch(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs[:60]), 128, 1)
    expected = list(islice(plainly(order), 2 * len(order.epoch(0)) + 4))
    for start, (_, epoch, position) in enumerate(expected[:-2], 1):
        with Prefetcher(order, epoch, position, depth=2) as prefetcher:
            assert same(next(prefetcher), expected[start])
            assert same(next(prefetcher), expected[start + 1])


def test_at_most_depth_batches_are_built_ahead(write_store):
    built = []

    def resample(seed, pairs):
        built.append(seed)
        return pairs

    order = BatchOrder(write_store([([5], [6, 7])] * 30), 1, 1, resample=resample)  # a batch for each pair
    with Prefetcher(order, 0, 0, depth=4) as prefetcher:
        for drawn in range(1, 6):
            next(prefetcher)
            deadline = time.monotonic() + 10
            while len(built) < drawn + 4 and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.01)
            assert len(built) == drawn + 4


def test_the_next_epoch_is_prepared_in_advance(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs[:30]), 128, 1)
    size = len(order.epoch(0))
    made = threading.Event()
    plain = order.epoch

    def epoch(number):
        batches = plain(number)
        if number == 1:
            made.set()
        return batches

    order.epoch = epoch
    with Prefetcher(order, 0, 0, depth=size + 1):
        assert made.wait(10)


def test_an_exception_is_raised_for_the_batch_that_failed_and_on_every_later_call(write_store, some_pairs):
    store = write_store(some_pairs)
    expected = list(islice(plainly(BatchOrder(store, 128, 1)), 2))
    third = BatchOrder(store, 128, 1).epoch(0).pairs(2)
    faulty = store.source(third[0]).tolist()

    def resample(seed, pairs):
        if pairs[0][0] == faulty:
            raise LookupError("no such piece")
        return pairs

    with Prefetcher(BatchOrder(store, 128, 1, resample=resample), 0, 0) as prefetcher:
        for thread in threads():
            thread.join(20)  # let it fail before the first batch is read
        assert same(next(prefetcher), expected[0])
        assert same(next(prefetcher), expected[1])
        for _ in range(2):
            with pytest.raises(LookupError, match="no such piece"):
                next(prefetcher)


def test_a_start_beyond_the_epoch_raises_in_the_consumer(write_store, some_pairs):
    with Prefetcher(BatchOrder(write_store(some_pairs), 128, 1), 0, 10**6) as prefetcher, pytest.raises(IndexError):
        next(prefetcher)


@pytest.mark.parametrize("drawn", [0, 1, 5])
def test_closing_ends_a_waiting_thread(write_store, some_pairs, drawn):
    prefetcher = Prefetcher(BatchOrder(write_store(some_pairs), 128, 1), 0, 0, depth=2)
    assert [thread.daemon for thread in threads()] == [True]  # does not keep the process alive
    for _ in range(drawn):
        next(prefetcher)
    prefetcher.close()
    assert not threads()
    prefetcher.close()
    with pytest.raises(ValueError, match="closed"):
        next(prefetcher)


def test_the_thread_ends_if_the_consumer_fails_or_drops_the_prefetcher(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs), 128, 1)
    with pytest.raises(ZeroDivisionError), Prefetcher(order, 0, 0) as prefetcher:
        next(prefetcher).position / 0
    assert not threads()
    prefetcher = Prefetcher(order, 0, 0)
    next(prefetcher)
    assert len(threads()) == 1
    del prefetcher
    gc.collect()
    assert not threads()


def test_the_thread_does_not_keep_the_process_alive(write_store, some_pairs, tmp_path):
    write_store(some_pairs)
    program = f"""
from pathlib import Path
from seqloom.batching.prefetch import Prefetcher
from seqloom.batching.batches import BatchOrder
from seqloom.batching.store import TokenStore
prefetcher = Prefetcher(BatchOrder(TokenStore.open(Path({str(tmp_path / "store")!r})), 128, 1), 0, 0, depth=100_000)
next(prefetcher)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_several_threads_may_request_different_epochs_of_one_order(write_store, some_pairs):
    store = write_store(some_pairs)
    order = BatchOrder(store, 128, 1)
    expected = [list(islice(plainly(BatchOrder(store, 128, 1), epoch), 150)) for epoch in range(3)]
    prefetchers = [Prefetcher(order, epoch, 0) for epoch in range(3)]
    for batches in zip(*expected, strict=True):
        assert all(same(next(prefetcher), batch) for prefetcher, batch in zip(prefetchers, batches, strict=True))
    for prefetcher in prefetchers:
        prefetcher.close()


# Sampled subwords: threads share a cache of words.


def test_sampled_subwords_do_not_depend_on_draws_in_other_threads(write_store):
    words = ["".join(row) for row in np.random.default_rng(3).choice(list("abcd"), (100, 5))]
    texts = [" ".join(words[i : i + 5]) for i in range(80)]
    settings = tokenizer_settings(vocab_size=80, algorithm="bpe", byte_fallback=False)
    vocabulary = SentencePieceVocabulary.train(texts, settings, [])
    encoded = [vocabulary.encode(text) for text in texts]
    store = write_store(list(zip(encoded[:40], encoded[40:], strict=True)))

    split_again = vocabulary.subword_sampler(0.2)

    def resample(number, pairs):
        random = Random(number)
        return [tuple(split_again(ids, random) for ids in pair) for pair in pairs]

    order = BatchOrder(store, 256, 1, resample=resample)
    expected = list(islice(plainly(order), 40))
    assert not same(expected[0], next(plainly(BatchOrder(store, 256, 1))))  # sampling has an effect
    with Prefetcher(order, 0, 0, depth=2) as prefetcher:
        for batch in expected:
            resample(len(batch), [([5, 6, 7, 8], [9, 10, 11])])  # draw in this thread in between
            assert same(next(prefetcher), batch)


@pytest.mark.skipif(torch.cuda.is_available(), reason="memory can be pinned here")
def test_failure_to_pin_memory_raises_in_the_consumer(write_store, some_pairs):
    with (
        Prefetcher(BatchOrder(write_store(some_pairs), 128, 1), 0, 0, pin=True) as prefetcher,
        pytest.raises(RuntimeError),
    ):
        next(prefetcher)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_pinned(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs), 128, 1)
    with Prefetcher(order, 0, 0, pin=True) as prefetcher:
        drawn = next(prefetcher)
    assert all(tensor.is_pinned() for tensor in drawn.batch)
    assert same(drawn, next(plainly(order)))


def test_a_loop_reads_one_batch_after_another(write_store, some_pairs):
    order = BatchOrder(write_store(some_pairs), 128, 1)
    with Prefetcher(order, 0, 0) as prefetcher:
        found = list(islice(prefetcher, 3))
    assert [each.position for each in found] == [1, 2, 3]
    assert all(map(same, found, plainly(order)))
