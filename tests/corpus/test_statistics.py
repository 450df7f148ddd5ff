import json
import random
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom import language_recognition
from seqloom.corpus import statistics
from seqloom.corpus.splits import Pair
from seqloom.corpus.statistics import Tally
from seqloom.errors import CorpusError
from seqloom.languages import Direction
from tests.examples import examples

EN_DE = Direction("en", "de")
ENGLISH = "Please close the windows of the kitchen before you leave the house"
GERMAN = "Bitte schließe die Fenster der Küche, bevor du das Haus verlässt"


def batch(pairs):
    rows = [Pair(*pair[:2], str(pair[2] if len(pair) > 2 else EN_DE), "c", "") for pair in pairs]
    return pa.record_batch([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], list(Pair._fields))


def measure(pairs, directions, parts=1):
    """Statistics of some pairs, which are counted in several parts."""
    tally = Tally(directions)
    for number in range(parts):
        part = Tally(directions)
        part.count(batch(pairs[number::parts]))
        tally.add(json.loads(json.dumps(part.part())))
    return tally.statistics()


def test_lengths_are_measured_in_words_and_characters():
    found = measure([("a b", "c"), ("d", "efg"), ("h", "i")], [EN_DE]).record()
    assert found["lengths"] == {
        "source": {
            "words": {"mean": 1.33, "p50": 1, "p95": 2}, "characters": {"mean": 1.67, "p50": 1, "p95": 3},
        },
        "target": {
            "words": {"mean": 1.0, "p50": 1, "p95": 1}, "characters": {"mean": 1.67, "p50": 1, "p95": 3},
        },
        "ratio": round((1 / 3 + 3 + 1) / 3, 4),
    }  # fmt: skip
    assert found["language"] == {}  # no text is long enough


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1))
def test_a_quantile_is_not_exceeded_by_its_share_of_texts(lengths):
    from collections import Counter

    for percent in (50, 95):
        found = statistics._quantile(Counter(lengths), len(lengths), percent)
        assert found in lengths
        assert sum(length <= found for length in lengths) * 100 >= percent * len(lengths)
        assert sum(length < found for length in lengths) * 100 < percent * len(lengths)


def test_texts_in_the_wrong_language_lower_the_share():
    right = [(f"{ENGLISH} {n}", f"{GERMAN} {n}") for n in range(30)]
    swapped = [(f"{GERMAN} {n}", f"{ENGLISH} {n}") for n in range(10)]
    assert measure(right, [EN_DE]).languages == {"source": 1.0, "target": 1.0}
    assert measure(right + swapped, [EN_DE]).languages == {"source": 0.75, "target": 0.75}


def test_each_pair_is_compared_with_its_own_direction():
    back = Direction("de-AT", "en")
    both = [(ENGLISH, GERMAN), (GERMAN + ".", ENGLISH + ".", back)]
    assert measure(both, [EN_DE, back]).languages == {"source": 1.0, "target": 1.0}


def test_a_language_unknown_to_the_recogniser_is_omitted():
    odd = Direction("en", "tlh")
    assert measure([(ENGLISH, GERMAN, odd)], [odd]).languages == {"source": 1.0}


def test_the_sample_depends_on_the_texts_not_on_their_order(monkeypatch):
    monkeypatch.setattr(statistics, "_SAMPLE", 7)
    pairs = [(f"{ENGLISH} {n}", f"{GERMAN if n % 2 else ENGLISH} {n}") for n in range(60)]
    first = measure(pairs, [EN_DE])
    for seed in range(3):
        random.Random(seed).shuffle(pairs)
        assert measure(pairs, [EN_DE], parts=1 + seed) == first
    assert 0 < first.languages["target"] < 1
    assert (first.languages["target"] * 7) == pytest.approx(round(first.languages["target"] * 7), abs=1e-3)


def test_a_missing_recogniser_names_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    statistics._recogniser.cache_clear()
    language_recognition.recogniser.cache_clear()
    with pytest.raises(CorpusError, match=r"language recognition needs py3langid: pip install 'seqloom\[pipeline\]'"):
        measure([(ENGLISH, GERMAN)], [EN_DE])
    statistics._recogniser.cache_clear()
