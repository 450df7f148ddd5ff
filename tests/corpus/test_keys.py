import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.corpus.keys import fraction_of, key_of, languages_of, mask
from seqloom.languages import Direction


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Port 1", "Port 22", True),
        ("Hello {name}!", "Hello {other_name}!", True),
        ("Costs 1.50", "Costs 12", True),
        ("Until 10:30", "Until 9", True),
        ("Port 1", "Port {n}", False),
        ("Port", "port", False),
        ("a", "a ", False),
    ],
)
def test_texts_equal_after_masking_have_equal_keys(one, other, same):
    assert (mask(one) == mask(other)) is same
    assert (key_of(one) == key_of(other)) is same


def test_keys_are_reproducible():
    assert key_of("Port 1") == key_of("Port 0") == 0xEB5300FEB6722E25
    assert fraction_of("a", "salt") == fraction_of("a", "salt")


def test_keys_depend_on_the_language():
    assert len({key_of("Start", language) for language in ("", "en", "de", "zh-Hans", "zh-Hant")}) == 5
    assert languages_of(Direction("en", "de")) == ("en", "de")
    text, summary = languages_of(Direction("en", "en"))
    assert text != summary


@given(st.text(), st.text())
def test_fractions_are_in_the_unit_interval(text, salt):
    assert 0.0 <= fraction_of(text, salt) < 1.0


def test_fractions_are_uniform():
    counts = [0] * 10
    for number in range(10_000):
        counts[int(fraction_of(str(number), "s") * 10)] += 1
    assert all(880 < count < 1120 for count in counts)


def test_another_salt_gives_other_fractions():
    assert sum(fraction_of(str(n), "a") < 0.5 and fraction_of(str(n), "b") < 0.5 for n in range(4000)) in range(
        850, 1150
    )
