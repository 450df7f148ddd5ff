import hashlib
import math
import subprocess
import sys
from collections import Counter
from itertools import product
from random import Random

import pytest
from sentencepiece import SentencePieceProcessor

from seqloom.errors import FormatError, TokenizerError
from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization.sentencepiece import SentencePieceVocabulary
from seqloom.tokenization.slots import slot_symbols

SLOTS = slot_symbols(4)
LINES = [
    f"the {lamp} lamp in room {number} is {state}, and its door is {door} today"
    for number, (lamp, state, door) in enumerate(
        product(["old", "green", "hanging", "broken"], ["on", "off", "missing"], ["open", "shut", "painted", "wet"])
    )
]


def test_special_ids_slots_and_bytes_have_their_fixed_ids(settings_of):
    vocabulary = SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300), slot_symbols(3))
    model = SentencePieceProcessor(model_proto=vocabulary.to_bytes())
    assert (model.pad_id(), model.unk_id(), model.bos_id(), model.eos_id()) == SPECIAL_IDS
    assert [model.id_to_piece(index) for index in (4, 5, 6)] == slot_symbols(3)
    assert sum(model.is_byte(index) for index in range(300)) == 256
    assert vocabulary.size == model.vocab_size() == 300


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_equal_text_gives_equal_bytes_in_any_process(settings_of, algorithm):
    chosen = settings_of(vocab_size=300, algorithm=algorithm)
    one = SentencePieceVocabulary.train(LINES, chosen, SLOTS).to_bytes()
    assert SentencePieceVocabulary.train(LINES, chosen, SLOTS).to_bytes() == one
    program = f"""
import hashlib
from seqloom.tokenization.sentencepiece import SentencePieceVocabulary
from seqloom.tokenization.settings import TokenizerSettings
chosen = TokenizerSettings.model_validate_json({chosen.model_dump_json()!r})
print(hashlib.sha256(SentencePieceVocabulary.train({LINES!r}, chosen, {SLOTS!r}).to_bytes()).hexdigest())
"""
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert there.stdout.strip() == hashlib.sha256(one).hexdigest()
    assert there.stderr == ""  # SentencePiece logs nothing


def test_the_model_contains_no_path(settings_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        str(tmp_path).encode()
        not in SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300), SLOTS).to_bytes()
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_a_vocabulary_size_too_large_is_rejected_naming_the_maximum(settings_of, algorithm):
    with pytest.raises(
        TokenizerError, match=r"vocab_size is 5000, but this text supports at most \d+ pieces"
    ) as caught:
        SentencePieceVocabulary.train(LINES, settings_of(vocab_size=5000, algorithm=algorithm), SLOTS)
    largest = int(str(caught.value).split("at most ")[1].split()[0])
    assert (
        SentencePieceVocabulary.train(LINES, settings_of(vocab_size=largest, algorithm=algorithm), SLOTS).size
        == largest
    )
    with pytest.raises(TokenizerError, match="supports at most"):
        SentencePieceVocabulary.train(LINES, settings_of(vocab_size=largest + 1, algorithm=algorithm), SLOTS)


def test_a_vocabulary_size_too_small_for_the_characters_is_rejected(settings_of):
    lines = [*LINES, "".join(chr(0x4E00 + n) for n in range(300))]
    with pytest.raises(TokenizerError, match=r"vocab_size is 300, but characters, .* already take \d+; raise it"):
        SentencePieceVocabulary.train(lines, settings_of(vocab_size=300, character_coverage=1.0), SLOTS)


@pytest.mark.parametrize("lines", [[], ["", ""]])
def test_training_without_text_is_rejected(settings_of, lines):
    with pytest.raises(TokenizerError, match="no text"):
        SentencePieceVocabulary.train(lines, settings_of(), SLOTS)


