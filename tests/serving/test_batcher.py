import asyncio
import threading

import pytest

from seqloom.errors import BusyError, ModelError
from seqloom.languages import Direction
from seqloom.serving.batcher import Batcher, Bounds
from seqloom.serving.service import Query
from seqloom.translation.results import Result

EN_DE = Direction("en", "de")
BOUNDS = Bounds(batch_characters=60, queue_characters=1000, wait=0.0)


class Translator:
    """Translates to capitals, once `proceed` is set; `bad` is a text that fails."""

    def __init__(self, proceed=True):
        self.batches, self.directions = [], []
        self.proceed, self.started = threading.Event(), threading.Event()
        if proceed:
            self.proceed.set()

    def __call__(self, texts, direction, n_best):
        self.started.set()
        assert self.proceed.wait(10)
        self.batches.append(list(texts))
        self.directions.append((direction, n_best))
        if "bad" in texts:
            raise ModelError("this text is bad")
        return [[Result(text.upper())] * n_best for text in texts]

    async def busy(self, batcher):
        """Give the worker a text, so that all others wait; return its task."""
        task = asyncio.create_task(batcher.translate(query("first", client="first")))
        await asyncio.to_thread(self.started.wait, 10)
        return task


def query(*texts, client="", direction=EN_DE, n_best=1):
    return Query(texts, direction, n_best, client)


def texts_of(results):
    return [[each.text for each in found] for found in results]


async def queued(batcher, *queries):
    """Put the queries into the queue in this order; return their tasks."""
    tasks = []
    for each in queries:
        tasks.append(asyncio.create_task(batcher.translate(each)))
        await asyncio.sleep(0)
    return tasks


def test_results_are_in_the_order_of_the_texts():
    async def scenario():
        batcher = Batcher(Translator(), BOUNDS)
        found = await batcher.translate(query(*"abcdefghij", n_best=2))
        await batcher.close()
        return found

    assert texts_of(asyncio.run(scenario())) == [[each, each] for each in "ABCDEFGHIJ"]


def test_no_texts_need_no_translator():
    async def scenario():
        batcher = Batcher(translator := Translator(), BOUNDS)
        found = await batcher.translate(query())
        await batcher.close()
        return found, translator.batches

    assert asyncio.run(scenario()) == ([], [])


def test_texts_that_wait_are_translated_together():
    async def scenario():
        translator = Translator(proceed=False)
        batcher = Batcher(translator, BOUNDS)
        first = await translator.busy(batcher)
        tasks = await queued(batcher, query("a"), query("b"), query("c"))
        translator.proceed.set()
        await asyncio.gather(first, *tasks)
        await batcher.close()
        return translator.batches

    assert asyncio.run(scenario()) == [["first"], ["a", "b", "c"]]


def test_clients_take_turns_and_batches_are_bounded():
    async def scenario():
        translator = Translator(proceed=False)
        batcher = Batcher(translator, BOUNDS)
        first = await translator.busy(batcher)
        tasks = await queued(
            batcher,
            query(*(f"m{i}" for i in range(8)), client="many"),
            query("o", client="one"),
            query("p", client="p"),
        )
        translator.proceed.set()
        await asyncio.gather(first, *tasks)
        await batcher.close()
        return translator.batches[1:]

    assert asyncio.run(scenario()) == [["m0", "o", "p", "m1", "m2"], ["m3", "m4", "m5", "m6", "m7"]]


def test_an_idle_worker_waits_for_more_until_a_batch_is_full():
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)
        await asyncio.Event().wait()  # for ever: only a full batch ends it

    async def scenario():
        translator = Translator()
        batcher = Batcher(translator, BOUNDS._replace(wait=0.25), pause=pause)
        tasks = await queued(batcher, *(query(text) for text in "abcdef"))
        await asyncio.gather(*tasks)
        closing = asyncio.create_task(batcher.close())
        await closing
        return translator.batches

    assert asyncio.run(scenario()) == [["a", "b", "c", "d", "e"], ["f"]]
    assert pauses == [0.25]


