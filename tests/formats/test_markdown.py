import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.examples import containing
from tests.formats.rewriting import skips, texts, units, written

SAMPLE = """---
title: Left alone
---
# A heading #

First paragraph with **bold** text,
a [link](https://example.org/a_b "Title") and `code`.
A hard break\\
follows.

Setext
------

> Quoted *text*
> on two lines

- [ ] item one
  goes on
- item two
  1. nested

          code

```python
print("code")
```

| Name | What |
|------|:----:|
| one | `a|b` is *it* |

<div>
Text in HTML
</div>

<!-- a comment -->
[ref]: https://example.org
![Picture](x.png)

    indented code

***

2026 was fine &copy; \\*really\\*
"""


def test_texts_are_read_in_order():
    assert list(texts("markdown", SAMPLE).values()) == [
        "A heading",
        "First paragraph with <b>bold</b> text, a <a>link</a> and <x1/>. A hard break\nfollows.",
        "Setext",
        "Quoted <i>text</i> on two lines",
        "item one goes on",
        "item two",
        "nested",
        "Name",
        "What",
        "one",
        "`a",
        "b` is <i>it</i>",
        "<g1>Picture</g1>",
        "2026 was fine © *really*",
    ]
    assert skips("markdown", SAMPLE) == [("HTML in Markdown", "Text in HTML")]
    assert [unit.line for unit in units("markdown", SAMPLE)][:4] == [4, 6, 11, 14]


def test_translations_preserve_codes_and_layout():
    keys = {text: key for key, text in texts("markdown", SAMPLE).items()}
    after = written(
        "markdown",
        SAMPLE,
        {
            keys["A heading"]: "Eine Überschrift",
            keys["First paragraph with <b>bold</b> text, a <a>link</a> and <x1/>. A hard break\nfollows."]: (
                "Mit <x1/>, <a>Verweis</a> und <b>fett</b>.\nEnde"
            ),
            keys["Quoted <i>text</i> on two lines"]: "Ein\n<i>Zitat</i>",
            keys["item one goes on"]: "1. Punkt",
            keys["one"]: "a|b",
            keys["<g1>Picture</g1>"]: "<g1>Bild</g1>",
        },
    ).decode()
    expected = (
        SAMPLE.replace("A heading", "Eine Überschrift")
        .replace(
            "First paragraph with **bold** text,\n"
            'a [link](https://example.org/a_b "Title") and `code`.\nA hard break\\\nfollows.',
            'Mit `code`, [Verweis](https://example.org/a_b "Title") und **fett**.\\\nEnde',
        )
        .replace("Quoted *text*\n> on two lines", "Ein\\\n> *Zitat*")
        .replace("item one\n  goes on", "1\\. Punkt")
        .replace("| one |", "| a\\|b |")
        .replace("![Picture]", "![Bild]")
    )
    assert after == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("***both*** __b__ _i_ ~~s~~", "<b><i>both</i></b> <b>b</b> <i>i</i> <s>s</s>"),
        ("**open and `not closed", "**open and `not closed"),
        ("``a ` b`` <https://x.y> <a@b.de>", None),
        ("see [a][b], [c], [d](<x y>) [e](f(g)) end", "see <g1>a</g1>, [c], <g2>d</g2> <g3>e</g3> end"),
        ("tags <kbd>K</kbd> and <br> <br/>", "tags <kbd>K</kbd> and <br> <br>"),
        ("a <!-- hidden --> b <!-- not closed", "a <x1/> b <!-- not closed"),
        ("&lt;b&gt; &nosuch; &#65; AT&T", "<b> &nosuch; A AT&T"),
    ],
)
def test_inline_markup_is_read(content, expected):
    found = texts("markdown", content)
    assert found in ({}, {"1": expected})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("text\n~~~\ncode\n~~~~\ntext", ["text", "text"]),
        ("```\nnever ends\n\ntext", []),
        ("+++\ntoml = 1\n+++\ntext", ["text"]),
        ("a\n\n    code\n\nb", ["a", "b"]),
        ("- a\n\n  b\n\n      code\n\nc", ["a", "b", "c"]),
        ("a\n2026. b", ["a 2026. b"]),
        ("a\n- b\n* c\n+ d", ["a", "b", "c", "d"]),
        ("- - nested", ["nested"]),
        ("a|b\n-|-\nc|d\n\nx|y", ["a", "b", "c", "d", "x|y"]),
        ("[^1]: A note", ["A note"]),
        ("<script>\n\nx\n</script>\ntext", ["text"]),
        ("text <b>x</b>", ["text <b>x</b>"]),
        ("#no heading\n####### no\n## yes ##", ["#no heading ####### no", "yes"]),
        ("a  \nb", ["a\nb"]),
        ("***\n---\n___", []),
        ("", []),
    ],
)
def test_blocks_are_read(content, expected):
    assert list(texts("markdown", content).values()) == expected


def test_line_ends_and_a_byte_order_mark_are_preserved():
    content = ("\ufeff" + SAMPLE[SAMPLE.index("#") :]).replace("\n", "\r\n").encode()
    assert list(texts("markdown", content).values()) == list(texts("markdown", SAMPLE).values())
    assert b"Ein\\\r\n> Zitat" in written("markdown", content, {"4": "Ein\nZitat"})


translations = st.one_of(
    containing(st.characters(exclude_categories=["Cs"]), st.characters(categories=["L", "Nd"]), 20),
    containing(st.sampled_from("ab \n*_`[]()<>#-+=|~!&;.1\\:"), st.sampled_from("ab1"), 7),
)


@given(translations, st.sampled_from(list(texts("markdown", SAMPLE))))
@example("a\n", "2")
@example("a\n\n- b", "5")
def test_any_translation_survives_a_round_trip(translation, key):
    before = texts("markdown", SAMPLE)
    after = texts("markdown", written("markdown", SAMPLE, {key: translation}))
    assert {each: text for each, text in after.items() if each != key} == {
        each: text for each, text in before.items() if each != key
    }
    assert after[key].startswith(translation)  # missing codes are appended
