"""The interface `Seq2Seq`, on which training and search rely, tested for every family and option."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from seqloom.errors import ModelError
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import Family
from seqloom.training.loss import fused_cross_entropy
from tests.models.networks import ATTENTIVE, NETWORKS, TIED, TRAINABLE, VOCABULARY, make, random_ids

LENGTHS = torch.tensor([7, 2, 5, 1])


@pytest.fixture(params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def model(name: str, folders: dict[str, Path]) -> Seq2Seq:
    return make(name, folders)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_every_family_is_tested() -> None:
    assert {family for family, _ in NETWORKS.values()} == set(get_args(Family))


@torch.no_grad()
def test_cached_steps_equal_reading_the_whole_target_at_once(model: Seq2Seq) -> None:
    source, target = random_ids(4, 7), random_ids(4, 6)
    expected = model.log_probabilities(model(source, LENGTHS, target))
    close(expected.exp().sum(dim=-1), torch.ones(4, 6))
    state = model.start(source, LENGTHS)
    for position in range(6):
        found, state = model.step(target[:, position], state)
        close(found, expected[:, position])


@pytest.mark.parametrize("lengths", [[7, 2, 5, 1], [7, 7, 7, 7]], ids=["padded", "full"])
@torch.no_grad()
def test_selected_rows_continue_independently_of_the_others(model: Seq2Seq, lengths: list[int]) -> None:
    source, target = random_ids(4, 7), random_ids(4, 3)
    started = model.start(source, torch.tensor(lengths))
    first, state = model.step(target[:, 0], started)
    second, after = model.step(target[:, 1], state)
    third, _ = model.step(target[:, 2], after)
    for each in ([2, 0, 2], [1], [0, 1, 2, 3, 3], [0, 1, 2, 3]):
        rows = torch.tensor(each)
        close(model.step(target[rows, 0], started.select(rows))[0], first[rows])
        chosen, further = model.step(target[rows, 1], state.select(rows))
        close(chosen, second[rows])
        flipped = torch.arange(len(each)).flip(0)  # in the first case this swaps the two rows of a source
        close(model.step(target[rows[flipped], 2], further.select(flipped))[0], third[rows[flipped]])
    assert torch.equal(model.step(target[:, 1], state)[0], second)  # the old state is unchanged


@torch.no_grad()
def test_padding_and_other_rows_of_the_batch_have_no_effect(model: Seq2Seq) -> None:
    source, target = random_ids(1, 5), random_ids(1, 4)
    alone = model(source, torch.tensor([5]), target)
    sources = torch.cat((torch.cat((source, random_ids(1, 6)), dim=1), random_ids(2, 11)))  # arbitrary ids as padding
    targets = torch.cat((torch.cat((target, random_ids(1, 3)), dim=1), random_ids(2, 7)))
    close(model(sources, torch.tensor([5, 11, 9]), targets)[:1, :4], alone)


def test_no_position_sees_a_later_target(model: Seq2Seq) -> None:
    embedded: dict[int, Tensor] = {}  # by length, since both sides may share a matrix

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return embedded.setdefault(output.shape[1], output.detach().requires_grad_())

    model.target_embedding.register_forward_hook(keep)
    hidden = model(random_ids(1, 5), torch.tensor([5]), random_ids(1, 6))
    direction = torch.randn(hidden.shape[2])  # a plain sum of normalised values is constant, so its gradient is zero
    for position in range(6):
        (gradient,) = torch.autograd.grad(hidden[0, position] @ direction, embedded[6], retain_graph=True)
        reached = gradient[0].abs().sum(dim=1) > 0
        assert reached.tolist() == [earlier <= position for earlier in range(6)]


@torch.no_grad()
def test_the_order_of_the_source_matters(model: Seq2Seq) -> None:
    source, length, target = random_ids(1, 6), torch.tensor([6]), random_ids(1, 3)
    ahead, back = (model.log_probabilities(model(ids, length, target)) for ids in (source, source.flip(1)))
    assert (ahead - back).abs().max() > 1e-3


@pytest.mark.parametrize(("name", "ties"), TIED)
def test_every_trainable_weight_has_a_gradient(name: str, ties: str, folders: dict[str, Path]) -> None:
    """Distributed training would wait forever for a missing one."""
    model = make(name, folders, ties=ties, dropout=0.1).train()
    hidden = model(random_ids(4, 7), LENGTHS, random_ids(4, 6))
    labels = torch.randint(VOCABULARY, (24,))
    loss = fused_cross_entropy(hidden.flatten(0, 1), model.output_weight, model.output_bias, labels, 0.1)
    torch.autograd.backward(loss.smoothed)
    trained = {each: parameter for each, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained
    assert not [each for each, parameter in trained.items() if parameter.grad is None or not parameter.grad.any()]
    assert all(parameter.grad.isfinite().all() for parameter in trained.values() if parameter.grad is not None)


def test_dropout_is_applied_only_in_training(name: str, folders: dict[str, Path]) -> None:
    model = make(name, folders, dropout=0.5)
    pair = random_ids(2, 5), torch.tensor([5, 3]), random_ids(2, 4)
    assert torch.equal(model(*pair), model(*pair))
    model.train()
    assert not torch.equal(model(*pair), model(*pair))


def test_bf16_is_close_to_fp32_and_probabilities_are_fp32(model: Seq2Seq) -> None:
    source, target = random_ids(4, 7), random_ids(4, 3)
    expected = model.log_probabilities(model(source, LENGTHS, target)).detach()
    with torch.autocast("cpu", torch.bfloat16):
        whole = model.log_probabilities(model(source, LENGTHS, target))
        state, steps = model.start(source, LENGTHS), []
        for token in target.unbind(1):
            found, state = model.step(token, state)
            steps.append(found)
    for rounded in (whole, torch.stack(steps, dim=1)):
        assert rounded.dtype == torch.float32
        assert (rounded - expected).abs().max() < 0.1 * expected.abs().max()
    whole.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ATTENTIVE)
def test_attention_sums_to_one_over_real_source_positions(model: Seq2Seq) -> None:
    shown = model.attention(random_ids(4, 7), LENGTHS, random_ids(4, 5))
    assert shown.shape == (4, 5, 7)
    assert not shown.requires_grad
    close(shown.sum(dim=-1), torch.ones(4, 5))
    real = (torch.arange(7) < LENGTHS.unsqueeze(1)).unsqueeze(1).expand(4, 5, 7)
    assert (shown[~real] == 0).all()
    assert (shown[real] > 0).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert model.attention(random_ids(4, 7), LENGTHS, random_ids(4, 5)).dtype == torch.float32


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - set(ATTENTIVE)))
def test_a_network_without_attention_raises_an_error(model: Seq2Seq) -> None:
    with pytest.raises(ModelError, match=f"type {type(model).__name__} has no attention to show"):
        model.attention(random_ids(4, 7), LENGTHS, random_ids(4, 5))


@pytest.mark.parametrize("name", ATTENTIVE)
@torch.no_grad()
def test_rows_reordered_within_their_source_keep_its_memory(model: Seq2Seq) -> None:
    started = model.start(random_ids(2, 7), LENGTHS[:2]).select(torch.tensor([[0, 0], [1, 1]]))
    _, state = model.step(random_ids(4), started)
    memory = vars(state)["memory"]
    assert vars(state.select(torch.tensor([[1, 0], [2, 2]])))["memory"] is memory
    assert vars(state.select(torch.tensor([[2, 2], [1, 1]])))["memory"] is not memory


@torch.no_grad()
def test_each_hypothesis_keeps_its_own_history(model: Seq2Seq) -> None:
    """Reorder the beam at each step and drop sources; compare with reading each row's whole target anew."""
    source, lengths = random_ids(3, 7), torch.tensor([7, 2, 5])
    left, read = torch.arange(3), torch.empty(3, 1, 0, dtype=torch.int64)
    state = model.start(source, lengths)
    for kept, beams in (([0, 1, 2], 3), ([0, 1, 2], 3), ([0, 2], 3), ([0, 1], 3), ([0, 1], 2), ([1, 0], 2), ([1], 4)):
        token = random_ids(*read.shape[:2])
        found, state = model.step(token.flatten(), state)
        read = torch.cat((read, token.unsqueeze(2)), dim=2)
        width = read.shape[1]
        every = left.repeat_interleave(width)
        whole = model(source[every], lengths[every], read.flatten(0, 1))[:, -1]
        close(found, model.log_probabilities(whole))
        sources, parents = torch.tensor(kept), torch.randint(width, (len(kept), beams))
        state = state.select(sources.unsqueeze(1) * width + parents)
        left, read = left[sources], read[sources.unsqueeze(1), parents]


@pytest.mark.parametrize(("ties", "tables"), [("all", 1), ("target", 2), ("none", 3)])
@pytest.mark.parametrize("name", TRAINABLE)
def test_tied_embeddings_share_one_matrix(name: str, ties: str, tables: int, folders: dict[str, Path]) -> None:
    model = make(name, folders, ties=ties)
    every = (model.source_embedding.weight, model.target_embedding.weight, model.output_weight)
    assert len({table.data_ptr() for table in every}) == tables
    assert (model.source_embedding is model.target_embedding) == (ties == "all")
    hidden = model(random_ids(1, 5), torch.tensor([5]), random_ids(1, 6))
    assert hidden.shape == (1, 6, model.output_weight.shape[1])


@pytest.mark.parametrize(
    "name",
    ["transformer-post-learned-gelu", "lstm", *(f"attention_lstm-{score}" for score in ("general", "dot", "additive"))],
)
def test_a_pair_of_thousands_of_tokens_can_be_read(model: Seq2Seq) -> None:
    hidden = model(random_ids(2, 2000), torch.tensor([2000, 3]), random_ids(2, 2000))
    hidden.square().mean().backward()
    assert hidden.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
