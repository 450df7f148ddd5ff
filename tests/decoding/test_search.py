"""The search against oracles that share no code with it: all sequences, and a textbook beam search on plain lists."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.search import Hypothesis, beam_search, greedy_search, length_penalty
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import EvaluationError

PAD, BOS, EOS = 0, 2, 3

fast = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32 - 1)
alphas = st.sampled_from([0.0, 0.6, 1.0, 2.5])
sharpnesses = st.sampled_from([0.3, 1.0, 4.0])


def search_settings(beam, alpha=1.0):
    return SearchSettings(beam=beam, length_penalty=alpha, max_length_ratio=1.0, max_length_extra=1, batch_tokens=1)


def run(model, sources, limits, beam, alpha=1.0, n_best=1):
    return beam_search(
        model.step,
        model.start(list(sources)),
        rows=len(sources),
        max_lengths=torch.tensor(limits),
        settings=search_settings(beam, alpha),
        n_best=n_best,
    )


def penalised(total, ids, alpha):
    return total / ((5 + len(ids) + 1) / 6) ** alpha


def log_probability(model, source, ids):
    """The probability of exactly these ids and then EOS, by the chain rule."""
    sequence = [*ids, EOS]
    return sum(float(model.log_probabilities(source, (BOS, *sequence[:i]))[t]) for i, t in enumerate(sequence))


def exhaustive(model, source, limit, alpha):
    """Every sequence of at most `limit` ids, best first."""
    letters = [t for t in range(model.vocabulary) if t not in (PAD, BOS, EOS)]
    found = []
    for length in range(limit + 1):
        for ids in itertools.product(letters, repeat=length):
            total = log_probability(model, source, ids)
            found.append(Hypothesis(list(ids), penalised(total, ids, alpha), total))
    return sorted(found, key=lambda h: -h.score)


def textbook(model, source, limit, beam, alpha, n_best):
    """Beam search on plain lists, one source, which never stops before the limit."""
    live, finished = [((), 0.0)], []
    for length in range(limit + 1):
        grown = []
        for ids, total in live:
            row = model.log_probabilities(source, (BOS, *ids)).tolist()
            allowed = [EOS] if length == limit else [t for t in range(len(row)) if t not in (PAD, BOS)]
            grown += [(ids, t, total + row[t]) for t in allowed]
        grown.sort(key=lambda g: -g[2])
        finished += [
            Hypothesis(list(ids), penalised(total, ids, alpha), total) for ids, t, total in grown[:beam] if t == EOS
        ]
        live = [((*ids, t), total) for ids, t, total in grown if t != EOS][:beam]
    return sorted(finished, key=lambda h: -h.score)[:n_best]


def assert_same(found, expected):
    assert [h.ids for h in found] == [h.ids for h in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-5)
        assert ours.log_probability == pytest.approx(theirs.log_probability, abs=1e-5)


@fast
@given(seed=seeds, vocabulary=st.integers(4, 7), limit=st.integers(0, 3), alpha=alphas, sharpness=sharpnesses)
def test_a_huge_beam_finds_what_trying_everything_finds(table_model, seed, vocabulary, limit, alpha, sharpness):
    model = table_model(seed, vocabulary, sharpness)
    expected = exhaustive(model, 0, limit, alpha)
    n_best = min(7, len(expected))
    assert_same(run(model, [0], [limit], 256, alpha, n_best)[0], expected[:n_best])


@fast
@given(
    seed=seeds,
    vocabulary=st.integers(4, 30),
    limit=st.integers(0, 9),
    beam=st.integers(2, 6),
    alpha=alphas,
    sharpness=sharpnesses,
    data=st.data(),
)
def test_stopping_early_changes_nothing(table_model, seed, vocabulary, limit, beam, alpha, sharpness, data):
    model = table_model(seed, vocabulary, sharpness)
    n_best = data.draw(st.integers(1, beam))
    assert_same(run(model, [0], [limit], beam, alpha, n_best)[0], textbook(model, 0, limit, beam, alpha, n_best))


@fast
@given(seed=seeds, vocabulary=st.integers(4, 30), limit=st.integers(0, 9), alpha=alphas, sharpness=sharpnesses)
def test_a_beam_of_one_is_greedy(table_model, seed, vocabulary, limit, alpha, sharpness):
    model = table_model(seed, vocabulary, sharpness)
    ids = []
    while len(ids) < limit:
        row = model.log_probabilities(0, (BOS, *ids)).clone()
        row[[PAD, BOS]] = -math.inf
        token = int(row.argmax())
        if token == EOS:
            break
        ids.append(token)
    total = log_probability(model, 0, ids)
    expected = [Hypothesis(ids, penalised(total, ids, alpha), total)]
    assert_same(run(model, [0], [limit], 1, alpha)[0], expected)
    assert_same(
        greedy_search(
            model.step, model.start([0]), rows=1, max_lengths=torch.tensor([limit]), settings=search_settings(9, alpha)
        ),
        expected,
    )


@fast
@given(seed=seeds, limits=st.lists(st.integers(0, 8), min_size=1, max_size=6), beam=st.integers(1, 5), alpha=alphas)
def test_a_source_does_not_see_its_batch(table_model, seed, limits, beam, alpha):
    model = table_model(seed, 12, 2.0)
    together = run(model, range(len(limits)), limits, beam, alpha, n_best=beam)
    for source, limit in enumerate(limits):
        assert together[source] == run(model, [source], [limit], beam, alpha, n_best=beam)[0]


@fast
@given(seed=seeds, limits=st.lists(st.integers(0, 8), min_size=1, max_size=4), beam=st.integers(1, 5), alpha=alphas)
def test_what_every_result_keeps_to(table_model, seed, limits, beam, alpha):
    model = table_model(seed, 9, 1.5)
    for source, hypotheses in enumerate(run(model, range(len(limits)), limits, beam, alpha, n_best=beam)):
        assert 1 <= len(hypotheses) <= beam
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        assert len({tuple(h.ids) for h in hypotheses}) == len(hypotheses)
        for each in hypotheses:
            assert len(each.ids) <= limits[source]
            assert not {PAD, BOS, EOS} & set(each.ids)
            assert each.log_probability == pytest.approx(log_probability(model, source, each.ids), abs=1e-5)
            assert each.score == pytest.approx(penalised(each.log_probability, each.ids, alpha))


class Fixed:
    """The same distribution whatever was read; rows are counted."""

    def __init__(self, probabilities):
        self.row = torch.tensor(probabilities).log()
        self.rows_read = []

    def select(self, rows):
        return self

    def step(self, token, state):
        self.rows_read.append(len(token))
        return self.row.expand(len(token), -1), self


def search(model, limits, beam, **more):
    return beam_search(
        model.step, model, rows=len(limits), max_lengths=torch.tensor(limits), settings=search_settings(beam, **more)
    )


def test_a_hypothesis_at_its_limit_ends_and_pays_for_it():
    model = Fixed([0.0, 0.0, 0.0, 0.01, 0.99])  # wants token 4 for ever
    for beam in (1, 3):
        (found,) = search(model, [5], beam, alpha=2.5)
        assert found[0].ids == [4] * 5
        assert found[0].log_probability == pytest.approx(5 * math.log(0.99) + math.log(0.01))


@pytest.mark.parametrize("beam", [1, 4])
def test_pad_and_bos_are_never_emitted_however_likely(beam):
    (found,) = search(Fixed([0.5, 0.1, 0.3, 0.06, 0.04]), [4], beam)
    assert not {PAD, BOS} & set(found[0].ids)


def test_a_certain_end_stops_the_search_at_once():
    model = Fixed([0.0, 0.0, 0.0, 0.999, 0.001])
    search(model, [1000], 4)
    assert len(model.rows_read) <= 2


def test_finished_sources_leave_the_batch():
    model = Fixed([0.0, 0.0, 0.0, 1e-6, 1.0 - 1e-6])
    search(model, [1, 5, 2], 2)
    assert model.rows_read[0] == 3  # a row per source before the first token
    assert model.rows_read[1:] == [6, 4, 2, 2, 2]
    model = Fixed([0.0, 0.0, 0.0, 1e-6, 1.0 - 1e-6])
    search(model, [1, 5, 2], 1)
    assert model.rows_read == [3, 3, 2, 1, 1, 1]


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.5])
def test_what_is_no_probability_is_refused(table_model, beam, value):
    model = table_model(1, 8, 1.0)

    def step(token, state):
        rows, state = model.step(token, state)
        if len(state.prefixes[0]) == 2:
            rows = torch.where((torch.tensor(state.sources) == 1).unsqueeze(1), value, rows)
        return rows, state

    with pytest.raises(EvaluationError, match=r"source 1 .* target token 2; its weights are broken"):
        beam_search(
            step, model.start([0, 1]), rows=2, max_lengths=torch.tensor([9, 9]), settings=search_settings(beam, 9.0)
        )


@pytest.mark.parametrize("beam", [1, 4])
def test_one_nan_among_numbers_is_seen(beam):
    model = Fixed([0.2, 0.2, 0.2, 0.2, 0.2])
    model.row[4] = math.nan
    with pytest.raises(EvaluationError, match="NaN"):
        search(model, [3], beam)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_source_without_any_possible_target_is_told(beam):
    with pytest.raises(EvaluationError, match="probability 0"):
        search(Fixed([0.5, 0.0, 0.5, 0.0, 0.0]), [3], beam)


@pytest.mark.parametrize("beam", [1, 4])
def test_impossible_tokens_are_avoided(beam):
    (found,) = search(Fixed([0.0, 0.0, 0.0, 0.3, 0.0, 0.7]), [3], beam, alpha=0.0)
    assert set(found[0].ids) <= {5}


def test_no_sources_give_no_results():
    assert search(Fixed([0.25] * 4), [], 3) == []


def test_more_results_than_beams_are_refused():
    model = Fixed([0.25] * 4)
    with pytest.raises(ValueError, match="n_best is 3"):
        beam_search(model.step, model, rows=1, max_lengths=torch.tensor([1]), settings=search_settings(2), n_best=3)


def test_the_length_penalty_is_the_papers():
    assert length_penalty(torch.tensor([1, 7]), 1.0).tolist() == pytest.approx([1.0, 2.0])
    assert length_penalty(torch.tensor([7]), 0.0).tolist() == [1.0]
