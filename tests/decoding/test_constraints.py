"""Compare the constraints with a version on plain lists, and test their interactions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.constraints import Constraints
from seqloom.decoding.required_slots import RequiredSlots
from seqloom.symbols import SPECIAL_IDS, Symbols
from seqloom.tokenization.tokenizer import NonTextIds
from tests.decoding.oracles import BOS, EOS, PAD, Rules, continuations
from tests.examples import examples

VOCABULARY = 8
LETTERS = [1, 4, 5, 6, 7]
letters = st.lists(st.sampled_from(LETTERS), max_size=3)
fast = settings(max_examples=examples(150), deadline=None)


def build(rules, ngram=0):
    return Constraints.build(
        SPECIAL_IDS,
        torch.tensor([each.limit for each in rules], dtype=torch.int64),
        min_lengths=torch.tensor([each.minimum for each in rules], dtype=torch.int64),
        prefixes=[each.prefix for each in rules],
        no_repeat_ngram=ngram,
    )


def allowed(log_probabilities):
    return [
        {token: value for token, value in enumerate(row) if value > -math.inf} for row in log_probabilities.tolist()
    ]


@fast
@given(
    seed=st.integers(0, 2**32 - 1), ngram=st.integers(0, 4), width=st.integers(1, 3), position=st.integers(0, 7),
    data=st.data(),
)  # fmt: skip
def test_allowed_tokens_equal_those_of_the_plain_list_version(seed, ngram, width, position, data):
    limits = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=4))
    rules = [
        Rules(limit, data.draw(st.integers(0, 7)), ngram, tuple(data.draw(letters)))
        for limit in limits
    ]  # fmt: skip
    draw = torch.Generator().manual_seed(seed)
    ids = torch.tensor(LETTERS[:3])[torch.randint(3, (len(rules) * width, position), generator=draw)]
    given_values = torch.randn(len(ids), VOCABULARY, generator=draw)
    expected = [
        continuations(row, tuple(history), rules[index // width])
        for index, (row, history) in enumerate(zip(given_values.tolist(), ids.tolist(), strict=True))
    ]
    assert allowed(build(rules, ngram).apply(given_values.clone(), ids)) == expected


def test_selected_sources_keep_their_own_rules():
    rules = [Rules(3, 1, 0, (4,)), Rules(1), Rules(5, 2, 0, (5, 6))]
    picked = build(rules).select(torch.tensor([2, 0, 2]))
    again = build([rules[2], rules[0], rules[2]])
    for length in range(6):
        ids = torch.full((3, length), 7)
        values = torch.randn(3, VOCABULARY)
        assert torch.equal(picked.apply(values.clone(), ids), again.apply(values.clone(), ids))
    assert picked.longest == 5


def test_a_hypothesis_without_allowed_tokens_may_end_before_its_minimal_length():
    ids = torch.tensor([LETTERS, LETTERS[::-1]])
    values = torch.randn(2, VOCABULARY)
    kept = allowed(build([Rules(9, 9)] * 2, ngram=1).apply(values.clone(), ids))
    assert kept == [{EOS: value} for value in values[:, EOS].tolist()]
    # With one letter more, it continues.
    kept = allowed(build([Rules(9, 9)] * 2, ngram=1).apply(values.clone(), ids[:, :-1]))
    assert [set(row) for row in kept] == [{7}, {1}]


def test_a_prefix_may_contain_repeats_but_is_not_repeated():
    constraints = build([Rules(9, 0, 0, (4, 4, 4))], ngram=2)
    for length in (0, 1, 2):
        (kept,) = allowed(
            constraints.apply(torch.zeros(1, VOCABULARY), torch.tensor([[4] * length], dtype=torch.int64))
        )
        assert set(kept) == {4}
    (kept,) = allowed(constraints.apply(torch.zeros(1, VOCABULARY), torch.tensor([[4, 4, 4]])))
    assert set(kept) == {1, 5, 6, 7, EOS}


@pytest.mark.parametrize("banned", [PAD, BOS])
def test_a_prefix_may_contain_banned_ids(banned):
    (kept,) = allowed(build([Rules(4, 0, 0, (banned,))]).apply(torch.zeros(1, VOCABULARY), torch.empty(1, 0).long()))
    assert set(kept) == {banned}


def test_a_prefix_longer_than_the_limit_is_written_in_full():
    constraints = build([Rules(1, 0, 0, (4, 5))])
    assert constraints.longest == 2
    (kept,) = allowed(constraints.apply(torch.zeros(1, VOCABULARY), torch.tensor([[4]])))
    assert set(kept) == {5}
    (kept,) = allowed(constraints.apply(torch.zeros(1, VOCABULARY), torch.tensor([[4, 5]])))
    assert set(kept) == {EOS}


def test_only_pad_and_bos_are_forbidden_by_default():
    values = torch.randn(3, VOCABULARY)
    left = Constraints.build(SPECIAL_IDS, torch.tensor([4, 4, 4])).apply(values.clone(), torch.full((3, 2), 5))
    assert (left[:, [PAD, BOS]] == -torch.inf).all()
    rest = [token for token in range(VOCABULARY) if token not in (PAD, BOS)]
    assert torch.equal(left[:, rest], values[:, rest])


def test_eos_stays_allowed_if_it_is_also_pad_or_bos():
    for symbols in (Symbols(pad=3, unk=1, bos=3, eos=3), Symbols(pad=0, unk=1, bos=3, eos=3)):
        constraints = Constraints.build(symbols, torch.tensor([4]))
        assert EOS in allowed(constraints.apply(torch.zeros(1, VOCABULARY), torch.empty(1, 0).long()))[0]


def test_a_vocabulary_with_one_special_id_has_none_that_is_never_written():
    constraints = Constraints.build(Symbols(pad=3, unk=1, bos=3, eos=3), torch.tensor([4]))
    values = torch.randn(1, VOCABULARY)
    assert torch.equal(constraints.apply(values.clone(), torch.empty(1, 0).long()), values)


def test_constraints_without_sources_have_the_same_types():
    empty = Constraints.build(SPECIAL_IDS, torch.empty(0, dtype=torch.int64))
    assert {part.dtype for part in (empty.min_lengths, empty.max_lengths, empty.prefixes)} == {torch.int64}
    assert empty.prefixes.shape == (0, 0)


def test_a_character_begins_only_if_it_fits_beside_the_missing_slots():
    rules = Constraints.build(SPECIAL_IDS, torch.tensor([4, 4])).extended(
        NonTextIds((4, 5), tuple(range(6, 262))), [RequiredSlots((1, 0), (-1, -1)), RequiredSlots((0, 0), (-1, -1))]
    )
    values = torch.zeros(2, 263)
    values[:, 262] = 1.0
    kept = allowed(rules.apply(values, torch.empty(2, 0).long()))
    leads = [{byte for byte in (0xC3, 0xE2, 0xF0) if 6 + byte in row} for row in kept]
    assert leads == [{0xC3, 0xE2}, {0xC3, 0xE2, 0xF0}]
    assert [{4, 5, EOS} & row.keys() for row in kept] == [{4}, {EOS}]


def test_the_number_of_prefixes_must_match_the_sources():
    with pytest.raises(ValueError, match="2 prefixes for 1 sources"):
        Constraints.build(SPECIAL_IDS, torch.tensor([4]), prefixes=[[4], [5]])
