"""Compare sampling with exact probabilities, and check that a sentence's samples are independent of its batch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.constraints import Constraints
from seqloom.decoding.sampling import draw, sample
from seqloom.errors import EvaluationError
from seqloom.symbols import SPECIAL_IDS
from tests.decoding.oracles import BOS, EOS, PAD, Rules, constraints, continuations, log_probability
from tests.examples import examples
from tests.records import search_settings

fast = settings(max_examples=examples(30), deadline=None)
seeds = st.integers(0, 2**32 - 1)


def random_row(seed, vocabulary, sharpness=2.0):
    logits = np.random.default_rng(seed).normal(size=vocabulary) * sharpness
    return torch.log_softmax(torch.from_numpy(logits).float(), dim=0)


def shares(row, count=4000, **how):
    """Return the share of [0, 1) that leads to each token, from `count` evenly spaced numbers."""
    numbers = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    drawn = torch.cat([draw(row.expand(len(part), -1), part, **how) for part in numbers.split(2000)])
    return torch.bincount(drawn, minlength=len(row)).numpy() / count


def filtered(row, temperature=1.0, top_k=None, top_p=1.0):
    """Return the probabilities after temperature, top-k and nucleus, with NumPy."""
    scores = row.double().numpy() / temperature
    probabilities = np.exp(scores - scores.max())
    order = np.argsort(-probabilities)
    if top_k is not None:
        probabilities[order[top_k:]] = 0.0
    probabilities /= probabilities.sum()
    kept, mass = [], 0.0
    for token in order:  # Holtzman et al. 2020, equation 2: the smallest set that makes up p
        kept.append(token)
        mass += probabilities[token]
        if mass >= top_p:
            break
    nucleus = np.zeros_like(probabilities)
    nucleus[kept] = probabilities[kept]
    return nucleus / nucleus.sum()


@fast
@given(
    seed=seeds, vocabulary=st.sampled_from([4, 9, 40, 700]), temperature=st.sampled_from([0.5, 1.0, 1.7]),
    top_k=st.sampled_from([None, 1, 3, 10, 1000]), top_p=st.sampled_from([0.05, 0.5, 0.9, 1.0]),
)  # fmt: skip
def test_tokens_are_drawn_with_the_probabilities_of_the_numpy_version(seed, vocabulary, temperature, top_k, top_p):
    row = random_row(seed, vocabulary)
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    assert shares(row, **how) == pytest.approx(filtered(row, **how), abs=2.5 / 4000)


@fast
@given(
    seed=seeds, vocabulary=st.sampled_from([9, 700]), top_k=st.sampled_from([None, 1, 7]),
    top_p=st.sampled_from([0.05, 0.5, 0.9]),
)  # fmt: skip
def test_top_k_and_top_p_keep_the_same_tokens_as_the_numpy_version(seed, vocabulary, top_k, top_p):
    row = random_row(seed, vocabulary)
    expected = filtered(row, top_k=top_k, top_p=top_p)
    drawn = shares(row, top_k=top_k, top_p=top_p) > 0
    assert not (drawn & (expected == 0)).any()
    assert not (~drawn & (expected > 1 / 2000)).any()  # rarer ones may fall between two numbers of the grid


def test_tokens_of_probability_zero_are_never_drawn_at_the_edges():
    row = torch.tensor([-math.inf, math.log(0.5), -math.inf, math.log(0.5), -math.inf])
    edges = torch.tensor([0.0, 0.5 - 2**-53, 0.5, 1.0 - 2**-53], dtype=torch.float64)
    for how in ({}, {"top_k": 5}, {"top_p": 0.99}, {"temperature": 3.0}):
        assert set(draw(row.expand(4, -1), edges, **how).tolist()) == {1, 3}


def run(model, sources, rules, keys=None, samples=1, **more):
    return sample(
        model.step,
        model.start(sources),
        constraints(rules),
        search_settings(method="sampling", **more),
        keys=sources if keys is None else keys,
        samples=samples,
    )


def probabilities(model, rules):
    """Return every target and its probability, renormalised over the allowed tokens."""
    found = {}
    open_ = [((), 1.0)]
    while open_:
        ids, probability = open_.pop()
        allowed = continuations(model.log_probabilities(0, (BOS, *ids)).tolist(), ids, rules)
        mass = sum(map(math.exp, allowed.values()))
        for token, value in allowed.items():
            if token == EOS:
                found[ids] = probability * math.exp(value) / mass
            else:
                open_.append(((*ids, token), probability * math.exp(value) / mass))
    return found


@pytest.mark.parametrize("rules", [Rules(2), Rules(3, 1, 1), Rules(3, 2, 2, (4,))])
def test_targets_are_drawn_with_their_probabilities(table_model, rules):
    model = table_model(5, 6)
    count = 4000
    (drawn,) = run(model, [0], [rules], samples=count)
    expected = probabilities(model, rules)
    observed = dict.fromkeys(expected, 0)
    for each in drawn:
        observed[tuple(each.ids)] += 1  # a forbidden target would be a KeyError
    statistic = sum((observed[ids] - count * p) ** 2 / (count * p) for ids, p in expected.items())
    freedom = torch.tensor((len(expected) - 1) / 2.0)
    assert torch.special.gammaincc(freedom, torch.tensor(statistic / 2)) > 0.01  # chi-square test with a fixed seed


@fast
@given(seed=seeds, ngram=st.integers(0, 2), temperature=st.sampled_from([0.5, 1.0, 2.0]), data=st.data())
def test_a_sample_is_scored_with_the_models_own_log_probabilities(table_model, seed, ngram, temperature, data):
    model = table_model(seed, 9)
    limit = data.draw(st.integers(0, 6))
    rules = Rules(limit, data.draw(st.integers(0, limit)), ngram, tuple(data.draw(st.lists(st.just(5), max_size=2))))
    how = {"temperature": temperature, "top_k": 6, "top_p": 0.9, "normalization": "average", "length_penalty": 1.0}
    (drawn,) = run(model, [0], [rules], samples=3, **how)
    for each in drawn:
        assert not {PAD, BOS, EOS} & set(each.ids)
        assert each.ids[: len(rules.prefix)] == list(rules.prefix)
        assert each.log_probability == pytest.approx(log_probability(model, 0, each.ids), abs=1e-5)
        assert each.score == pytest.approx(each.log_probability / (len(each.ids) + 1))


@fast
@given(
    seed=seeds, limits=st.lists(st.integers(0, 8), min_size=1, max_size=5), ngram=st.integers(0, 2),
    top_k=st.sampled_from([None, 4]), top_p=st.sampled_from([0.8, 1.0]), shuffle=st.randoms(use_true_random=False),
)  # fmt: skip
def test_a_sample_does_not_depend_on_its_batch_or_its_order(table_model, seed, limits, ngram, top_k, top_p, shuffle):
    model = table_model(seed, 12)
    rules = [Rules(limit, 0, ngram) for limit in limits]
    order = list(range(len(limits)))
    shuffle.shuffle(order)
    how = {"samples": 3, "top_k": top_k, "top_p": top_p, "seed": seed}
    together = run(model, order, [rules[source] for source in order], **how)
    for source, found in zip(order, together, strict=True):
        assert found == run(model, [source], [rules[source]], **how)[0]
        assert found[:2] == run(model, [source], [rules[source]], **how | {"samples": 2})[0]


def test_equal_seeds_give_equal_samples_and_others_differ(table_model):
    model = table_model(1, 30)
    rules = [Rules(12), Rules(12)]
    found = run(model, [0, 1], rules, samples=4, seed=7)
    assert found == run(model, [0, 1], rules, samples=4, seed=7)
    assert found != run(model, [0, 1], rules, samples=4, seed=8)
    assert found != run(model, [0, 1], rules, samples=4, seed=7, keys=[3, 4])
    assert len({tuple(each.ids) for each in found[0]}) == 4


def test_the_global_generator_is_untouched(table_model):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run(table_model(1, 30), [0], [Rules(9)])
    assert torch.equal(torch.get_rng_state(), before)


def test_no_sources_give_no_samples(table_model):
    settings = search_settings(method="sampling")
    model = table_model(1, 9)
    none = Constraints.build(SPECIAL_IDS, torch.empty(0, dtype=torch.int64))
    assert sample(model.step, model.start([]), none, settings, keys=[]) == []


@pytest.mark.parametrize("how", [{}, {"top_k": 3}, {"top_p": 0.5}])
@pytest.mark.parametrize(
    ("value", "message"), [(math.nan, "NaN"), (0.5, "NaN or above 1"), (-math.inf, "probability 0")]
)
def test_invalid_probabilities_raise_an_error_naming_the_source(table_model, how, value, message):
    model = table_model(1, 9)

    def step(token, state):
        rows, state = model.step(token, state)
        return torch.where((torch.tensor(state.sources) == 1).unsqueeze(1), value, rows), state

    settings = search_settings(method="sampling", **how)
    with pytest.raises(EvaluationError, match=rf"source 1 .*{message}"):
        sample(step, model.start([0, 1]), constraints([Rules(9, 3)] * 2), settings, keys=[0, 1], samples=2)
