import asyncio

import pytest

from seqloom.errors import DirectionError
from seqloom.gate.shadow import read_comparisons
from seqloom.languages import Direction
from seqloom.serving import companion as companions
from seqloom.serving.companion import Companion, Role
from seqloom.serving.metrics import Metrics
from seqloom.serving.models import Models
from seqloom.serving.service import Limits, Query
from seqloom.serving.shadow_report import ShadowReport
from seqloom.serving.slot import Slot
from seqloom.serving.trials import TRIALS
from tests.serving.engines import BOUNDS, FakeEngine, FakeSource

NAME = "seqloom-en-de"
QUERY = Query(("Turn on the light",), Direction("en", "de"))


class Pair:
    """A model whose first version serves, with a second version as its companion."""

    def __init__(self, role, share, second="2", load=FakeEngine, report=None):
        self.metrics = Metrics()
        slot = Slot(FakeSource(NAME, f"{NAME}/1"), BOUNDS, self.metrics, FakeEngine)
        other = Slot(FakeSource(f"{NAME} {role}", second), BOUNDS, self.metrics, load)
        self.companion = Companion(NAME, other, role, share, self.metrics, report)
        self.models = Models([slot], Limits(1000, 20, 3), self.metrics, companion=self.companion)

    def versions(self, count):
        """Return the versions that answer this many requests."""

        async def scenario():
            await self.models.start()
            found = [(await self.models.translate(QUERY)).version for _ in range(count)]
            self.served = [each.name for each in self.models.served()]
            await self.models.close()
            return found

        return asyncio.run(scenario())

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, {"model": NAME, "version": "2", **labels})


def test_a_canary_answers_its_share_and_says_so():
    pair = Pair(Role.CANARY, 0.25)
    assert pair.versions(8) == ([f"{NAME}/1"] * 3 + ["2"]) * 2
    assert pair.served == [NAME, f"{NAME} canary"]


def test_a_small_share_is_exact():
    assert Pair(Role.CANARY, 0.05).versions(60).count("2") == 3


def test_a_canary_that_fails_leaves_the_request_to_the_other_version(caplog):
    class Failing(FakeEngine):
        def translate(self, texts, direction, n_best):
            if texts[0] not in TRIALS:
                raise RuntimeError("boom")
            return super().translate(texts, direction, n_best)

    pair = Pair(Role.CANARY, 1.0, load=Failing)
    assert pair.versions(2) == [f"{NAME}/1"] * 2
    assert pair.value("seqloom_companion_failures_total", role="canary") == 2
    assert "2 failed: boom" in caplog.text


def test_a_shadow_never_answers_but_is_compared():
    pair = Pair(Role.SHADOW, 0.5)
    assert pair.versions(4) == [f"{NAME}/1"] * 4
    assert pair.value("seqloom_shadow_texts_total") == 2
    assert pair.value("seqloom_shadow_different_total") == 2
    assert 20 < pair.value("seqloom_shadow_chrf_sum") / 2 < 100
    assert pair.value("seqloom_shadow_seconds_total", by="served") > 0
    assert pair.value("seqloom_shadow_seconds_total", by="shadow") > 0


def test_a_shadow_writes_its_report(tmp_path):
    Pair(Role.SHADOW, 0.5, f"{NAME}/2", report=ShadowReport(tmp_path)).versions(4)
    (found,) = read_comparisons(tmp_path, f"{NAME}/2")
    assert (found.served, found.requests, found.texts, found.different) == (f"{NAME}/1", 2, 2, 2)
    assert found.served_flags == found.shadow_flags == {"copied": 2}


def test_equal_translations_are_not_different():
    pair = Pair(Role.SHADOW, 1.0, load=lambda *how: FakeEngine(f"{NAME}/1"))
    pair.versions(1)
    assert pair.value("seqloom_shadow_different_total") == 0
    assert pair.value("seqloom_shadow_chrf_sum") == 100


def test_requests_are_not_repeated_if_the_shadow_is_too_slow(monkeypatch):
    monkeypatch.setattr(companions, "MOST_WAITING", 0)
    pair = Pair(Role.SHADOW, 1.0)
    assert pair.versions(3) == [f"{NAME}/1"] * 3
    assert pair.value("seqloom_shadow_texts_total") is None


def test_other_directions_are_left_to_the_model():
    pair = Pair(Role.CANARY, 1.0, load=lambda *how: FakeEngine(*how, (Direction("en", "fr"),)))
    assert pair.versions(1) == [f"{NAME}/1"]


@pytest.mark.parametrize("role", list(Role))
def test_a_companion_must_work_at_the_start(role):
    with pytest.raises(OSError, match="a file is missing"):
        Pair(role, 1.0, second="broken").versions(1)


@pytest.mark.parametrize("role", Role)
def test_a_query_may_name_either_version(role):
    pair = Pair(role, 1.0)

    async def scenario():
        await pair.models.start()
        found = [(await pair.models.translate(QUERY._replace(version=each))).version for each in (f"{NAME}/1", "2")]
        with pytest.raises(DirectionError, match="version '3' is not served for en-de; served are seqloom-en-de/1, 2"):
            await pair.models.translate(QUERY._replace(version="3"))
        await pair.models.close()
        return found

    assert asyncio.run(scenario()) == [f"{NAME}/1", "2"]
    assert pair.value("seqloom_shadow_texts_total") in (None, 0)  # such a query is not repeated
