import pytest

from seqloom.synthesis.choosing import most_similar, similarity


@pytest.mark.parametrize("name", ["chrf", "bleu"])
def test_the_translation_most_similar_to_the_reference_is_chosen(name):
    texts = ["the cat is here", "the dog is on the mat", "a dog sat on the mat"]
    assert most_similar(texts, "the dog is on a mat", similarity(name)) == 1


def test_in_a_tie_the_first_one_is_chosen():
    assert most_similar(["same", "same"], "other", similarity("chrf")) == 0


def test_a_single_translation_needs_no_reference():
    assert most_similar(["only"], "", similarity("bleu")) == 0