def test_a_text_goes_alone_when_the_pause_is_over():
    async def scenario():
        over = asyncio.Event()

        async def pause(seconds):
            await over.wait()

        batcher = Batcher(translator := Translator(), BOUNDS._replace(wait=0.25), pause=pause)
        (task,) = await queued(batcher, query("a"))
        before = list(translator.batches)
        over.set()
        await task
        await batcher.close()
        return before, translator.batches

    assert asyncio.run(scenario()) == ([], [["a"]])


def test_directions_and_numbers_of_results_are_separate_calls():
    async def scenario():
        translator = Translator(proceed=False)
        batcher = Batcher(translator, BOUNDS)
        first = await translator.busy(batcher)
        french = Direction("en", "fr")
        tasks = await queued(batcher, query("a"), query("b", direction=french), query("c", n_best=2), query("d"))
        translator.proceed.set()
        await asyncio.gather(first, *tasks)
        await batcher.close()
        return translator.batches[1:], translator.directions[1:]

    batches, kinds = asyncio.run(scenario())
    assert batches == [["a", "d"], ["b"], ["c"]]
    assert kinds == [(EN_DE, 1), (Direction("en", "fr"), 1), (EN_DE, 2)]


def test_only_the_request_with_the_bad_text_fails():
    async def scenario():
        translator = Translator(proceed=False)
        batcher = Batcher(translator, BOUNDS)
        first = await translator.busy(batcher)
        tasks = await queued(batcher, query("good"), query("bad", "x"), query("fine"))
        translator.proceed.set()
        found = await asyncio.gather(first, *tasks, return_exceptions=True)
        await batcher.close()
        return found[1:]

    good, bad, fine = asyncio.run(scenario())
    assert (texts_of(good), texts_of(fine)) == ([["GOOD"]], [["FINE"]])
    assert isinstance(bad, ModelError)


def test_a_cancelled_request_frees_its_place():
    async def scenario():
        translator = Translator(proceed=False)
        batcher = Batcher(translator, BOUNDS)
        first = await translator.busy(batcher)
        gone, stays = await queued(batcher, query("gone", "gone too", client="a"), query("stays", client="a"))
        before = batcher.queued
        gone.cancel()
        await asyncio.wait([gone])
        after = batcher.queued
        translator.proceed.set()
        await asyncio.gather(first, stays)
        await batcher.close()
        return before, after, translator.batches

    assert asyncio.run(scenario()) == (47, 15, [["first"], ["stays"]])


def test_a_request_that_is_cancelled_while_it_is_translated_harms_nobody():
    async def scenario():
        translator = Translator(proceed=False)
        batcher = Batcher(translator, BOUNDS)
        first = await translator.busy(batcher)
        first.cancel()
        await asyncio.wait([first])
        (other,) = await queued(batcher, query("other"))
        translator.proceed.set()
        found = await other
        await batcher.close()
        return texts_of(found), batcher.queued

    assert asyncio.run(scenario()) == ([["OTHER"]], 0)


@pytest.mark.parametrize(
    ("waiting", "new", "refused"),
    [
        ([("a", 40)], ("a", 40), True),  # more than half of the queue for one client
        ([("a", 40)], ("b", 40), False),
        ([("a", 40), ("b", 40)], ("c", 40), True),  # the queue is full
        ([], ("a", 90), False),  # a large request to an idle server
    ],
)
def test_the_queue_is_bounded_for_each_client_and_for_all(waiting, new, refused):
    async def scenario():
        translator = Translator(proceed=False)
        batcher = Batcher(translator, BOUNDS._replace(queue_characters=110))
        first = await translator.busy(batcher)
        tasks = await queued(batcher, *(query("x" * size, client=client) for client, size in waiting))
        (task,) = await queued(batcher, query("x" * new[1], client=new[0]))
        translator.proceed.set()
        await asyncio.gather(first, *tasks)
        (found,) = await asyncio.gather(task, return_exceptions=True)
        await batcher.close()
        return found

    found = asyncio.run(scenario())
    assert isinstance(found, BusyError) == refused
    if refused:
        assert found.retry_after == 1.0  # nothing is known about its speed


