"""Scores are compared with Google's rouge_score, and tokens with its tokenizer if the text is ASCII."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from seqloom.errors import EvaluationError
from seqloom.evaluation.rouge import TYPES, UnicodeTokenizer, rouge


def tokens(text, language):
    return UnicodeTokenizer(language, PorterStemmer).tokenize(text)


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_tokens_of_ascii_text_equal_rouge_scores(text):
    assert tokens(text, "en") == DefaultTokenizer(use_stemmer=True).tokenize(text)
    assert tokens(text, "de") == DefaultTokenizer(use_stemmer=False).tokenize(text)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("de", "Größe: ÜBER-Maß, §5!", ["größe", "über", "maß", "5"]),
        ("ru", "Привет, мир_2", ["привет", "мир", "2"]),
        ("hi", "नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),  # vowel signs are combining marks, which are part of a word
        ("zh-Hans", "今天 GPT4很好。", ["今", "天", "gpt4", "很", "好"]),
        ("en-GB", "The running dogs' naïvety", ["the", "run", "dog", "naïveti"]),
    ],
)
def test_words_of_any_script_are_kept(language, text, expected):
    assert tokens(text, language) == expected


def test_scores_equal_rouge_scores(segments):
    scorer = RougeScorer(list(TYPES), use_stemmer=True)
    expected = [scorer.score(r, h) for h, r in zip(segments.hypotheses, segments.references, strict=True)]
    found = rouge(segments.hypotheses, segments.references, "en")
    for kind in TYPES:
        each = [score[kind].fmeasure * 100 for score in expected]
        assert found[kind].segment_scores() == pytest.approx(each)
        assert found[kind].score() == pytest.approx(sum(each) / len(each))


def test_a_worked_example():
    """Lin 2004, section 3: "police killed the gunman" and "police kill the gunman" share 3 of 4 words, in order."""
    found = rouge(["police kill the gunman", "the gunman kill police"], ["police killed the gunman"] * 2, "de")
    assert found["rouge1"].segment_scores() == pytest.approx([75, 75])
    assert found["rouge2"].segment_scores() == pytest.approx([100 / 3, 100 / 3])
    assert found["rougeL"].segment_scores() == pytest.approx([75, 50])


def test_letters_outside_ascii_count():
    assert rouge(["привет мир"], ["привет мир"], "ru")["rougeL"].score() == 100
    assert rouge(["今天很好"], ["今天不好"], "zh")["rouge1"].score() == 75


def test_the_signature_has_the_settings(segments):
    english = rouge(segments.hypotheses, segments.references, "en")["rougeL"]
    low, high = english.interval(200, 7)
    assert low < english.score() < high
    assert english.interval(200, 7) == (low, high)
    assert english.signature() == ("nrefs:1|bs:200|seed:7|case:lc|stem:porter|tok:unicode|version:rouge-score-0.1.2")
    assert "stem:no|tok:unicode-char|" in rouge(["x"], ["x"], "zh")["rouge1"].signature()


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(EvaluationError, match=r"ROUGE needs .*rouge-score.*pip install 'seqloom\[pipeline\]'"):
        rouge(["x"], ["x"], "en")
