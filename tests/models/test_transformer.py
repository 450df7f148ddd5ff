import math

import pytest
import torch
from torch import nn

from seqloom.models.settings import TransformerShape
from seqloom.models.transformer import Transformer, sinusoidal_positions

SHAPE = TransformerShape(width=32, feed_forward=64, heads=4, encoder_layers=2, decoder_layers=2)
VOCABULARY = 50


def build(tied: str = "all", dropout: float = 0.0) -> Transformer:
    torch.manual_seed(7)
    return Transformer(SHAPE, VOCABULARY, VOCABULARY, dropout=dropout, tied_embeddings=tied).eval()


def random_ids(*size: int) -> torch.Tensor:
    return torch.randint(4, VOCABULARY, size)


def reference_stack(model: Transformer) -> nn.Transformer:
    """torch's own Transformer with the weights of ours."""
    theirs = nn.Transformer(
        SHAPE.width, SHAPE.heads, SHAPE.encoder_layers, SHAPE.decoder_layers, SHAPE.feed_forward,
        dropout=0.0, batch_first=True, norm_first=True,
    ).eval()  # fmt: skip

    def attention(target: nn.MultiheadAttention, source: nn.Module) -> None:
        target.in_proj_weight.data = torch.cat((source.query.weight, source.key_value.weight)).detach()
        target.in_proj_bias.data = torch.cat((source.query.bias, source.key_value.bias)).detach()
        target.out_proj.load_state_dict(source.output.state_dict())

    def shared(target: nn.Module, source: nn.Module) -> None:
        target.linear1.load_state_dict(source.feed_forward[0].state_dict())
        target.linear2.load_state_dict(source.feed_forward[3].state_dict())

    for target, source in zip(theirs.encoder.layers, model.encoder, strict=True):
        attention(target.self_attn, source.attention)
        shared(target, source)
        target.norm1.load_state_dict(source.attention_norm.state_dict())
        target.norm2.load_state_dict(source.feed_forward_norm.state_dict())
    for target, source in zip(theirs.decoder.layers, model.decoder, strict=True):
        attention(target.self_attn, source.self_attention)
        attention(target.multihead_attn, source.cross_attention)
        shared(target, source)
        target.norm1.load_state_dict(source.self_norm.state_dict())
        target.norm2.load_state_dict(source.cross_norm.state_dict())
        target.norm3.load_state_dict(source.feed_forward_norm.state_dict())
    theirs.encoder.norm.load_state_dict(model.encoder_norm.state_dict())
    theirs.decoder.norm.load_state_dict(model.decoder_norm.state_dict())
    return theirs


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # an optimisation of torch's, not for pre-norm
def test_equals_the_transformer_of_torch_with_the_same_weights() -> None:
    model = build()
    for parameter in model.parameters():  # zero biases would hide a mistake in them
        nn.init.normal_(parameter, std=0.2)
    theirs = reference_stack(model)
    source, target = random_ids(3, 9), random_ids(3, 7)
    lengths = torch.tensor([9, 5, 2])
    padding = torch.arange(9) >= lengths.unsqueeze(1)

    def embed(ids: torch.Tensor) -> torch.Tensor:
        return model.target_embedding(ids) * math.sqrt(SHAPE.width) + sinusoidal_positions(
            0, ids.shape[1], SHAPE.width, model.output_weight
        )

    expected = theirs(
        embed(source), embed(target), tgt_mask=nn.Transformer.generate_square_subsequent_mask(7),
        src_key_padding_mask=padding, memory_key_padding_mask=padding,
    )  # fmt: skip
    torch.testing.assert_close(model(source, lengths, target), expected, atol=1e-5, rtol=1e-5)


def test_cached_steps_equal_the_whole_target_at_once() -> None:
    model = build()
    source, lengths, target = random_ids(4, 8), torch.tensor([8, 3, 6, 1]), random_ids(4, 6)
    expected = model.log_probabilities(model(source, lengths, target))
    state = model.start(source, lengths)
    for position in range(6):
        log_probabilities, state = model.step(target[:, position], state)
        torch.testing.assert_close(log_probabilities, expected[:, position], atol=1e-5, rtol=1e-5)


def test_selected_rows_go_on_as_if_they_had_been_alone() -> None:
    model = build()
    source, lengths, target = random_ids(3, 8), torch.tensor([8, 3, 6]), random_ids(3, 2)
    _, state = model.step(target[:, 0], model.start(source, lengths))
    rows = torch.tensor([2, 0, 2])
    chosen, _ = model.step(target[rows, 1], state.select(rows))
    everyone, _ = model.step(target[:, 1], state)
    torch.testing.assert_close(chosen, everyone[rows])


def test_padding_and_the_rest_of_the_batch_change_nothing() -> None:
    model = build()
    source, target = random_ids(1, 5), random_ids(1, 4)
    alone = model(source, torch.tensor([5]), target)
    padded = torch.cat((source, torch.zeros(1, 6, dtype=torch.long)), dim=1)
    crowd = torch.cat((padded, random_ids(2, 11)))
    together = model(crowd, torch.tensor([5, 11, 9]), torch.cat((target, random_ids(2, 4))))
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-5)


def test_no_position_sees_a_later_target() -> None:
    model = build()
    embedded: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    model.target_embedding.register_forward_hook(keep)
    hidden = model(random_ids(1, 5), torch.tensor([5]), random_ids(1, 6))
    direction = torch.randn(SHAPE.width)  # a plain sum of normalised numbers is constant and has no gradient
    for position in range(6):
        (gradient,) = torch.autograd.grad(hidden[0, position] @ direction, embedded[-1], retain_graph=True)
        reached = gradient[0].abs().sum(dim=1) > 0
        assert reached.tolist() == [earlier <= position for earlier in range(6)]


@pytest.mark.parametrize(("tied", "tables"), [("all", 1), ("target", 2), ("none", 3)])
def test_tied_embeddings_share_their_table(tied: str, tables: int) -> None:
    model = build(tied)
    found = {
        model.source_embedding.weight.data_ptr(),
        model.target_embedding.weight.data_ptr(),
        model.output_weight.data_ptr(),
    }
    assert len(found) == tables


def test_positions_are_those_of_the_paper_and_have_no_end() -> None:
    positions = sinusoidal_positions(0, 5000, 32, torch.zeros(1))
    for position, pair in ((0, 0), (3, 1), (4999, 15)):
        angle = position / 10_000 ** (2 * pair / 32)
        assert positions[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=2e-3)
        assert positions[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=2e-3)
    torch.testing.assert_close(sinusoidal_positions(4000, 10, 32, torch.zeros(1)), positions[4000:4010])
