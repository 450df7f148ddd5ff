"""Compare beam search with independent versions: exhaustive search, and a textbook beam search on plain lists."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.required_slots import RequiredSlots
from seqloom.errors import EvaluationError
from seqloom.symbols import SPECIAL_IDS, Symbols
from seqloom.tokenization.tokenizer import NonTextIds
from tests.decoding.oracles import (
    BOS,
    EOS,
    PAD,
    Rules,
    exhaustive,
    likeliest,
    log_probability,
    run_beam,
    run_greedy,
    scored,
    textbook,
)
from tests.examples import examples
from tests.records import search_settings

fast = settings(max_examples=examples(40), deadline=None)
seeds = st.integers(0, 2**32 - 1)
alphas = st.sampled_from([0.0, 0.6, 1.0, 2.5])
sharpnesses = st.sampled_from([0.3, 1.0, 4.0])
normalizations = st.sampled_from(["wu", "average"])


@st.composite
def rules(draw: Any, vocabulary: int, longest: int, ngram: int | None = None) -> Rules:
    """Usually several rules at once; a prefix may exceed the limit, and has any ids except PAD, BOS and EOS."""
    limit = draw(st.integers(0, longest))
    letters = [token for token in range(vocabulary) if token not in (PAD, BOS, EOS)]
    return Rules(
        limit,
        draw(st.integers(0, limit)),
        draw(st.sampled_from([0, 1, 2, 3])) if ngram is None else ngram,
        tuple(draw(st.lists(st.sampled_from(letters), max_size=3))),
    )


def assert_same(found, expected):
    assert [h.ids for h in found] == [h.ids for h in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-5)
        assert ours.log_probability == pytest.approx(theirs.log_probability, abs=1e-5)


@fast
@given(
    seed=seeds, vocabulary=st.integers(4, 7), normalization=normalizations, alpha=alphas, sharpness=sharpnesses,
    data=st.data(),
)  # fmt: skip
def test_a_huge_beam_equals_exhaustive_search(table_model, seed, vocabulary, normalization, alpha, sharpness, data):
    model = table_model(seed, vocabulary, sharpness)
    ours = data.draw(rules(vocabulary, 3))
    expected = exhaustive(model, 0, ours, normalization, alpha)
    n_best = min(7, len(expected))
    assert_same(run_beam(model, [0], [ours], 256, normalization, alpha, n_best)[0], expected[:n_best])


@pytest.mark.parametrize("early", [False, True])
@fast
@given(
    seed=seeds, vocabulary=st.integers(4, 30), beam=st.integers(2, 6), normalization=normalizations, alpha=alphas,
    sharpness=sharpnesses, data=st.data(),
)  # fmt: skip
def test_it_equals_the_textbook_version_with_and_without_early_stopping(
    table_model, early, seed, vocabulary, beam, normalization, alpha, sharpness, data
):
    model = table_model(seed, vocabulary, sharpness)
    n_best = data.draw(st.integers(1, beam))
    ours = data.draw(rules(vocabulary, 9))
    expected = textbook(model, 0, ours, beam, normalization, alpha, n_best, early)
    assert_same(run_beam(model, [0], [ours], beam, normalization, alpha, n_best, early)[0], expected)


@fast
@given(
    seed=seeds, vocabulary=st.integers(4, 30), normalization=normalizations, alpha=alphas, sharpness=sharpnesses,
    data=st.data(),
)  # fmt: skip
def test_a_beam_of_one_is_greedy_search(table_model, seed, vocabulary, normalization, alpha, sharpness, data):
    model = table_model(seed, vocabulary, sharpness)
    ours = data.draw(rules(vocabulary, 9))
    expected = [likeliest(model, 0, ours, normalization, alpha)]
    assert_same(run_beam(model, [0], [ours], 1, normalization, alpha)[0], expected)
    assert_same(run_greedy(model, [0], [ours], normalization, alpha), expected)


@fast
@given(
    seed=seeds, beam=st.integers(1, 5), normalization=normalizations, alpha=alphas, ngram=st.integers(0, 3),
    early=st.booleans(), data=st.data(),
)  # fmt: skip
def test_a_result_does_not_depend_on_the_rest_of_the_batch(
    table_model, seed, beam, normalization, alpha, ngram, early, data
):
    model = table_model(seed, 12, 2.0)
    ours = data.draw(st.lists(rules(12, 8, ngram), min_size=1, max_size=6))
    together = run_beam(model, list(range(len(ours))), ours, beam, normalization, alpha, beam, early)
    for source, each in enumerate(ours):
        assert together[source] == run_beam(model, [source], [each], beam, normalization, alpha, beam, early)[0]


@fast
@given(seed=seeds, beam=st.integers(1, 5), normalization=normalizations, alpha=alphas, data=st.data())
def test_every_result_is_valid_and_correctly_scored(table_model, seed, beam, normalization, alpha, data):
    model = table_model(seed, 9, 1.5)
    ours = data.draw(st.lists(rules(9, 8, 2), min_size=1, max_size=4))
    sources = list(range(len(ours)))
    for source, hypotheses in enumerate(run_beam(model, sources, ours, beam, normalization, alpha, beam)):
        assert 1 <= len(hypotheses) <= beam
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        assert len({tuple(h.ids) for h in hypotheses}) == len(hypotheses)
        for each in hypotheses:
            prefix = ours[source].prefix
            assert each.ids[: len(prefix)] == list(prefix)
            assert ours[source].minimum <= len(each.ids) <= max(ours[source].limit, len(prefix))
            assert not {PAD, BOS, EOS} & set(each.ids)
            bigrams = list(zip(each.ids, each.ids[1:], strict=False))[max(len(prefix) - 1, 0) :]
            assert len(bigrams) == len(set(bigrams))
            total = log_probability(model, source, each.ids)
            assert each.log_probability == pytest.approx(total, abs=1e-5)
            assert each.score == pytest.approx(scored(tuple(each.ids), total, normalization, alpha).score, abs=1e-5)


class Fixed:
    """The same distribution at every step; counts the rows."""

    def __init__(self, probabilities):
        self.row = torch.tensor(probabilities).log()
        self.rows_read = []

    def select(self, rows):
        return self

    def step(self, token, state):
        self.rows_read.append(len(token))
        return self.row.repeat(len(token), 1), self


def search(model, limits, beam, alpha=1.0, prefixes=None, n_best=1):
    rules = Constraints.build(SPECIAL_IDS, torch.tensor(limits, dtype=torch.int64), prefixes=prefixes)
    settings = search_settings(beam=beam, normalization="wu", length_penalty=alpha)
    return beam_search(model.step, model, rules, settings, n_best)


def test_ending_at_the_maximal_length_costs_the_log_probability_of_eos():
    model = Fixed([0.0, 0.0, 0.0, 0.01, 0.99])  # prefers token 4 at every step
    for beam in (1, 3):
        (found,) = search(model, [5], beam, alpha=2.5)
        assert found[0].ids == [4] * 5
        assert found[0].log_probability == pytest.approx(5 * math.log(0.99) + math.log(0.01))


@pytest.mark.parametrize("beam", [1, 4])
def test_a_forced_prefix_counts_in_the_log_probability(beam):
    (found,) = search(Fixed([0.0, 0.1, 0.0, 0.5, 0.4]), [5], beam, prefixes=[[1, 4, 1]])
    assert found[0].ids == [1, 4, 1]
    assert found[0].log_probability == pytest.approx(math.log(0.1 * 0.4 * 0.1 * 0.5))


@pytest.mark.parametrize("beam", [1, 4])
def test_pad_and_bos_are_never_generated(beam):
    (found,) = search(Fixed([0.5, 0.1, 0.3, 0.06, 0.04]), [4], beam)
    assert not {PAD, BOS} & set(found[0].ids)


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize(
    ("symbols", "allowed"),
    [
        (Symbols(pad=0, unk=1, bos=0, eos=3), {1, 2, 4}),  # T5: the decoder starts with PAD
        (Symbols(pad=0, unk=1, bos=3, eos=3), {1, 2, 4}),  # mBART: it starts with EOS, which may still end a target
        (Symbols(pad=3, unk=1, bos=2, eos=3), {0, 1, 4}),
    ],
)
def test_an_eos_that_is_also_pad_or_bos_can_end_a_target(beam, symbols, allowed):
    model = Fixed([0.1, 0.1, 0.1, 0.6, 0.1])
    first = []

    def step(token, state):
        first.append(token[0].item())
        return model.step(token, state)

    rules = Constraints.build(symbols, torch.tensor([3]), min_lengths=torch.tensor([2]))
    (found,) = beam_search(step, model, rules, search_settings(beam=beam, length_penalty=0.0), beam)
    assert first[0] == symbols.bos
    assert {token for each in found for token in each.ids} <= allowed
    assert len(found[0].ids) == 2


def test_a_certain_eos_stops_the_search_at_once():
    model = Fixed([0.0, 0.0, 0.0, 0.999, 0.001])
    search(model, [1000], 4)
    assert len(model.rows_read) <= 2


@pytest.mark.parametrize("normalization", ["wu", "average"])
@pytest.mark.parametrize("alpha", [0.6, 1.0])
@pytest.mark.parametrize(("share", "found"), [(1.01, 20), (0.99, 0)])
def test_the_search_continues_exactly_as_long_as_a_longer_target_can_win(normalization, alpha, share, found):
    longest = 20
    long = scored((4,) * longest, math.log(0.1), normalization, alpha).score
    short = share * long / scored((), 1.0, normalization, alpha).score
    steps = []

    def step(token, state):
        steps.append(1)
        certain = EOS if len(steps) > longest else 4
        row = torch.full((len(token), 5), -1e9)
        row[:, certain] = 0.0
        if len(steps) == 1:  # after this step the target certainly continues to the limit
            row[:, EOS], row[:, 4] = short, math.log(0.1)
        return row, state

    settings = search_settings(beam=2, normalization=normalization, length_penalty=alpha)
    ((best,),) = beam_search(step, Fixed([1.0]), Constraints.build(SPECIAL_IDS, torch.tensor([longest])), settings)
    assert len(best.ids) == found
    assert len(steps) == (1 + longest if found else 1)  # stop as soon as the longer target cannot win


@pytest.mark.parametrize("normalization", ["wu", "average"])
@pytest.mark.parametrize(("share", "steps"), [(1.01, 2), (0.99, 3)])
def test_early_stopping_ends_when_the_next_step_cannot_give_a_better_target(normalization, share, steps):
    penalties = [1 / scored((4,) * length, 1.0, normalization, 1.0).score for length in range(3)]
    worst = -1.0  # the score of both finished hypotheses, the empty one and (4,)
    taken = []

    def step(token, state):
        taken.append(len(token))
        row = torch.full((len(token), 5), -1e9)
        if len(taken) == 1:
            row[:, EOS], row[:, 4] = worst * penalties[0], math.log(0.9)
        elif len(taken) == 2:
            row[:, EOS], row[:, 4] = worst * penalties[1] - math.log(0.9), share * worst * penalties[2] - math.log(0.9)
        else:
            row[:, EOS] = 0.0
        return row, state

    settings = search_settings(beam=2, normalization=normalization, length_penalty=1.0, early_stopping=True)
    beam_search(step, Fixed([1.0]), Constraints.build(SPECIAL_IDS, torch.tensor([20])), settings)
    assert len(taken) == steps


def test_more_sources_than_continuations_of_one_are_searched_together(table_model):
    model, every = table_model(5, 12, 2.0), [Rules(number % 9) for number in range(30)]
    together = run_beam(model, list(range(30)), every, 2, "wu", 1.0, 2)
    assert together == [run_beam(model, [source], [each], 2, "wu", 1.0, 2)[0] for source, each in enumerate(every)]


def test_finished_sources_leave_the_batch():
    model = Fixed([0.0, 0.0, 0.0, 1e-6, 1.0 - 1e-6])
    search(model, [1, 5, 2], 2)
    assert model.rows_read[0] == 3  # one row per source before the first token
    assert model.rows_read[1:] == [6, 4, 2, 2, 2]
    model = Fixed([0.0, 0.0, 0.0, 1e-6, 1.0 - 1e-6])
    search(model, [1, 5, 2], 1)
    assert model.rows_read == [3, 3, 2, 1, 1, 1]


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.5])
def test_invalid_probabilities_raise_an_error(table_model, beam, value):
    model = table_model(1, 8, 1.0)

    def step(token, state):
        rows, state = model.step(token, state)
        if len(state.prefixes[0]) == 2:
            rows[list(state.sources).index(1)] = value  # of one hypothesis of the source
        return rows, state

    with pytest.raises(EvaluationError, match=r"source 1 .* target token 2; its weights are broken"):
        beam_search(
            step,
            model.start([0, 1]),
            Constraints.build(SPECIAL_IDS, torch.tensor([9, 9])),
            search_settings(beam=beam, length_penalty=9.0),
        )


@pytest.mark.parametrize("beam", [1, 4])
def test_a_single_nan_is_detected(beam):
    model = Fixed([0.2, 0.2, 0.2, 0.2, 0.2])
    model.row[4] = math.nan
    with pytest.raises(EvaluationError, match="NaN"):
        search(model, [3], beam)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_source_without_any_possible_target_raises_an_error(beam):
    with pytest.raises(EvaluationError, match="probability 0"):
        search(Fixed([0.5, 0.0, 0.5, 0.0, 0.0]), [3], beam)


@pytest.mark.parametrize("beam", [1, 4])
def test_an_impossible_prefix_raises_an_error(beam):
    with pytest.raises(EvaluationError, match="probability 0"):
        search(Fixed([0.0, 0.0, 0.0, 0.5, 0.5]), [3], beam, prefixes=[[1]])


@pytest.mark.parametrize("beam", [1, 4])
def test_tokens_of_probability_zero_are_avoided(beam):
    (found,) = search(Fixed([0.0, 0.0, 0.0, 0.3, 0.0, 0.7]), [3], beam, alpha=0.0)
    assert set(found[0].ids) <= {5}


def test_no_sources_give_no_results():
    assert search(Fixed([0.25] * 4), [], 3) == []
    assert search(Fixed([0.25] * 4), [], 1) == []


@pytest.mark.parametrize("n_best", [0, 3])
def test_no_results_or_more_than_the_beam_are_rejected(n_best):
    with pytest.raises(ValueError, match=f"n_best is {n_best}; a beam of 2 gives 1 to 2 hypotheses"):
        search(Fixed([0.25] * 4), [1], 2, n_best=n_best)


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("bytes_", [(), tuple(range(6, 262))])
def test_every_tensor_is_created_on_the_device_of_the_limits(beam, bytes_):
    model = Fixed([0.0, 0.1, 0.0, 0.1, 0.1, 0.1, *[0.6 / 256] * 256])
    limits, least = torch.tensor([1, 3, 5]), torch.tensor([0, 2, 2])

    def build():
        required = [RequiredSlots(), RequiredSlots(), RequiredSlots((1, 1), (1, -1))]
        rules = Constraints.build(SPECIAL_IDS, limits, min_lengths=least, prefixes=[[], [5, 6], []], no_repeat_ngram=2)
        return rules.extended(NonTextIds((4, 5), bytes_), required)

    def step(token, state):
        assert token.device == limits.device
        return model.step(token, state)

    def run(rules):
        return beam_search(step, model, rules, search_settings(beam=beam))

    rules = build()
    expected = run(rules)  # also builds the tables of bytes, which are made on the CPU and moved
    with torch.device("meta"):  # where a tensor that is created without a device would be
        assert run(rules if bytes_ else build()) == expected
        assert len(run(Constraints.build(SPECIAL_IDS, limits))) == 3


@pytest.mark.parametrize("beam", [1, 4])
def test_gradients_are_not_recorded(beam):
    model = Fixed([0.25] * 4)

    def step(token, state):
        assert torch.is_inference_mode_enabled()
        return model.step(token, state)

    beam_search(step, model, Constraints.build(SPECIAL_IDS, torch.tensor([2])), search_settings(beam=beam))


@pytest.mark.parametrize("beam", [2, 4])
def test_a_step_reads_at_most_the_beam_for_each_source(beam):
    model = Fixed([0.0, 0.2, 0.0, 0.2, 0.2, 0.2, 0.2])
    search(model, [6, 6], beam, n_best=2)
    assert model.rows_read[0] == 2
    assert set(model.rows_read[1:]) <= {beam, 2 * beam}


@pytest.mark.parametrize("beam", [2, 3])
def test_of_equal_hypotheses_the_earlier_one_ranks_higher(beam):
    (found,) = search(Fixed([0.0, 0.0, 0.0, 0.5, 0.5]), [3], beam, alpha=0.0, prefixes=[[4, 4, 4]], n_best=2)
    assert [each.ids for each in found] == [[4, 4, 4]]
    step = Fixed([0.0, 0.0, 0.0, 1.0, 1.0])  # not a distribution: every target has log-probability 0
    (found,) = search(step, [3], beam, alpha=0.0, n_best=2)
    assert [each.ids for each in found] == [[], [4]]


def test_finished_hypotheses_do_not_displace_live_ones():
    shares = {BOS: {EOS: 0.35, 4: 0.4, 5: 0.25}, 4: {EOS: 0.1, 4: 0.45, 5: 0.45}, 5: {EOS: 1.0}}
    table = {last: torch.tensor([row.get(token, 0.0) for token in range(6)]).log() for last, row in shares.items()}

    def step(token, state):
        return torch.stack([table[last] for last in token.tolist()]), state

    rules = Constraints.build(SPECIAL_IDS, torch.tensor([3]))
    (found,) = beam_search(step, Fixed([1.0]), rules, search_settings(beam=2, length_penalty=0.0), 2)
    assert [each.ids for each in found] == [[], [5]]  # 5 was third, after 4 and EOS


def test_the_id_of_eos_may_be_0():
    """An id of 0 also stands where there are fewer continuations than the beam can hold."""
    expected = search(Fixed([0.0, 0.2, 0.0, 0.2, 0.6]), [3, 2], 6, n_best=6)
    model = Fixed([0.2, 0.2, 0.0, 0.0, 0.6])
    rules = Constraints.build(Symbols(pad=3, unk=1, bos=2, eos=0), torch.tensor([3, 2]))
    settings = search_settings(beam=6, normalization="wu", length_penalty=1.0)
    assert beam_search(model.step, model, rules, settings, 6) == expected
