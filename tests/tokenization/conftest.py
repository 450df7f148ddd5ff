"""A small bilingual text and tokenizers trained on it."""

from collections.abc import Callable

import pytest

from seqloom.progress import ignore
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.tokenization.tokenizer import Tokenizer

THINGS = [
    ("lamp", "Lampe"),
    ("front door", "Haustür"),
    ("window", "Fenster"),
    ("kitchen heater", "Küchenheizung"),
    ("garden gate", "Gartentor"),
]
DEEDS = [("Turn on", "Schalte {} ein"), ("Turn off", "Schalte {} aus"), ("Open", "Öffne {}"), ("Check", "Prüfe {}")]


@pytest.fixture(scope="session")
def text_pairs() -> list[tuple[str, str]]:
    """300 pairs with repeated words, numbers and placeholders."""
    pairs = []
    for number in range(15):
        for english, german in THINGS:
            for deed, tat in DEEDS:
                pairs.append(
                    (f"{deed} the {english} {number}: {{name}}!", tat.format(f"{german} {number}: {{name}}") + "!")
                )
    return pairs


@pytest.fixture(scope="session")
def settings_of() -> Callable[..., TokenizerSettings]:
    """Returns a function that makes settings for `text_pairs`, with changes."""

    def settings(**other: object) -> TokenizerSettings:
        usual = {
            "name": "sentencepiece",
            "algorithm": "unigram",
            "vocab_size": 320,
            "joint": True,
            "byte_fallback": True,
            "character_coverage": 0.9999,
            "max_training_lines": 1000,
            "slots": 4,
            "max_length": 64,
        }
        return TokenizerSettings.model_validate(usual | other)

    return settings


@pytest.fixture(scope="session")
def trained(text_pairs, settings_of) -> Callable[..., Tokenizer]:
    """Returns a function that trains a tokenizer on `text_pairs`, once per settings and target languages."""
    made: dict[str, Tokenizer] = {}

    def train(languages: tuple[str, ...] = (), **other: object) -> Tokenizer:
        settings = settings_of(**other)
        key = f"{languages} {settings.model_dump_json()}"
        if key not in made:
            made[key] = train_tokenizer(settings, lambda: iter(text_pairs), 1, ignore, languages)
        return made[key]

    return train


@pytest.fixture(
    params=[
        {"algorithm": "unigram"},
        {"algorithm": "bpe"},
        {"algorithm": "unigram", "joint": False, "vocab_size": 304},
        {"name": "characters"},
        {"name": "characters", "joint": False},
    ],
    ids=["unigram", "bpe", "separate", "characters", "characters-separate"],
)
def every_kind(request, trained) -> Tokenizer:
    """One tokenizer of each kind."""
    return trained(**request.param)