@pytest.mark.parametrize("error", [FormatError("train.tsv: line 7: has 2 columns"), KeyboardInterrupt()])
def test_an_error_while_reading_is_raised_unchanged(settings_of, error):
    def lines():
        yield from LINES
        raise error

    with pytest.raises(type(error)) as caught:
        SentencePieceVocabulary.train(lines(), settings_of(), SLOTS)
    assert caught.value is error


def test_numbers_are_split_into_digits(settings_of):
    vocabulary = SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300), SLOTS)
    pieces = [vocabulary.decode([index]) for index in vocabulary.encode("room 4711")]
    assert pieces[-4:] == list("4711")


def test_long_lines_are_used_in_training(settings_of):
    """By default, SentencePiece drops lines of more than 4192 bytes."""
    lines = [*LINES, "zebra " * 2000]
    vocabulary = SentencePieceVocabulary.train(lines, settings_of(vocab_size=320, algorithm="bpe"), SLOTS)
    assert len(vocabulary.encode("zebra")) == 1


def test_an_invalid_model_raises_a_value_error():
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        SentencePieceVocabulary.from_bytes(b"\x0a\xff broken")


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_samples_are_other_splits_of_the_same_text_and_depend_only_on_the_seed(settings_of, algorithm):
    vocabulary = SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300, algorithm=algorithm), SLOTS)
    text = f"the {SLOTS[0]} lamp is broken, and ▁ its door"

    def drawn(number):
        random, resample = Random(number), vocabulary.subword_sampler(0.2)
        return [resample(vocabulary.encode(text), random) for _ in range(20)]

    first = drawn(3)
    assert len({tuple(ids) for ids in first}) > 5
    assert {vocabulary.decode(ids) for ids in first} == {text}
    assert all(ids.count(vocabulary.id_of(SLOTS[0])) == 1 for ids in first)
    assert drawn(4) != first
    assert drawn(3) == first


def test_unigram_splits_are_drawn_by_likelihood_to_the_power_of_alpha(settings_of):
    """Kudo 2018, section 3.3: all splits of a short text, weighted by hand with the scores in the model."""
    vocabulary = SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300), SLOTS)
    model = SentencePieceProcessor(model_proto=vocabulary.to_bytes())
    scores = {model.id_to_piece(i): model.get_score(i) for i in range(len(SLOTS) + 4 + 256, model.vocab_size())}
    pairs = sorted(piece for piece in scores if len(piece) == 2 and "▁" not in piece)
    text = f"▁i{''.join(pairs[:3])}"  # SentencePiece adds the first space

    def splits(word):
        if not word:
            yield ()
        for end in range(1, len(word) + 1):
            if word[:end] in scores:
                yield from ((word[:end], *rest) for rest in splits(word[end:]))

    alpha, draws = 0.3, 20_000
    weights = {split: math.exp(alpha * sum(map(scores.get, split))) for split in splits(text)}
    resample, random, stored = vocabulary.subword_sampler(alpha), Random(1), vocabulary.encode(text[1:])
    counts = Counter(tuple(vocabulary.pieces(resample(stored, random))) for _ in range(draws))
    assert len(weights) > 10
    for split, weight in weights.items():
        assert counts[split] / draws == pytest.approx(weight / sum(weights.values()), abs=0.015)


def test_only_symbols_have_an_id_by_name(settings_of):
    vocabulary = SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300), SLOTS)
    assert [vocabulary.id_of(symbol) for symbol in SLOTS] == [4, 5, 6, 7]
    with pytest.raises(ValueError, match="not a piece of the vocabulary"):
        vocabulary.id_of(slot_symbols(5)[4])


def test_pieces_equal_those_of_sentencepiece(settings_of):
    vocabulary = SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300), SLOTS)
    text = "the old ▁ lamp"
    model = SentencePieceProcessor(model_proto=vocabulary.to_bytes())
    expected = model.encode(text.replace("▁", "\uf8ff"), out_type=str)
    assert vocabulary.pieces(vocabulary.encode(text)) == [piece.replace("\uf8ff", "▁") for piece in expected]
