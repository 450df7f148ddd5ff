"""Compare ensembles with NumPy, and an ensemble of the same model twice with the model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.ensemble import Ensemble, EnsembleState, mean_of_probabilities
from seqloom.errors import ModelError
from seqloom.models.catalogue import build_model
from seqloom.symbols import SPECIAL_IDS
from tests.examples import examples
from tests.records import model_settings, search_settings


def step_of(models):
    return mean_of_probabilities([model.step for model in models])


def state_of(models, sources):
    return EnsembleState(tuple(model.start(sources) for model in models))


@settings(max_examples=examples(30), deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4), sharpness=st.sampled_from([1.0, 20.0]))
def test_probabilities_are_the_mean_of_the_members(table_model, seed, count, sharpness):
    models = [table_model(seed + (member << 32), 12, sharpness) for member in range(count)]
    step, state = step_of(models), state_of(models, [0, 1])
    tokens = [2, 2]
    for position in range(3):
        found, state = step(torch.tensor(tokens), state)
        read = [(*([2] + [5] * position)[: position + 1],)] * 2
        rows = [[model.log_probabilities(s, read[s]).double().numpy() for s in (0, 1)] for model in models]
        assert found.numpy() == pytest.approx(np.logaddexp.reduce(rows, axis=0) - np.log(count), rel=1e-6, abs=1e-6)
        tokens = [5, 5]
        state = state.select(torch.tensor([0, 1]))


def test_a_token_with_probability_zero_in_one_member_is_half_as_likely():
    def member(*probabilities):
        return lambda token, state: (torch.tensor([probabilities]).log(), state)

    step = mean_of_probabilities([member(0.0, 1.0), member(0.5, 0.5)])
    assert step(torch.tensor([2]), EnsembleState((None, None)))[0].exp().tolist() == [pytest.approx([0.25, 0.75])]
    step = mean_of_probabilities([member(0.0, 1.0), member(0.0, 1.0)])
    assert step(torch.tensor([2]), EnsembleState((None, None)))[0].exp().tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("beam", [1, 4])
def test_an_ensemble_of_the_same_model_twice_equals_the_model(table_model, beam):
    model = table_model(4, 15, 2.0)

    def found(step, state):
        rules = Constraints.build(SPECIAL_IDS, torch.tensor([6, 7, 8]))
        return beam_search(step, state, rules, search_settings(beam=beam), beam)

    alone = found(model.step, model.start([0, 1, 2]))
    twice = found(step_of([model, model]), state_of([model, model], [0, 1, 2]))
    for ours, theirs in zip(twice, alone, strict=True):
        assert [each.ids for each in ours] == [each.ids for each in theirs]
        assert [each.score for each in ours] == pytest.approx([each.score for each in theirs], abs=1e-6)


def networks(count, source=11, target=11):
    section = {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    architecture = model_settings("transformer", 0.1, "none", **section).architecture
    return [build_model(architecture, source, target) for _ in range(count)]


def test_networks_are_searched_as_one():
    torch.manual_seed(2)
    members = networks(2)
    ensemble = Ensemble(members).eval()
    source, lengths, token = torch.tensor([[4, 5, 6], [7, 8, 0]]), torch.tensor([3, 2]), torch.tensor([2, 2])
    found, state = ensemble.step(token, ensemble.start(source, lengths))
    apart = torch.stack([member.step(token, member.start(source, lengths))[0] for member in members])
    assert torch.allclose(found, apart.exp().mean(dim=0).log(), atol=1e-5)
    again, _ = ensemble.step(torch.tensor([5, 5, 5]), state.select(torch.tensor([1, 1, 0])))
    assert torch.allclose(again[0], again[1], atol=1e-5)
    target = torch.tensor([[2, 5], [2, 6]])
    weights = torch.stack([member.attention(source, lengths, target) for member in members])
    assert torch.allclose(ensemble.attention(source, lengths, target), weights.mean(dim=0), atol=1e-5)
    assert (ensemble.source_vocab_size, ensemble.target_vocab_size) == (11, 11)
    assert not any(member.training for member in members)
    assert len(list(ensemble.parameters())) == 2 * len(list(members[0].parameters()))


def test_length_limits_are_those_of_the_shortest_member():
    members = networks(3)
    members[1].max_source_length, members[2].max_source_length = 40, 30
    members[1].max_target_length = 20
    ensemble = Ensemble(members)
    assert (ensemble.max_source_length, ensemble.max_target_length) == (30, 20)
    assert Ensemble(members[:1]).max_source_length is None


def test_vocabularies_of_different_sizes_are_rejected():
    with pytest.raises(ModelError, match=r"must share their vocabularies, .* 11 and 11, 11 and 12"):
        Ensemble(networks(1) + networks(1, target=12))
