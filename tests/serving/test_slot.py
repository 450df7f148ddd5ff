import asyncio
import gc
import logging
import threading
import weakref

import pytest

from seqloom.errors import RegistryError
from seqloom.languages import Direction
from seqloom.serving.metrics import Metrics
from seqloom.serving.service import Query
from seqloom.serving.slot import RETRY, Slot
from seqloom.serving.trials import TRIALS
from tests.serving.engines import BOUNDS, FakeEngine, FakeSource

NAME = "seqloom-en-de"


def query(text):
    return Query((text,), Direction("en", "de"))


def make_slot(source, load=FakeEngine, **options):
    return Slot(source, BOUNDS, Metrics(), load, **options)


def value(slot, name, **labels):
    return slot._metrics.registry.get_sample_value(name, {"model": NAME, **labels})


async def translated(slot, text="x"):
    ((result,),) = await slot.loaded.batcher.translate(query(text))
    return result.text


def test_a_new_version_is_tried_and_then_serves():
    source = FakeSource()

    async def scenario():
        slot = make_slot(source)
        await slot.start()
        first, before = slot.loaded, await translated(slot)
        source.label = f"{NAME}/2"
        await slot.refresh()
        after = await translated(slot)
        await slot.close()
        return slot, first, before, after

    slot, first, before, after = asyncio.run(scenario())
    assert (before, after) == (f"x {NAME}/1", f"x {NAME}/2")
    assert slot.loaded.engine.seen == [*TRIALS, "x"]
    assert slot.loaded.served.scores == {"bleu": 30.0}
    assert first.batcher.queued == 0
    assert (first.engine.background, slot.loaded.engine.background) == (False, True)
    assert first.engine.closed
    assert value(slot, "seqloom_swaps_total") == 1
    assert value(slot, "seqloom_model_info", version=f"{NAME}/2") == 1
    assert value(slot, "seqloom_model_info", version=f"{NAME}/1") is None


def test_the_memory_of_a_replaced_version_is_freed():
    source = FakeSource()

    async def scenario():
        slot = make_slot(source)
        await slot.start()
        old = weakref.ref(slot.loaded.engine)
        source.label = f"{NAME}/2"
        await slot.refresh()
        await asyncio.gather(*slot._ending)
        gc.collect()
        freed = old() is None
        await slot.close()
        return freed

    assert asyncio.run(scenario())


def test_an_unchanged_version_is_not_loaded_again():
    source = FakeSource()

    async def scenario():
        slot = make_slot(source)
        await slot.start()
        await slot.refresh()
        await slot.close()

    asyncio.run(scenario())
    assert source.fetched == [f"{NAME}/1"]


def test_requests_of_the_old_version_are_answered_by_it():
    source, proceed, started = FakeSource(), threading.Event(), threading.Event()

    class Slow(FakeEngine):
        def translate(self, texts, direction, n_best):
            if "slow" in texts:
                started.set()
                assert proceed.wait(10)
            return super().translate(texts, direction, n_best)

    async def scenario():
        slot = make_slot(source, Slow)
        await slot.start()
        old = asyncio.create_task(translated(slot, "slow"))
        waiting = asyncio.create_task(translated(slot, "waiting"))
        await asyncio.to_thread(started.wait, 10)
        source.label = f"{NAME}/2"
        await slot.refresh()  # does not wait for the old version
        new = await translated(slot, "new")
        proceed.set()
        found = [new, await old, await waiting]
        await slot.close()
        return found

    assert asyncio.run(scenario()) == [f"new {NAME}/2", f"slow {NAME}/1", f"waiting {NAME}/1"]


@pytest.mark.parametrize("bad", ["broken", "crash", "silent"])
def test_a_version_that_does_not_work_leaves_the_old_one_and_raises_an_alarm(bad, caplog):
    source, now = FakeSource(), [0.0]

    async def scenario():
        slot = make_slot(source, clock=lambda: now[0])
        await slot.start()
        source.label = bad
        for now[0] in (0.0, RETRY - 1, RETRY):
            await slot.refresh()
        serving, alarm = await translated(slot), value(slot, "seqloom_alarm", kind="load")
        source.label = f"{NAME}/1"
        await slot.refresh()
        await slot.close()
        return serving, alarm, value(slot, "seqloom_alarm", kind="load")

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(scenario()) == (f"x {NAME}/1", 1, 0)
    assert source.fetched == [f"{NAME}/1", bad, bad]
    assert f"{bad} cannot be used, {NAME}/1 still serves: " in caplog.text


def test_a_registry_that_does_not_answer_raises_an_alarm(caplog):
    source = FakeSource()

    async def scenario():
        slot = make_slot(source)
        await slot.start()
        source.fault = RegistryError("no answer")
        await slot.refresh()
        alarm = value(slot, "seqloom_alarm", kind="registry")
        source.fault = None
        await slot.refresh()
        await slot.close()
        return alarm, value(slot, "seqloom_alarm", kind="registry")

    assert asyncio.run(scenario()) == (1, 0)


def test_the_first_version_must_work():
    with pytest.raises(OSError, match="a file is missing"):
        asyncio.run(make_slot(FakeSource(label="broken")).start())


def test_watching_survives_unexpected_errors(caplog):
    source, pauses = FakeSource(), []

    async def pause(seconds):
        pauses.append(seconds)
        source.fault = ValueError("a bug") if len(pauses) == 1 else None
        source.label = f"{NAME}/2"
        if len(pauses) == 3:
            raise asyncio.CancelledError

    async def scenario():
        slot = make_slot(source)
        await slot.start()
        with pytest.raises(asyncio.CancelledError):
            await slot.watch(2.0, pause)
        await slot.close()
        return slot.loaded.release.label

    assert asyncio.run(scenario()) == f"{NAME}/2"
    assert pauses == [2.0, 2.0, 2.0]
