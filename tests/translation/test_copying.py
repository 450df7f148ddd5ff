"""Copied parts are masked and restored unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqloom.text import placeholders
from seqloom.translation.copying import CopyRules, fixed_parts, has_content, lead

LATIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZäöüÄÖÜß–°€")


def rules():
    return CopyRules(lambda character: character in LATIN or character.isascii())


@pytest.mark.parametrize(
    ("sentence", "masked", "parts"),
    [
        ("See https://a.b/c?d=e#f.", "See {0}.", ["https://a.b/c?d=e#f"]),
        ("(see https://a.b/c_(d))", "(see {0})", ["https://a.b/c_(d)"]),
        ("Go to www.example.com, please", "Go to {0}, please", ["www.example.com"]),
        ("Open mqtt://host:1883/x!", "Open {0}!", ["mqtt://host:1883/x"]),
        ("Fetch https://a.b/{id}/x now {name}", "Fetch {0} now {name}", ["https://a.b/{id}/x"]),
        ("Mail me.too+x@sub.example.org.", "Mail {0}.", ["me.too+x@sub.example.org"]),
        ("Hello 👋🏽 world 👩‍👩‍👧 🇩🇪", "Hello {0} world {1}", ["👋🏽", "👩‍👩‍👧 🇩🇪"]),
        ("Press 1️⃣ now", "Press {0} now", ["1️⃣"]),
        ("Select 设置 and 网络、连接 now", "Select {0} and {1} now", ["设置", "网络、连接"]),
        ("Say привет, мир to {0}", "Say {1} to {0}", ["привет, мир"]),
        ("25 °C – 3 €", "25 °C – 3 €", []),
        ("Schöne Grüße", "Schöne Grüße", []),
        ("Ðan Grün", "Ðan Grün", []),  # an unknown letter of a known script
        ("a@b and x:// and @home", "a@b and x:// and @home", []),
        ('<a href="https://a.b">here</a>', '<a href="https://a.b">here</a>', []),
    ],
)
def test_copied_parts_are_masked_and_restored(sentence, masked, parts):
    copied = rules().apply(sentence)
    assert copied.text == masked
    assert [part for _, part in copied.parts] == parts
    assert copied.restore(copied.text) == (sentence, True)


@pytest.mark.parametrize(
    "sentence",
    [
        "12:30",
        "1,234.5",
        "https://a.b/c",
        "me@example.org",
        "🎉 🎉",
        "Привет, мир!",
        "你好。",
        "{name}",
        "{a}: %s %",
        "...",
        "",
        "①",
    ],
)
def test_sentences_with_nothing_to_translate_are_empty(sentence):
    assert rules().apply(sentence).empty


@pytest.mark.parametrize("sentence", ["12 km", "a", "See {name}", "Mail me@example.org", "好 a"])
def test_sentences_with_a_word_are_not_empty(sentence):
    assert not rules().apply(sentence).empty


@pytest.mark.parametrize(
    ("translation", "restored", "right"),
    [
        ("{1} vor {0}", "b@c.de vor https://a.b", True),
        ("nur {1}", "nur b@c.de https://a.b", False),
        ("", "https://a.b b@c.de", False),
        ("{0} und {0} und {1}", "https://a.b und  und b@c.de", False),
    ],
)
def test_lost_and_duplicated_masks_are_repaired_and_reported(translation, restored, right):
    assert rules().apply("See https://a.b or b@c.de").restore(translation) == (restored, right)


PIECES = [*"ab {}0:/.@<> ", "http://", "好", "👋", "{0}", "{x}", "%s"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_every_sentence_is_restored(sentence):
    copied = rules().apply(sentence)
    assert copied.restore(copied.text) == (sentence, True)
    masks = [mask for mask, _ in copied.parts]
    assert len(set(masks)) == len(masks)
    assert all(placeholders(mask) == [mask] for mask in masks)
    assert all(mask not in sentence for mask in masks)


@given(st.text())
def test_fixed_parts_are_sorted_and_do_not_overlap(text):
    parts = fixed_parts(text)
    ends = [0, *(part.end for part in parts)]
    assert all(before <= part.start < part.end for before, part in zip(ends, parts, strict=False))


@pytest.mark.parametrize(
    ("sentence", "mark"),
    [
        ("- Turn on", "- "),
        ("* x", "* "),
        ("• x", "• "),
        ("## Title", "## "),
        ("> quoted", "> "),
        ("1. First", "1. "),
        ("(12)  Second", "(12)  "),
        ("a) third", "a) "),
        ("-5 degrees", ""),
        ("A. Smith", ""),
        ("1.5 m", ""),
        ("#tag", ""),
    ],
)
def test_list_and_heading_marks_are_found(sentence, mark):
    assert sentence[: lead(sentence)] == mark


@pytest.mark.parametrize("piece", [")", "a", "a@", "x://", "a.", "👋 ", "{{ ", "<a "])
def test_finding_parts_takes_linear_time(piece):
    text = "http://" + piece * 50_000
    assert len(fixed_parts(text)) <= len(text)  # quadratic time would be hours


@pytest.mark.parametrize(
    ("copied", "expected"),
    [("12", True), ("👋", True), ("好", True), ("1.", False), ("-", False), ("...", False), ("", False), ("1.5", True)],
)
def test_only_marks_and_punctuation_are_not_content(copied, expected):
    assert has_content(copied) is expected