def test_retry_after_follows_the_measured_rate():
    now, translator = [0.0], Translator()

    def slow(texts, direction, n_best):
        now[0] += 2.0
        return translator(texts, direction, n_best)

    async def scenario():
        batcher = Batcher(slow, Bounds(60, 100, 0.0), clock=lambda: now[0])
        await batcher.translate(query("x" * 10))  # 20 characters with overhead in 2 s: 10 per second
        translator.proceed.clear()
        translator.started.clear()
        first = await translator.busy(batcher)
        tasks = await queued(batcher, query("x" * 90, client="a"), query("x", client="b"))
        translator.proceed.set()
        found = await asyncio.gather(first, *tasks, return_exceptions=True)
        await batcher.close()
        return found[2]

    error = asyncio.run(scenario())
    assert isinstance(error, BusyError)
    assert error.retry_after == 10.0


def test_closing_translates_what_waits():
    async def scenario():
        translator = Translator(proceed=False)
        batcher = Batcher(translator, BOUNDS)
        first = await translator.busy(batcher)
        (task,) = await queued(batcher, query("last"))
        closing = asyncio.create_task(batcher.close())
        translator.proceed.set()
        await closing
        return await first, texts_of(await task)

    assert asyncio.run(scenario())[1] == [["LAST"]]


def test_a_batch_is_reported():
    reports = []

    async def scenario():
        now = [0.0]

        def translate(texts, direction, n_best):
            now[0] += 0.5
            return [[Result(text)] for text in texts]

        batcher = Batcher(translate, BOUNDS, reports.append, clock=lambda: now[0])
        await batcher.translate(query("ab", "c"))
        await batcher.close()

    asyncio.run(scenario())
    assert [tuple(each) for each in reports] == [(2, 3, (0.0, 0.0), 0.5)]


def test_a_translator_that_returns_too_little_fails_only_its_batch():
    async def scenario():
        batcher = Batcher(lambda texts, direction, n_best: [[Result("x")]], BOUNDS)
        with pytest.raises(ValueError, match="shorter"):
            await batcher.translate(query("a", "b"))
        found = await batcher.translate(query("a"))
        await batcher.close()
        return texts_of(found)

    assert asyncio.run(scenario()) == [["x"]]


def test_workers_that_are_idle_share_what_waits():
    translator = Translator()

    async def scenario():
        batcher = Batcher(translator, BOUNDS._replace(batch_characters=100), lanes=2)
        found = await batcher.translate(query("a", "b", "c", "d"))
        await batcher.close()
        return texts_of(found)

    assert asyncio.run(scenario()) == [["A"], ["B"], ["C"], ["D"]]
    assert sorted(translator.batches) == [["a", "b"], ["c", "d"]]


def test_a_worker_that_is_busy_leaves_the_batch_to_another():
    proceed, started = threading.Event(), threading.Event()

    def translate(texts, direction, n_best):
        if "slow" in texts:
            started.set()
            assert proceed.wait(10)
        return [[Result(text.upper())] for text in texts]

    async def scenario():
        batcher = Batcher(translate, BOUNDS, lanes=2)
        slow = asyncio.create_task(batcher.translate(query("slow")))
        await asyncio.to_thread(started.wait, 10)
        others = [texts_of(await batcher.translate(query(text))) for text in "abc"]
        waited = slow.done()
        proceed.set()
        others.append(texts_of(await slow))
        await batcher.close()
        return others, waited

    assert asyncio.run(scenario()) == ([[["A"]], [["B"]], [["C"]], [["SLOW"]]], False)
