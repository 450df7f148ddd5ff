"""Texts of any form, with a translator whose answers are known."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqloom.decoding.model_folder import DEFAULT_SEARCH, Languages
from seqloom.text import STANDARD_FORMS
from seqloom.tokenization.tokenizer import Encoded
from seqloom.translation import texts as module
from seqloom.translation.results import Flag, Result
from seqloom.translation.texts import DEFAULT_LONGEST, TextTranslator
from tests.memory import peak_memory
from tests.translation.conftest import Scripted


@pytest.fixture
def translated(scripted):
    """A function that translates one text and returns the result."""

    def translate(text: str, *arguments, longest: int | None = None, **more) -> Result:
        (result,) = TextTranslator(scripted(*arguments, **more), longest).translate([text])
        return result

    return translate


@pytest.mark.parametrize(
    ("text", "translation"),
    [
        ("Turn on. Turn off.", "«Turn on.» «Turn off.»"),
        ("  One line\n\n\tand  another\r\n", "  «One line»\n\n\t«and  another»\r\n"),
        ("- one\n* two\n1. three", "- «one»\n* «two»\n1. «three»"),
        ("See https://a.b/c now", "«See https://a.b/c now»"),
        ("Go. https://a.b/c", "«Go.» https://a.b/c"),
        ("12:30", "12:30"),
        ("🎉", "🎉"),
        ("Привет", "Привет"),
        ("{name}", "{name}"),
        ("", ""),
        (" \n ", " \n "),
        ("a\x00b\x1bc", "«abc»"),
        ("a\ud800b", "«ab»"),
    ],
)
def test_white_space_marks_and_non_text_are_kept(translated, text, translation):
    assert translated(text).text == translation


@given(st.text())
def test_an_identity_translator_returns_the_text(text):
    copying = Scripted(lambda text, search: text, Languages(("en",), ("de",)), -0.1)
    (result,) = TextTranslator(copying).translate([text])
    kept = module._CONTROL.sub("", text)
    assert "".join(result.text.split()).casefold() == "".join(kept.split()).casefold()
    assert [each for each in result.text if each.isspace()] == [each for each in kept if each.isspace()]


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"))))
@example(lines=["<A", ">"])
def test_the_numbers_of_texts_and_lines_are_kept(lines):
    copying = Scripted(lambda text, search: f"«{text}»", Languages(("en",), ("de",)), -0.1)
    ours = TextTranslator(copying)
    assert len(ours.translate(lines)) == len(lines)
    (whole,) = ours.translate(["\n".join(lines)])
    assert whole.text.count("\n") == max(len(lines) - 1, 0)


def test_a_tag_over_several_lines_stays_whole(translated):
    text = 'Open <a\n  href="x"\n>the page</a>.\nThen close it.'
    assert translated(text).text == '«Open <a\n  href="x"\n>the page</a>.»\n«Then close it.»'


def test_equal_sentences_of_a_line_are_translated_once(scripted):
    translator = scripted()
    (result,) = TextTranslator(translator).translate(["Turn on the light in the kitchen. " * 300])
    assert result.text == "«Turn on the light in the kitchen.» " * 300
    assert translator.requests == [["Turn on the light in the kitchen."]]  # equal sentences are translated once
    assert result.flags == ()


def test_a_sentence_longer_than_any_in_training_is_split_and_flagged(translated):
    result = translated("one two, three four, five six", longest=4)
    assert result.text == "«one two, three four,» «five six»"
    assert result.flags == (Flag.SPLIT,)
    assert translated("one two, three four, five six", longest=6).flags == ()


def test_the_longest_source_has_a_default(translated):
    assert translated("word " * DEFAULT_LONGEST).flags == (Flag.CUT,)
    assert Flag.SPLIT in translated("word " * (DEFAULT_LONGEST + 1)).flags


def test_the_models_own_limit_bounds_the_longest_source(scripted):
    translator = scripted()
    translator.model = type("Model", (), {"max_source_length": 3})()
    assert TextTranslator(translator, 100).longest == 3


def test_memory_is_linear_in_the_length_of_a_line(scripted):
    sentences = [f"Turn on light number {number} of the house. " for number in range(1000)]
    translator = TextTranslator(scripted())
    short, long = ("".join(sentences[:count]) for count in (250, 1000))
    peaks = [peak_memory(lambda text=text: translator.translate([text])) for text in (short, long)]
    assert peaks[1] < 6 * peaks[0]


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("Turn on", ()),
        ("12", (Flag.COPIED,)),
        ("Mail a@b.cd now", (Flag.COPIED,)),
        ("Turn on. 👋", (Flag.COPIED,)),
        ("- Turn on", ()),
        ("1. Turn on", ()),
        ("Turn on ...", ()),
        ("...", ()),
        ("1.5", (Flag.COPIED,)),
        ("{name}", (Flag.COPIED,)),
        ("", ()),
        ("\n", ()),
    ],
)
def test_copied_texts_are_flagged(translated, text, flags):
    assert translated(text).flags == flags


def test_capitals_are_translated_in_ordinary_case_and_restored(scripted):
    translator = scripted()
    (result,) = TextTranslator(translator).translate(["TURN ON {Name} AT HTTPS://A.B/c"])
    assert translator.requests == [["Turn on {Name} at {0}"]]
    assert result.text == "«TURN ON {Name} AT HTTPS://A.B/c»"


def test_a_loop_is_translated_again_with_repetitions_blocked(scripted):
    def say(text, search):
        return {0: "ja " * 9, 3: "ja " * 5, 2: "ja nein"}[search.no_repeat_ngram] if text == "yes" else "gut"

    translator = scripted(say)
    ours = TextTranslator(translator)
    results = ours.translate(["yes", "good"])
    assert [(result.text, result.flags) for result in results] == [("ja nein", (Flag.LOOPED,)), ("gut", ())]
    assert translator.requests == [["yes", "good"], ["yes"], ["yes"]]
    assert translator.search == DEFAULT_SEARCH


def test_a_persistent_loop_has_low_confidence(translated):
    result = translated("yes", lambda text, search: "ja " * (10 - search.no_repeat_ngram))
    assert result.text == "ja " * 7  # the shortest
    assert result.flags == (Flag.LOOPED, Flag.LOW_CONFIDENCE)


def test_blocking_never_leaves_an_empty_translation(translated):
    result = translated("yes", lambda text, search: "" if search.no_repeat_ngram else "ja ja ja ja")
    assert result.text == "ja ja ja ja"


def test_repetition_in_the_source_is_not_a_loop(translated):
    assert translated("no, no, no, no, no").flags == ()


def test_confidence_is_the_mean_probability_of_the_tokens(translated):
    assert translated("Turn on. Turn off.").confidence == pytest.approx(math.exp(-0.1))
    assert translated("12").confidence is None
    low = translated("Turn on", log_probability=-3.0)
    assert (low.confidence, low.flags) == (pytest.approx(math.exp(-3)), (Flag.LOW_CONFIDENCE,))


def test_a_lost_mask_means_low_confidence(translated):
    result = translated("See https://a.b", lambda text, search: "Siehe")
    assert (result.text, result.flags) == ("Siehe https://a.b", (Flag.COPIED, Flag.LOW_CONFIDENCE))


def test_an_empty_translation_has_low_confidence(translated):
    assert translated("Turn on", lambda text, search: "").flags == (Flag.LOW_CONFIDENCE,)


def test_a_text_with_a_cut_sentence_is_flagged_as_cut(translated):
    result = translated("Go. Stay.", lambda text, search: " ".join("abcdefghijklmnopqrstuvw"))
    assert result.cut
    assert result.flags == (Flag.CUT,)


def test_a_prefix_begins_the_first_sentence_and_keeps_its_case(scripted):
    translator = scripted()
    (result,) = TextTranslator(translator).translate(["GO NOW. STAY."], prefixes=["Bitte "])
    assert result.text == "Bitte «GO NOW.» «STAY.»"


def test_the_second_best_text_combines_second_best_sentences(scripted):
    (found,) = TextTranslator(scripted()).hypotheses(["Go. 12. Stay."], 2)
    assert [each.text for each in found] == ["«Go.» 12. «Stay.»", "«Go.»! 12. «Stay.»!"]
    assert [each.score for each in found] == [0.0, -2.0]


def test_a_copied_text_has_one_translation(scripted):
    (found,) = TextTranslator(scripted()).hypotheses(["12"], 3)
    assert [each.text for each in found] == ["12"]


def test_spaces_separate_sentences_if_the_target_language_uses_them(scripted):
    def hears(text, search):
        return f"<{len(text)}>"

    for targets, text in [(("en",), "<3> <3>"), (("zh",), "<3><3>")]:
        translator = scripted(hears, sources=("ja",), targets=targets)
        translator.tokenizer.encode_source = lambda text, language=None: Encoded([5] * len(text), ())
        (result,) = TextTranslator(translator).translate(["好的。你好。"])
        assert result.text == text


def test_a_monolingual_model_gets_the_whole_text(scripted):
    translator = scripted(lambda text, search: "ja " * 9, sources=("en",), targets=("en",))
    (result,) = TextTranslator(translator).translate(["ONE. Two\nhttps://a.b 12. "])
    assert translator.requests == [["ONE. Two\nhttps://a.b 12. "]]
    assert (result.text, result.flags) == ("ja " * 9, ())


def test_progress_counts_the_sentences_of_all_chunks(scripted, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    reports = []
    translator = scripted()
    TextTranslator(translator).translate(["Go. Stay. Come.", "See. 12. Turn."], reports.append)
    assert [len(requests) for requests in translator.requests] == [2, 2, 1]
    assert [(each.task, each.done, each.total) for each in reports] == [
        ("translate", 2, 5), ("translate", 4, 5), ("translate", 5, 5)
    ]  # fmt: skip


def test_another_search_does_not_change_the_original(scripted):
    ours = TextTranslator(scripted())
    other = ours.with_search(DEFAULT_SEARCH.model_copy(update={"beam": 2}))
    assert (ours.search.beam, other.search.beam) == (5, 2)
    assert ours.with_search(ours.search) is ours


def test_placeholders_of_the_whole_text_are_kept_and_tags_across_sentences_nest(scripted):
    def careless(text, search):
        return text.replace("<b>", "").replace("One", "Eins").replace("Two", "Zwei") + " {gone}"

    translator = TextTranslator(scripted(careless))
    source = "<b>One {x} thing.</b> Two %s things."
    (result,) = translator.translate([source])
    assert sorted(STANDARD_FORMS.find(result.text)) == sorted(STANDARD_FORMS.find(source))
    assert result.text.index("<b>") < result.text.index("</b>")
    assert Flag.PLACEHOLDERS not in result.flags


def test_a_prefix_keeps_its_own_placeholders(scripted):
    (result,) = TextTranslator(scripted()).translate(["One thing."], prefixes=["{x} "])
    assert result.text.startswith("{x} ")
