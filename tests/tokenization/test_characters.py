from random import Random

import pytest

from seqloom.errors import TokenizerError
from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization.characters import CharacterVocabulary
from seqloom.tokenization.slots import slot_symbols


def test_slots_precede_the_most_frequent_characters(settings_of):
    vocabulary = CharacterVocabulary.train(["abba", "ab c", "a"], settings_of(name="characters"), slot_symbols(2))
    assert vocabulary.encode("".join(slot_symbols(2)) + "ab c") == [4, 5, 6, 7, 8, 9]
    assert vocabulary.size == 10


def test_the_rarest_characters_are_left_out(settings_of):
    text = "".join(chr(0x4E00 + n) * (100 - n) for n in range(100))
    vocabulary = CharacterVocabulary.train([text], settings_of(name="characters", vocab_size=64), [])
    assert vocabulary.size == 64
    assert vocabulary.encode(chr(0x4E00) + chr(0x4E00 + 59) + chr(0x4E00 + 60)) == [4, 63, SPECIAL_IDS.unk]


def test_slots_in_the_text_get_no_second_id(settings_of):
    vocabulary = CharacterVocabulary.train([slot_symbols(1)[0] + "a"], settings_of(name="characters"), slot_symbols(1))
    assert vocabulary.size == 6


def test_training_without_text_is_rejected(settings_of):
    with pytest.raises(TokenizerError, match="no text"):
        CharacterVocabulary.train(["", slot_symbols(1)[0]], settings_of(name="characters"), slot_symbols(1))


def test_the_bytes_of_a_vocabulary_restore_it(settings_of):
    vocabulary = CharacterVocabulary.train(["Tür"], settings_of(name="characters"), [])
    again = CharacterVocabulary.from_bytes(vocabulary.to_bytes())
    assert again.encode("Tür") == vocabulary.encode("Tür")
    assert again.to_bytes() == vocabulary.to_bytes()


@pytest.mark.parametrize("content", [b"{}", b'["ab"]', b"[1]", b"no", b'"ab"', b"\xff"])
def test_invalid_bytes_are_rejected(content):
    with pytest.raises(ValueError, match=r"not a list of characters|Expecting value|can't decode"):
        CharacterVocabulary.from_bytes(content)


def test_only_symbols_have_an_id_by_name(settings_of):
    symbols = slot_symbols(2)
    vocabulary = CharacterVocabulary.train(["ab"], settings_of(name="characters"), symbols)
    assert [vocabulary.id_of(symbol) for symbol in symbols] == [4, 5]
    with pytest.raises(ValueError, match="has no id"):
        vocabulary.id_of(slot_symbols(3)[2])


def test_pieces_are_the_characters_and_sampling_changes_nothing(settings_of):
    vocabulary = CharacterVocabulary.train(["a b"], settings_of(name="characters"), [])
    ids = vocabulary.encode("a b")
    assert vocabulary.subword_sampler(0.5)(ids, Random(1)) == ids
    assert vocabulary.pieces([*SPECIAL_IDS, *vocabulary.encode("a b")]) == [
        "<pad>",
        "<unk>",
        "<s>",
        "</s>",
        "a",
        "▁",
        "b",
    ]
