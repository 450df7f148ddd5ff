import hashlib
import subprocess
import sys
from itertools import product

import pytest
from sentencepiece import SentencePieceProcessor

from seqloom.errors import FormatError, TokenizerError
from seqloom.tokenization.sentencepiece import SentencePieceVocabulary
from seqloom.tokenization.slots import slot_symbols
from seqloom.tokenization.tokenizer import BOS, EOS, PAD, UNK

LINES = [
    f"the {lamp} lamp in room {number} is {state}, and its door is {door} today"
    for number, (lamp, state, door) in enumerate(
        product(["old", "green", "hanging", "broken"], ["on", "off", "missing"], ["open", "shut", "painted", "wet"])
    )
]


def test_special_ids_slots_and_bytes_are_where_the_contract_says(settings_of):
    vocabulary = SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300, slots=3))
    model = SentencePieceProcessor(model_proto=vocabulary.to_bytes())
    assert (model.pad_id(), model.unk_id(), model.bos_id(), model.eos_id()) == (PAD, UNK, BOS, EOS)
    assert [model.id_to_piece(index) for index in (4, 5, 6)] == slot_symbols(3)
    assert sum(model.is_byte(index) for index in range(300)) == 256
    assert vocabulary.size == model.vocab_size() == 300


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_equal_text_gives_equal_bytes_in_any_process(settings_of, algorithm):
    chosen = settings_of(vocab_size=300, algorithm=algorithm)
    one = SentencePieceVocabulary.train(LINES, chosen).to_bytes()
    assert SentencePieceVocabulary.train(LINES, chosen).to_bytes() == one
    program = f"""
import hashlib
from seqloom.tokenization.sentencepiece import SentencePieceVocabulary
from seqloom.tokenization.settings import TokenizerSettings
chosen = TokenizerSettings.model_validate_json({chosen.model_dump_json()!r})
print(hashlib.sha256(SentencePieceVocabulary.train({LINES!r}, chosen).to_bytes()).hexdigest())
"""
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert there.stdout.strip() == hashlib.sha256(one).hexdigest()
    assert there.stderr == ""  # SentencePiece's own log is silent


def test_the_model_holds_no_path(settings_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path).encode() not in SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300)).to_bytes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_a_vocabulary_too_large_is_refused_with_the_largest_possible(settings_of, algorithm):
    with pytest.raises(
        TokenizerError, match=r"vocab_size is 5000, but this text supports \d+ pieces at most"
    ) as caught:
        SentencePieceVocabulary.train(LINES, settings_of(vocab_size=5000, algorithm=algorithm))
    largest = int(str(caught.value).split("supports ")[1].split()[0])
    assert SentencePieceVocabulary.train(LINES, settings_of(vocab_size=largest, algorithm=algorithm)).size == largest
    with pytest.raises(TokenizerError, match="pieces at most"):
        SentencePieceVocabulary.train(LINES, settings_of(vocab_size=largest + 1, algorithm=algorithm))


def test_a_vocabulary_too_small_for_the_characters_is_refused(settings_of):
    lines = [*LINES, "".join(chr(0x4E00 + n) for n in range(300))]
    with pytest.raises(TokenizerError, match=r"vocab_size is 300, but the characters, .* alone are \d+; raise it"):
        SentencePieceVocabulary.train(lines, settings_of(vocab_size=300, character_coverage=1.0))


@pytest.mark.parametrize("lines", [[], ["", ""]])
def test_no_text_is_refused(settings_of, lines):
    with pytest.raises(TokenizerError, match="no text"):
        SentencePieceVocabulary.train(lines, settings_of())


@pytest.mark.parametrize("error", [FormatError("train.tsv: line 7: has 2 columns"), KeyboardInterrupt()])
def test_what_goes_wrong_while_reading_comes_through_as_it_is(settings_of, error):
    def lines():
        yield from LINES
        raise error

    with pytest.raises(type(error)) as caught:
        SentencePieceVocabulary.train(lines(), settings_of())
    assert caught.value is error


def test_numbers_are_split_into_digits(settings_of):
    vocabulary = SentencePieceVocabulary.train(LINES, settings_of(vocab_size=300))
    pieces = [vocabulary.decode([index]) for index in vocabulary.encode("room 4711")]
    assert pieces[-4:] == list("4711")


def test_long_lines_count_in_training(settings_of):
    """SentencePiece drops lines of more than 4192 bytes by itself."""
    lines = [*LINES, "zebra " * 2000]
    vocabulary = SentencePieceVocabulary.train(lines, settings_of(vocab_size=320, algorithm="bpe"))
    assert len(vocabulary.encode("zebra")) == 1


def test_a_broken_model_is_a_value_error():
    with pytest.raises(ValueError, match="not a SentencePiece model"):
        SentencePieceVocabulary.from_bytes(b"\x0a\xff broken")
