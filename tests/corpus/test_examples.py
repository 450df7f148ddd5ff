import random

from seqloom.corpus.examples import KEPT_EXAMPLES, Example, Examples


def test_all_texts_are_counted_and_the_same_ones_kept_in_any_order():
    texts = [Example(f"f: line {n}", f"source {n}", f"target {n}") for n in range(100)]
    first, second = Examples(), Examples()
    for example in texts:
        first.add("c", "url", example)
    for example in random.Random(1).sample(texts, len(texts)):
        second.add("c", "url", example)
    assert first.counts == {"c": {"url": 100}}
    assert len(set(first.of("c", "url"))) == KEPT_EXAMPLES
    assert first.of("c", "url") == second.of("c", "url")
    assert first.page() == second.page()


def test_the_page_escapes_and_truncates_texts():
    examples = Examples()
    examples.add("c", "not <translated>", Example("a&b: line 1", "<script>" + "x" * 1000, "\ud800"))
    page = examples.page()
    assert "<script>" not in page
    assert "not &lt;translated&gt;: 1" in page
    assert "a&amp;b: line 1" in page
    assert "x" * 300 not in page
    page.encode()  # no surrogates remain


def test_a_repeated_example_is_shown_once():
    examples = Examples()
    for _ in range(20):
        examples.add("c", "duplicate", Example("f", "one", "eins"))
    assert examples.counts["c"]["duplicate"] == 20
    assert examples.of("c", "duplicate") == [Example("f", "one", "eins")]
