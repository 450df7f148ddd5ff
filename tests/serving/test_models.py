import asyncio

import pytest

from seqloom.errors import DirectionError, ParamsError, TooLongError
from seqloom.languages import Direction
from seqloom.serving.metrics import Metrics
from seqloom.serving.models import Models
from seqloom.serving.service import Limits, Query
from seqloom.serving.slot import Slot
from tests.serving.engines import BOUNDS, FakeEngine, FakeSource

EN_DE, EN_FR = Direction("en", "de"), Direction("en", "fr")
LIMITS = Limits(characters=10, texts=3, alternatives=2)


def models(*directions):
    """Return a service with a model for each direction."""
    metrics = Metrics()
    slots = [
        Slot(FakeSource(str(each), f"{each}/1"), BOUNDS, metrics, lambda *how, each=each: FakeEngine(*how, (each,)))
        for each in directions
    ]
    return Models(slots, LIMITS, metrics)


def answer(service, *queries):
    async def scenario():
        await service.start()
        try:
            return [await service.translate(query) for query in queries]
        finally:
            await service.close()

    return asyncio.run(scenario())


def test_each_direction_is_translated_by_its_model():
    service = models(EN_FR, EN_DE)
    german, french = answer(service, Query(("a", "b"), EN_DE), Query(("c",), EN_FR, 2))
    assert [[each.text for each in found] for found in german.results] == [["a en-de/1"], ["b en-de/1"]]
    assert german.version == "en-de/1"
    assert [[each.text for each in found] for found in french.results] == [["c en-fr/1", "c en-fr/1"]]
    assert service.directions() == [EN_DE, EN_FR]
    assert [each.name for each in service.served()] == ["en-de", "en-fr"]


def test_flags_are_counted():
    service = models(EN_DE)
    answer(service, Query(("a", "b"), EN_DE))
    labels = {"model": "en-de", "flag": "copied"}
    assert service._metrics.registry.get_sample_value("seqloom_flags_total", labels) == 2


def test_an_unknown_direction_lists_the_served_ones():
    with pytest.raises(DirectionError, match="no model translates from de to en; served are en-de, en-fr"):
        answer(models(EN_DE, EN_FR), Query(("a",), Direction("de", "en")))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(("a", "b", "c", "d"), EN_DE), "4 texts in one request; at most 3 are allowed"),
        (Query(("123456", "78901"), EN_DE), "11 characters in one request; at most 10 are allowed"),
        (Query(("a",), EN_DE, 4), "3 alternatives are requested; valid are 0 to 2"),
    ],
)
def test_queries_beyond_the_limits_are_refused(query, message):
    with pytest.raises(TooLongError, match=message):
        answer(models(EN_DE), query)


def test_two_models_of_one_direction_are_refused():
    service = models(EN_DE, EN_FR)
    service._slots[1]._load = lambda *how: FakeEngine(*how, (EN_DE,))
    with pytest.raises(ParamsError, match="en-de and en-fr both translate en-de"):
        answer(service)


def test_languages_are_detected_among_the_served_ones():
    service = models(EN_DE, EN_FR)

    async def scenario():
        await service.start()
        found = service.detect("Die Datei wurde nicht gefunden")
        await service.close()
        return found

    found = asyncio.run(scenario())
    assert found[0].language == "de"
    assert {each.language for each in found} == {"de", "en", "fr"}
    assert found[0].confidence > 0.9
