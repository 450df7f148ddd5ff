import pytest

from seqloom.errors import TokenizerError
from seqloom.tokenization.characters import CharacterVocabulary
from seqloom.tokenization.slots import slot_symbols
from seqloom.tokenization.tokenizer import UNK


def test_slots_come_first_and_then_the_most_frequent_characters(settings_of):
    vocabulary = CharacterVocabulary.train(["abba", "ab c", "a"], settings_of(name="characters", slots=2))
    assert vocabulary.encode("".join(slot_symbols(2)) + "ab c") == [4, 5, 6, 7, 8, 9]
    assert vocabulary.size == 10


def test_the_rarest_characters_give_way(settings_of):
    text = "".join(chr(0x4E00 + n) * (100 - n) for n in range(100))
    vocabulary = CharacterVocabulary.train([text], settings_of(name="characters", vocab_size=64, slots=0))
    assert vocabulary.size == 64
    assert vocabulary.encode(chr(0x4E00) + chr(0x4E00 + 59) + chr(0x4E00 + 60)) == [4, 63, UNK]


def test_slots_in_the_text_take_no_second_id(settings_of):
    vocabulary = CharacterVocabulary.train([slot_symbols(1)[0] + "a"], settings_of(name="characters", slots=1))
    assert vocabulary.size == 6


def test_no_text_is_refused(settings_of):
    with pytest.raises(TokenizerError, match="no text"):
        CharacterVocabulary.train(["", slot_symbols(1)[0]], settings_of(name="characters"))


def test_bytes_and_back(settings_of):
    vocabulary = CharacterVocabulary.train(["Tür"], settings_of(name="characters"))
    again = CharacterVocabulary.from_bytes(vocabulary.to_bytes())
    assert again.encode("Tür") == vocabulary.encode("Tür")
    assert again.to_bytes() == vocabulary.to_bytes()


@pytest.mark.parametrize("content", [b"{}", b'["ab"]', b"[1]", b"no", b'"ab"', b"\xff"])
def test_other_bytes_are_refused(content):
    with pytest.raises(ValueError, match=r"not a list of characters|Expecting value|can't decode"):
        CharacterVocabulary.from_bytes(content)
