"""Compare allowed bytes with Python's UTF-8 decoder, and check that every target is valid text."""

import codecs
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.sampling import sample
from seqloom.decoding.utf8 import Utf8Constraint
from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization.tokenizer import NonTextIds
from tests.examples import examples
from tests.records import search_settings

FIRST = 6
LETTERS = {4: "a", 5: "b"}
VOCABULARY = FIRST + 256
fast = settings(max_examples=examples(60), deadline=None)


def spoken(ids: list[int]) -> bytes:
    return b"".join(LETTERS[i].encode() if i in LETTERS else bytes([i - FIRST]) for i in ids)


def rules(limits: list[int], ngram: int = 0) -> Constraints:
    built = Constraints.build(SPECIAL_IDS, torch.tensor(limits), no_repeat_ngram=ngram)
    return built.extended(NonTextIds((), tuple(range(FIRST, FIRST + 256)), (SPECIAL_IDS.unk,)), [])


def allowed_after(written: bytes) -> set[int]:
    ids = torch.tensor([[FIRST + byte for byte in written]], dtype=torch.int64).view(1, -1)
    left = rules([99]).apply(torch.zeros(1, VOCABULARY), ids)[0]
    return set((left > -torch.inf).nonzero().squeeze(1).tolist())


def begins_a_character(written: bytes) -> bool:
    """Return whether these bytes are, or can become, a character that text may contain."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(written)
    except UnicodeDecodeError:
        return False
    if text:
        return len(text) == 1 and text not in "\ufffd\ufffe\uffff" and not "\ue000" <= text < "\uf8ff"
    return any(begins_a_character(bytes([*written, following])) for following in range(0x80, 0xC0))


def test_allowed_next_bytes_agree_with_pythons_decoder() -> None:
    open_ = [b""]
    for _ in range(3):
        grown = []
        for written in open_:
            good = [following for following in range(256) if begins_a_character(bytes([*written, following]))]
            others = {SPECIAL_IDS.eos, *LETTERS} if not written else set()
            assert allowed_after(written) == {FIRST + following for following in good} | others, written
            grown += [bytes([*written, following]) for following in good if not _is_whole(bytes([*written, following]))]
        open_ = [*grown[:: max(1, len(grown) // 60)], *[each for each in grown if each[0] in (0xE0, 0xED, 0xEF, 0xF4)]]


def _is_whole(written: bytes) -> bool:
    return bool(codecs.getincrementaldecoder("utf-8")().decode(written))


WHOLE = ["a", "é", "€", "😀", "é€", "€😀"]


@pytest.mark.parametrize("before", WHOLE)
def test_what_stands_before_a_character_has_no_effect(before: str) -> None:
    written = before.encode()
    assert allowed_after(written) == allowed_after(b"")
    for character in "é€😀":
        for size in range(1, len(character.encode())):
            begun = character.encode()[:size]
            assert allowed_after(written + begun) == allowed_after(begun)


def test_the_last_of_four_bytes_is_any_continuation_byte() -> None:
    for begun in (b"\xf0\x90\x80", b"\xf1\x80\xbf", b"\xf4\x8f\xbf"):
        assert allowed_after(begun) == {FIRST + byte for byte in range(0x80, 0xC0)}


@pytest.mark.parametrize(
    "broken", [b"\xc3a", b"\xe2a", b"\xe2\x82a", b"\xf0a\x90", b"\xf0\x90a", b"\x80", b"\xff", b"\0"]
)
def test_after_a_prefix_with_broken_bytes_a_new_character_begins(broken: bytes) -> None:
    assert allowed_after(broken) == allowed_after(b"")
    assert allowed_after(broken + b"\xe2") == allowed_after(b"\xe2")


def test_an_id_beside_the_bytes_is_no_byte() -> None:
    ids = torch.tensor([[FIRST + 0xE2, FIRST + 256], [FIRST + 0xE2, FIRST - 1], [FIRST + 0xE2, FIRST + 0x82]])
    unfinished = Utf8Constraint(range(FIRST, FIRST + 256)).unfinished(torch.zeros(3, FIRST + 300), ids)
    assert unfinished is not None
    assert unfinished.rows.tolist() == [2]


@fast
@given(
    seed=st.integers(0, 2**32 - 1), limits=st.lists(st.integers(0, 9), min_size=1, max_size=4), beam=st.integers(1, 4),
    ngram=st.integers(0, 2),
)  # fmt: skip
def test_every_target_is_valid_text(table_model: Any, seed: int, limits: list[int], beam: int, ngram: int) -> None:
    model = table_model(seed, VOCABULARY, 3.0)
    sources = list(range(len(limits)))
    found = beam_search(model.step, model.start(sources), rules(limits, ngram), search_settings(beam=beam), n_best=beam)
    drawing = search_settings(method="sampling")
    found += sample(model.step, model.start(sources), rules(limits, ngram), drawing, keys=sources, samples=2)
    for hypotheses in found:
        for hypothesis in hypotheses:
            text = spoken(hypothesis.ids).decode("utf-8", errors="strict")
            assert "\ufffd" not in text
            assert len(hypothesis.ids) <= max(limits)


@pytest.mark.parametrize("room", [1, 2, 3, 4])
def test_a_character_begins_only_if_it_fits(room: int) -> None:
    left = rules([room]).apply(torch.zeros(1, VOCABULARY), torch.zeros(1, 0, dtype=torch.int64))[0]
    begins = {0x41: 1, 0xC3: 2, 0xE2: 3, 0xF0: 4}
    assert {byte: bool(left[FIRST + byte] > -torch.inf) for byte in begins} == {
        byte: size <= room for byte, size in begins.items()
    }


def test_non_leading_bytes_begin_no_character() -> None:
    non_leading = {index - FIRST for index in Utf8Constraint(range(FIRST, FIRST + 256)).non_leading}
    assert non_leading == {byte for byte in range(256) if not begins_a_character(bytes([byte]))}


@pytest.mark.parametrize("broken", [b"\xe2\xc0", b"\xe2\x7f", b"\xf0\x90\xc0", b"\xf0\x90\x7f", b"\xf0\xc0\x90"])
def test_a_byte_beside_those_that_continue_a_character_breaks_it(broken: bytes) -> None:
    assert allowed_after(broken) == allowed_after(b"")


def test_ids_far_from_the_bytes_are_no_bytes() -> None:
    ids = torch.tensor([[280], [557], [2000], [0], [300 + 0xE2]])
    unfinished = Utf8Constraint(range(300, 556)).unfinished(torch.zeros(5, 2001), ids)
    assert unfinished is not None
    assert unfinished.rows.tolist() == [4]


def test_all_tensors_are_created_on_the_device_of_the_ids() -> None:
    constraint = Utf8Constraint(range(FIRST, FIRST + 256))
    ids = torch.tensor([[FIRST + byte for byte in written] for written in (b"a\xc3a", b"a\xe2\x82", b"\xf0\x90\x80")])
    values = torch.zeros(3, VOCABULARY)
    expected = constraint.unfinished(values, ids)
    assert expected is not None
    with torch.device("meta"):  # where a tensor that is created without a device would be
        found = constraint.unfinished(values, ids)
    assert found is not None
    assert found.rows.tolist() == expected.rows.tolist() == [1, 2]
    assert torch.equal(found.following, expected.following)


def test_the_byte_after_every_first_and_second_one_agrees_with_pythons_decoder() -> None:
    begun = [bytes([lead]) for lead in range(0xC2, 0xF5) if begins_a_character(bytes([lead]))]
    two = [bytes([*lead, second]) for lead in begun for second in range(0x80, 0xC0)]
    begun += [each for each in two if begins_a_character(each) and not _is_whole(each)]
    assert len(begun) > 1000
    ids = torch.tensor([[FIRST + byte for byte in (b"a" + written)[-2:]] for written in begun])
    found = Utf8Constraint(range(FIRST, FIRST + 256)).unfinished(torch.zeros(len(begun), VOCABULARY), ids)
    assert found is not None
    assert found.rows.tolist() == list(range(len(begun)))
    for written, row in zip(begun, (found.following > -torch.inf).tolist(), strict=True):
        allowed = {byte for byte, may in enumerate(row) if may}
        assert allowed == {byte for byte in range(0x7F, 0xC1) if begins_a_character(bytes([*written, byte]))}, written


def test_a_character_fits_into_exactly_as_many_ids_as_it_has_bytes() -> None:
    left = rules([4, 3, 2]).apply(torch.zeros(3, VOCABULARY), torch.zeros(3, 0, dtype=torch.int64))
    fits = [[bool(row[FIRST + lead] > -torch.inf) for lead in (0xC3, 0xE2, 0xF0)] for row in left]
    assert fits == [[True, True, True], [True, True, False], [True, False, False]]
