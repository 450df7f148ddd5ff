"""Capitals and Title Case, with a vocabulary that has some words as single pieces."""

import pytest

from seqloom.translation.casing import Case, CaseRules

KNOWN = {"turn", "on", "the", "light", "Wi-Fi", "Google", "API", "Licht", "MQTT", "off"}


def rules(source="en", target="de"):
    return CaseRules(lambda text: sum(1 if word in KNOWN else 2 for word in text.split()), source, target)


@pytest.mark.parametrize(
    ("sentence", "ordinary", "case"),
    [
        ("TURN ON THE LIGHT", "Turn on the light", Case.CAPITALS),
        ("TURN ON {NAME} <B>", "Turn on {NAME} <B>", Case.CAPITALS),
        ("{NAME}: TURN ON!", "{NAME}: Turn on!", Case.CAPITALS),
        ("THE GOOGLE API", "The Google API", Case.CAPITALS),
        ("AM I ON? I'M", "Am I on? I'm", Case.CAPITALS),
        ("Turn On The Light", "Turn on the light", Case.TITLE),
        ("The Google API", "The Google API", Case.ORDINARY),
        ("The McDonald Light", "The McDonald light", Case.TITLE),
        ("Turn on the Light", "Turn on the Light", Case.ORDINARY),
        ("turn on", "turn on", Case.ORDINARY),
        ("Turn", "Turn", Case.ORDINARY),
        ("MQTT", "MQTT", Case.ORDINARY),
        ("A", "A", Case.ORDINARY),
        ("12 {X}", "12 {X}", Case.ORDINARY),
        ("打开", "打开", Case.ORDINARY),
        ("", "", Case.ORDINARY),
    ],
)
def test_sentences_are_rewritten_in_ordinary_case(sentence, ordinary, case):
    assert rules().ordinary(sentence) == (ordinary, case)


@pytest.mark.parametrize(
    ("case", "target", "translation", "recased"),
    [
        (Case.CAPITALS, "de", "Große Küche {name} %s", "GROSSE KÜCHE {name} %s"),
        (Case.CAPITALS, "tr", "ilk ışık", "İLK IŞIK"),
        (Case.TITLE, "de", "Schalte das Licht ein", "Schalte das Licht ein"),
        (Case.TITLE, "en", "Turn on the {light} it's", "Turn On The {light} It's"),
        (Case.ORDINARY, "en", "Turn on", "Turn on"),
    ],
)
def test_translations_take_the_case_of_their_source(case, target, translation, recased):
    assert rules(target=target).recase(translation, case) == recased


def test_capitals_of_german_nouns_are_ordinary_case():
    assert rules("de", "en").ordinary("Neuer Benutzer") == ("Neuer Benutzer", Case.ORDINARY)


def test_turkish_capitals_keep_the_two_letters_i():
    assert CaseRules(len, "tr", "en").ordinary("IŞIK İLE") == ("Işık ile", Case.CAPITALS)
