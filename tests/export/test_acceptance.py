"""What our own search writes passes, and each way of breaking a rule does not."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.required_slots import RequiredSlots
from seqloom.export import acceptance
from seqloom.export.acceptance import Written, accepted
from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization.tokenizer import NonTextIds
from tests.export.networks import network
from tests.records import search_settings

FIRST_BYTE, VOCABULARY = 20, 280
SLOTS = (10, 11, 12, 13)
IDS = NonTextIds(SLOTS, tuple(range(FIRST_BYTE, FIRST_BYTE + 256)), (SPECIAL_IDS.unk,))
BOLD = RequiredSlots((1, 1, 1), (1, -1, -1))  # <b>, </b> and {x}
NONE = RequiredSlots()


def rules(*required: RequiredSlots, least: int = 0, most: int = 8, **options: Any) -> Constraints:
    lengths = torch.full((len(required),), most)
    built = Constraints.build(SPECIAL_IDS, lengths, min_lengths=torch.full_like(lengths, least), **options)
    return built.extended(IDS, required)


def passes(constraints: Constraints, *targets: Sequence[int]) -> list[bool]:
    return accepted([Written(0, list(each)) for each in targets], constraints, VOCABULARY)


def octets(text: str) -> list[int]:
    return [FIRST_BYTE + byte for byte in text.encode()]


@pytest.mark.parametrize("seed", range(3))
def test_all_that_our_search_finds_passes(seed: int) -> None:
    model = network(VOCABULARY, seed=seed)
    constraints = rules(BOLD, NONE, RequiredSlots((2,), (-1,)), least=2, most=9, no_repeat_ngram=3)
    sources = torch.tensor([[10, 5, 11, 12], [6, 7, 8, 9], [10, 10, 5, 6]])
    state = model.start(sources, torch.full((3,), 4))
    found = beam_search(model.step, state, constraints, search_settings(beam=4), 4)
    written = [Written(source, each.ids) for source, best in enumerate(found) for each in best]
    assert len(written) == 12
    assert all(accepted(written, constraints, VOCABULARY))


def test_slots_must_be_exactly_those_of_the_source_and_nested() -> None:
    right = [10, 4, 11, 12]
    wrong = [[10, 4, 11], [10, 11, 12, 12], [11, 10, 12], [10, 11, 12, 13], [4], []]
    assert passes(rules(BOLD), right, *wrong) == [True, *[False] * len(wrong)]
    assert passes(rules(NONE, BOLD), [4, 5], [10]) == [True, False]  # a slot that only another source has


def test_bytes_must_form_characters() -> None:
    right = [octets("ä"), [4, *octets("€")], octets("x")]
    wrong = [octets("ä")[:1], octets("ä")[1:], [*octets("€")[:2], 4], [FIRST_BYTE + 0xEE, *octets("€")[1:]]]
    assert passes(rules(NONE), *right, *wrong) == [*[True] * len(right), *[False] * len(wrong)]


def test_special_and_banned_ids_are_refused() -> None:
    assert passes(
        rules(NONE), [4, SPECIAL_IDS.pad], [SPECIAL_IDS.bos], [SPECIAL_IDS.unk, 4], [4, SPECIAL_IDS.eos, 5], [4]
    ) == [*[False] * 4, True]


def test_lengths_prefixes_and_repeats_are_kept() -> None:
    assert passes(rules(NONE, least=2, most=3), [4], [4, 5], [4, 5, 6], [4, 5, 6, 7]) == [False, True, True, False]
    assert passes(rules(NONE, prefixes=[[6, 7]]), [6, 7, 8], [6, 8], [6]) == [True, False, False]
    assert passes(rules(NONE, no_repeat_ngram=2), [4, 5, 4], [4, 5, 4, 5]) == [True, False]


@pytest.mark.parametrize("most", [6, 7, 8, 12])
def test_positions_that_are_left_out_would_pass(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pick = random.Random(most)
    choices = [*SLOTS, 4, 4, 5, 6, SPECIAL_IDS.unk]
    constraints = rules(BOLD, NONE, RequiredSlots((2, 1), (-1, -1)), most=most)
    drawn = [[pick.choice(choices) for _ in range(pick.randrange(1, 8))] for _ in range(300)]
    right = [pick.sample([10, 4, 11, 12, 5], 5) for _ in range(100)]
    written = [Written(pick.randrange(3), ids) for ids in drawn + right]
    found = accepted(written, constraints, VOCABULARY)
    assert any(found)
    assert not all(found)
    monkeypatch.setattr(acceptance._PlainRule, "doubts", lambda self, each: range(len(each.ids) + 1))
    fitting = [least <= most for least in (len(each.ids) for each in written)]
    replayed = accepted(written, constraints, VOCABULARY)
    assert [a for a, fits in zip(found, fitting, strict=True) if fits] == [
        a for a, fits in zip(replayed, fitting, strict=True) if fits
    ]


def test_a_check_leaves_no_trace_in_the_constraints() -> None:
    constraints = rules(BOLD)
    assert not any(passes(constraints, [10], [10, 4, 11]))
    assert constraints.slots is not None
    assert not constraints.slots.forced
