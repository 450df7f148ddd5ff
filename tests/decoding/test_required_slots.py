"""Compare the slot constraint with plain lists and brute force: every slot has its count, whatever the model."""

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.greedy import greedy_search
from seqloom.decoding.hypotheses import Hypothesis
from seqloom.decoding.required_slots import RequiredSlots, SlotConstraint
from seqloom.decoding.sampling import sample
from tests.decoding.oracles import (
    BOS,
    EOS,
    FIRST_SLOT,
    PAD,
    Rules,
    constraints,
    continuations,
    exhaustive,
    likeliest,
    owed,
    run_beam,
    run_greedy,
    textbook,
)
from tests.examples import examples
from tests.records import search_settings

fast = settings(max_examples=examples(60), deadline=None)
seeds = st.integers(0, 2**32 - 1)
sharpnesses = st.sampled_from([0.3, 1.0, 4.0, 12.0])
SLOTS = 6
VOCABULARY = FIRST_SLOT + SLOTS + 4


@st.composite
def due(draw: Any, most: int = 3, total: int = 99) -> tuple[tuple[int, int], ...]:
    """Slots 0 and 1 are unpaired; slot 4 closes 2 and 3, or 5 closes 3, or none of them is paired.

    No slot is due more than `most` times, and all of them together at most `total` times.
    """

    def some(largest: int, each: int = 1) -> int:
        nonlocal total
        drawn: int = draw(st.integers(0, min(largest, total // each)))
        total -= drawn * each
        return drawn

    alone = [(some(most), -1) for _ in range(2)]
    first, second = draw(st.sampled_from([(4, 4), (4, 5), (-1, -1)]))
    opening = [some(most - 1, each=1 if closer < 0 else 2) for closer in (first, second)]
    closing = [
        sum(count for count, closer in zip(opening, (first, second), strict=True) if closer == slot) for slot in (4, 5)
    ]
    if first < 0:
        closing[0] = some(most)
    return (*alone, (opening[0], first), (opening[1], second), *((count, -1) for count in closing))


@st.composite
def rules(draw: Any, room: int, ngram: int | None = None, most: int = 3) -> Rules:
    """Rules whose limit is the number of slots plus up to `room`."""
    slots = draw(due(most))
    total = sum(count for count, _ in slots)
    limit = total + draw(st.integers(0, room))
    ngram = draw(st.sampled_from([0, 1, 2])) if ngram is None else ngram
    letters = st.sampled_from(range(FIRST_SLOT + SLOTS, VOCABULARY))
    prefix = tuple(draw(st.lists(letters, max_size=min(2, limit - total))))
    return Rules(limit, draw(st.integers(0, limit)), ngram, prefix, slots)


def assert_kept(ids: list[int], ours: Rules) -> None:
    """Check that each slot has its count, and that pairs are nested."""
    counts = Counter(ids)
    assert [counts[FIRST_SLOT + slot] for slot in range(SLOTS)] == [count for count, _ in ours.slots]
    stack: list[int] = []
    for token in ids:
        slot = token - FIRST_SLOT
        if 0 <= slot < SLOTS:
            if ours.slots[slot][1] >= 0:
                stack.append(ours.slots[slot][1])
            elif slot in [closer for _, closer in ours.slots]:
                assert stack.pop() == slot
    assert not stack
    assert len(ids) <= ours.limit
    assert not {PAD, BOS, EOS} & counts.keys()


@fast
@given(seed=seeds, width=st.integers(1, 3), position=st.integers(0, 6), ngram=st.integers(0, 2), data=st.data())
def test_allowed_tokens_equal_those_of_the_plain_list_version(
    seed: int, width: int, position: int, ngram: int, data: Any
) -> None:
    ours = data.draw(st.lists(rules(6, ngram), min_size=1, max_size=3))
    draw = torch.Generator().manual_seed(seed)
    rows = []
    for each in ours:
        for _ in range(width):  # a valid history: each id was allowed at its position
            ids: tuple[int, ...] = ()
            while len(ids) < position:
                row = torch.randn(VOCABULARY, generator=draw).tolist()
                allowed = [token for token in continuations(row, ids, each) if token != EOS]
                ids += (allowed[int(torch.randint(len(allowed), (), generator=draw))] if allowed else PAD,)
            rows.append(ids)
    scores = torch.randn(len(rows), VOCABULARY, generator=draw)
    history = torch.tensor(rows, dtype=torch.int64).view(len(rows), position)
    expected = [
        continuations(row, ids, ours[i // width])
        for i, (row, ids) in enumerate(zip(scores.tolist(), rows, strict=True))
    ]
    left = constraints(ours).apply(scores.clone(), history).tolist()
    assert [{token: each for token, each in enumerate(row) if each > -torch.inf} for row in left] == expected


@fast
@given(seed=seeds, beam=st.integers(1, 5), sharpness=sharpnesses, early=st.booleans(), data=st.data())
def test_every_hypothesis_of_a_beam_has_the_required_slots(
    table_model: Any, seed: int, beam: int, sharpness: float, early: bool, data: Any
) -> None:
    ours = data.draw(st.lists(rules(8, 0), min_size=1, max_size=4))
    model = table_model(seed, VOCABULARY, sharpness)
    found = run_beam(model, list(range(len(ours))), ours, beam, n_best=beam, early=early)
    for source, each in enumerate(ours):
        for hypothesis in found[source]:
            assert_kept(hypothesis.ids, each)
        assert found[source] == run_beam(model, [source], [each], beam, n_best=beam, early=early)[0]


@fast
@given(seed=seeds, sharpness=sharpnesses, ngram=st.integers(0, 2), data=st.data())
def test_greedy_search_and_samples_have_the_required_slots(
    table_model: Any, seed: int, sharpness: float, ngram: int, data: Any
) -> None:
    ours = data.draw(st.lists(rules(8, ngram), min_size=1, max_size=4))
    model = table_model(seed, VOCABULARY, sharpness)
    sources = list(range(len(ours)))
    for each, hypothesis in zip(ours, run_greedy(model, sources, ours), strict=True):
        assert_kept(hypothesis.ids, each)
    drawing = search_settings(method="sampling", temperature=2.0)
    drawn = sample(model.step, model.start(sources), constraints(ours), drawing, keys=sources, samples=3)
    for each, hypotheses in zip(ours, drawn, strict=True):
        for hypothesis in hypotheses:
            assert_kept(hypothesis.ids, each)


@fast
@given(seed=seeds, sharpness=sharpnesses, data=st.data())
def test_the_first_forced_slot_is_known(table_model: Any, seed: int, sharpness: float, data: Any) -> None:
    ours = data.draw(st.lists(rules(6, 0), min_size=1, max_size=4))
    model = table_model(seed, VOCABULARY, sharpness)
    limits = constraints(ours)
    found = greedy_search(model.step, model.start(list(range(len(ours)))), limits, search_settings(beam=1))
    for source, (each, hypothesis) in enumerate(zip(ours, found, strict=True)):
        ids, start = tuple(hypothesis.ids), len(each.prefix)
        forced = len(ids)
        for at in range(len(ids) - 1, start - 1, -1):
            row = model.log_probabilities(source, (BOS, *ids[:at])).tolist()
            missing, _ = owed(ids[:at], each.slots)
            if missing and (row[EOS] >= max(row) or each.limit - at <= missing):
                forced = at
        if limits.slots is None:
            assert forced == len(ids)
        else:
            assert limits.slots.before_forced(source, ids, start) == forced


def assert_same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [each.ids for each in found] == [each.ids for each in expected]
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)


@settings(max_examples=examples(30), deadline=None)
@given(seed=seeds, sharpness=sharpnesses, data=st.data())
def test_a_huge_beam_equals_exhaustive_search(table_model: Any, seed: int, sharpness: float, data: Any) -> None:
    slots = data.draw(due(2, total=3))
    total = sum(count for count, _ in slots)
    ours = Rules(total + data.draw(st.integers(0, 3 - total)), 0, 0, (), slots)
    model = table_model(seed, FIRST_SLOT + SLOTS + 1, sharpness)
    expected = exhaustive(model, 0, ours, "wu", 1.0)
    n_best = min(5, len(expected))
    assert_same(run_beam(model, [0], [ours], 256, "wu", 1.0, n_best)[0], expected[:n_best])


@fast
@given(seed=seeds, beam=st.integers(2, 5), sharpness=sharpnesses, early=st.booleans(), data=st.data())
def test_a_beam_equals_the_textbook_version(
    table_model: Any, seed: int, beam: int, sharpness: float, early: bool, data: Any
) -> None:
    ours = data.draw(rules(6))
    model = table_model(seed, VOCABULARY, sharpness)
    expected = textbook(model, 0, ours, beam, "wu", 1.0, beam, early)
    assert_same(run_beam(model, [0], [ours], beam, "wu", 1.0, beam, early)[0], expected)
    assert_same(run_greedy(model, [0], [ours]), [likeliest(model, 0, ours, "wu", 1.0)])


# Cases by hand: tags that a prefix broke, and what the model wanted.


def allowed_slots(written: list[int], slots: tuple[tuple[int, int], ...], limit: int = 20, wants: int = 1) -> set[int]:
    """Return the slots that may follow, -1 if EOS may, -2 if another id may; the model prefers the id `wants`."""
    ours = Rules(limit, 0, 0, (), slots)
    row = torch.zeros(1, FIRST_SLOT + len(slots) + 1)
    row[0, wants] = 1.0
    history = torch.tensor([[FIRST_SLOT + each if each >= 0 else 1 for each in written]], dtype=torch.int64).view(1, -1)
    left = constraints([ours]).apply(row, history)[0]
    may = {slot for slot in range(len(slots)) if left[FIRST_SLOT + slot] > -torch.inf}
    may |= {-1} if left[EOS] > -torch.inf else set()
    return may | ({-2} if left[1] > -torch.inf else set())


PAIRED = ((1, 2), (1, 3), (1, -1), (1, -1))  # 2 closes 0, 3 closes 1


def test_only_the_innermost_open_tag_may_close() -> None:
    assert allowed_slots([], PAIRED) == {0, 1, -2}
    assert allowed_slots([0, 1], PAIRED) == {3, -2}
    assert allowed_slots([1, -1, 0], PAIRED) == {2, -2}
    assert allowed_slots([0, 1, 3], PAIRED) == {2, -2}
    assert allowed_slots([0, 2, 1], PAIRED) == {3, -2}
    assert allowed_slots([0, 2, 1, 3], PAIRED) == {-1, -2}
    twice = ((1, 2), (2, 3), (1, -1), (2, -1))
    assert allowed_slots([0, 1, 3], twice) == {1, 2, -2}
    assert allowed_slots([0, 1, 1, 3], twice) == {3, -2}


def test_missing_slots_of_tags_that_a_prefix_broke_may_come_in_any_order() -> None:
    assert allowed_slots([0, 1, 2], PAIRED) == {3, -2}  # crossed
    assert allowed_slots([2, 0], PAIRED) == {1, -2}  # closed before it was opened
    assert allowed_slots([2, 3], PAIRED) == {0, 1, -2}
    assert allowed_slots([2, 0, 1], PAIRED) == {3, -2}


def test_a_slot_that_a_prefix_wrote_too_often_makes_up_for_no_other() -> None:
    twice = ((1, -1), (1, -1))
    assert allowed_slots([0, 0], twice) == {1, -2}
    assert allowed_slots([0, 0], twice, wants=EOS) == {1}
    assert allowed_slots([0, 0], twice, limit=3) == {1}
    assert allowed_slots([0, 0], twice, limit=4) == {1, -2}
    assert allowed_slots([0, 0, 1], twice) == {-1, -2}


def test_a_model_that_prefers_eos_as_much_as_another_id_wants_to_end() -> None:
    row = torch.zeros(1, FIRST_SLOT + 2)  # all are equally likely
    left = constraints([Rules(9, 0, 0, (), ((1, -1),))]).apply(row, torch.empty(1, 0, dtype=torch.int64))
    assert (left[0] > -torch.inf).nonzero().flatten().tolist() == [FIRST_SLOT]


def test_sources_without_slots_need_no_constraint_and_shorter_counts_are_padded() -> None:
    assert SlotConstraint.build([7, 8], [RequiredSlots(), RequiredSlots((0, 0), (-1, -1))], "cpu") is None
    built = SlotConstraint.build(
        [7, 8], [RequiredSlots(), RequiredSlots((1,), (1,)), RequiredSlots((0, 2), (-1, -1))], "cpu"
    )
    assert built is not None
    assert (built.first, built.place.tolist(), built.sources.tolist()) == (7, [-1, 0, 1], [1, 2])
    assert built.counts.tolist() == [[1, 0], [0, 2]]
    assert built.closers.tolist() == [[1, -1, -1], [-1, -1, -1]]
    assert built.totals.tolist() == [0, 1, 2]


def test_a_selection_keeps_the_slots_of_its_sources_and_is_none_without_any() -> None:
    built = SlotConstraint.build(
        [7, 8], [RequiredSlots(), RequiredSlots((1,), (1,)), RequiredSlots((0, 2), (-1, -1))], "cpu"
    )
    assert built is not None
    chosen = built.select(torch.tensor([2, 0, 2, 1]))
    assert chosen is not None
    assert (chosen.place.tolist(), chosen.sources.tolist()) == ([0, -1, 1, 2], [2, 2, 1])
    assert (chosen.counts.tolist(), chosen.totals.tolist()) == ([[0, 2], [0, 2], [1, 0]], [2, 0, 2, 1])
    assert chosen.forced is built.forced
    assert chosen.select(torch.tensor([1])) is None


@pytest.mark.parametrize("beam", [2, 4])
def test_forced_slots_are_recorded_by_source_in_a_beam(table_model: Any, beam: int) -> None:
    ours = [Rules(limit, 0, 0, (), ((1, -1),)) for limit in (1, 4, 2, 3)]  # sources end at different steps
    model = table_model(5, VOCABULARY, 4.0)
    limits = constraints(ours)
    settings_ = search_settings(beam=beam)
    found = beam_search(model.step, model.start(list(range(4))), limits, settings_, beam)
    assert limits.slots is not None
    for source, hypotheses in enumerate(found):
        for each in hypotheses:
            at = each.ids.index(FIRST_SLOT)
            row = model.log_probabilities(source, (BOS, *each.ids[:at])).tolist()
            forced = row[EOS] >= max(row) or ours[source].limit - at <= 1
            assert limits.slots.before_forced(source, each.ids, 0) == (at if forced else len(each.ids))
            assert limits.slots.before_forced(source, each.ids, at + 1) == len(each.ids)
            assert limits.slots.before_forced(source + 4, each.ids, 0) == len(each.ids)


def test_a_tag_whose_partner_has_no_slot_is_not_paired() -> None:
    assert RequiredSlots.of(["<b>", "</b>"], ("<b>",)) == RequiredSlots((1,), (-1,))


def test_required_slots_count_placeholders_and_pair_tags() -> None:
    placeholders = ["{x}", "<b>", "{x}", '<a href="1">', "</a>", "</b>", "<br>"]
    slots = ("{x}", "<b>", '<a href="1">', "</a>", "</b>")  # <br> has no slot
    required = RequiredSlots.of(placeholders, slots)
    assert required == RequiredSlots((2, 1, 1, 1, 1), (-1, 4, 3, -1, -1))
    assert required.total == 6
    assert RequiredSlots.of([], ()) == RequiredSlots()


def test_a_closed_pair_is_opened_again_before_it_is_closed_again() -> None:
    twice = ((2, 1), (2, -1))
    assert allowed_slots([0, 1], twice) == {0, -2}
    assert allowed_slots([0, 1, 0], twice) == {1, -2}
