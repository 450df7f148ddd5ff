import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seqloom.errors import ModelError
from seqloom.models.attention import Attention
from seqloom.models.layers import GatedFeedForward, build_norm
from seqloom.models.positions import sinusoidal_positions
from seqloom.models.settings import TransformerArchitecture
from seqloom.models.transformer import Transformer
from tests.records import model_settings

VOCABULARY = 50


def architecture(ties: str = "all", dropout: float = 0.0, **changes: Any) -> TransformerArchitecture:
    sizes = {"width": 32, "feed_forward": 64, "heads": 4, "encoder_layers": 2, "decoder_layers": 2}
    made = model_settings("transformer", dropout, ties, **sizes | changes).architecture
    assert isinstance(made, TransformerArchitecture)
    return made


def build(ties: str = "all", **changes: Any) -> Transformer:
    """A small network without zero biases and unit gains, which would hide errors."""
    torch.manual_seed(7)
    model = Transformer(architecture(ties, **changes), VOCABULARY, VOCABULARY).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def random_ids(*size: int) -> torch.Tensor:
    return torch.randint(4, VOCABULARY, size)


def torch_transformer(model: Transformer, order: str, activation: str) -> nn.Transformer:
    """Return torch's own Transformer with our weights."""
    sizes = {"dim_feedforward": 64, "dropout": 0.0, "activation": activation}
    modes = {"batch_first": True, "norm_first": order == "pre"}
    final = [nn.LayerNorm(32) if order == "pre" else None for _ in range(2)]
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, **sizes, **modes), 2, final[0], False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(32, 4, **sizes, **modes), 2, final[1])
    theirs = nn.Transformer(32, 4, custom_encoder=encoder, custom_decoder=decoder, batch_first=True).eval()

    def attention(target: nn.MultiheadAttention, source: Attention) -> None:
        target.in_proj_weight.data = torch.cat((source.query.weight, source.key_value.weight)).detach()
        target.in_proj_bias.data = torch.cat((source.query.bias, source.key_value.bias)).detach()
        target.out_proj.load_state_dict(source.output.state_dict())

    def shared(target: Any, source: Any) -> None:
        target.linear1.load_state_dict(source.feed_forward[0].state_dict())
        target.linear2.load_state_dict(source.feed_forward[3].state_dict())

    for target, source in zip(encoder.layers, model.encoder, strict=True):
        attention(target.self_attn, source.attention)
        shared(target, source)
        target.norm1.load_state_dict(source.attention_residual.norm.state_dict())
        target.norm2.load_state_dict(source.feed_forward_residual.norm.state_dict())
    for target, source in zip(decoder.layers, model.decoder, strict=True):
        attention(target.self_attn, source.self_attention)
        attention(target.multihead_attn, source.cross_attention)
        shared(target, source)
        target.norm1.load_state_dict(source.self_residual.norm.state_dict())
        target.norm2.load_state_dict(source.cross_residual.norm.state_dict())
        target.norm3.load_state_dict(source.feed_forward_residual.norm.state_dict())
    if order == "pre":
        encoder.norm.load_state_dict(model.encoder_norm.state_dict())
        decoder.norm.load_state_dict(model.decoder_norm.state_dict())
    return theirs


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_equals_the_transformer_of_torch_with_the_same_weights(order: str, activation: str) -> None:
    model = build(norm_order=order, activation=activation)
    theirs = torch_transformer(model, order, activation)
    source, target = random_ids(3, 9), random_ids(3, 7)
    lengths = torch.tensor([9, 5, 2])
    padding = torch.arange(9) >= lengths.unsqueeze(1)

    def embed(ids: torch.Tensor) -> torch.Tensor:
        position = sinusoidal_positions(0, ids.shape[1], 32, model.output_weight)
        return model.target_embedding(ids) * math.sqrt(32) + position

    expected = theirs(
        embed(source), embed(target), tgt_mask=nn.Transformer.generate_square_subsequent_mask(7),
        src_key_padding_mask=padding, memory_key_padding_mask=padding,
    )  # fmt: skip
    torch.testing.assert_close(model(source, lengths, target), expected, atol=1e-5, rtol=1e-5)


def test_rms_norm_equals_the_formula() -> None:
    norm = build_norm(architecture(norm="rms_norm"))
    nn.init.normal_(norm.weight)
    x = torch.randn(3, 5, 32)
    root = np.sqrt((x.numpy().astype(np.float64) ** 2).mean(axis=-1, keepdims=True))
    expected = x.numpy() / root * norm.weight.detach().numpy()
    np.testing.assert_allclose(norm(x).detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_swiglu_equals_the_formula() -> None:
    torch.manual_seed(1)
    layer = GatedFeedForward(8, 12, dropout=0.0)
    w, v = (matrix.detach().double().numpy().T for matrix in layer.gate_value.weight.chunk(2))
    w2 = layer.output.weight.detach().double().numpy().T
    x = torch.randn(2, 3, 8)
    gate = x.double().numpy() @ w
    expected = (gate / (1 + np.exp(-gate)) * (x.double().numpy() @ v)) @ w2
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 3 * 8 * 12


def test_sharing_a_matrix_between_two_vocabularies_is_rejected() -> None:
    assert Transformer(architecture("target"), 40, 50).source_embedding.num_embeddings == 40
    with pytest.raises(ModelError, match="40 and 50 entries"):
        Transformer(architecture("all"), 40, 50)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_attention_returns_the_weights_that_the_network_uses(layers: int) -> None:
    model = build(decoder_layers=layers)
    source, lengths, target = random_ids(3, 9), torch.tensor([9, 4, 1]), random_ids(3, 5)
    cross = model.decoder[max(0, layers - 2)].cross_attention
    seen: dict[str, np.ndarray[Any, Any]] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            seen[name] = output.detach().double().numpy()

        return hook

    for name in ("query", "key_value", "output"):
        getattr(cross, name).register_forward_hook(note(name))
    model(source, lengths, target)
    shown = model.attention(source, lengths, target)

    heads, context = np.zeros((4, 3, 5, 9)), np.zeros((3, 5, 32))
    for head in range(4):
        part = slice(8 * head, 8 * head + 8)
        key, value = np.split(seen["key_value"], 2, axis=-1)
        for row, length in enumerate(lengths.tolist()):
            scores = np.exp(seen["query"][row, :, part] @ key[row, :length, part].T / math.sqrt(8))
            heads[head, row, :, :length] = scores / scores.sum(axis=-1, keepdims=True)
            context[row, :, part] = heads[head, row, :, :length] @ value[row, :length, part]
    np.testing.assert_allclose(shown.numpy(), heads.mean(axis=0), atol=1e-5)
    given = context @ cross.output.weight.detach().double().numpy().T + cross.output.bias.detach().numpy()
    np.testing.assert_allclose(given, seen["output"], atol=1e-5)


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_memory_grows_linearly_with_the_length_of_a_pair(positions: str) -> None:
    model = build(width=8, feed_forward=16, heads=1, encoder_layers=1, decoder_layers=1, positions=positions)
    source, target = random_ids(2, 4000), random_ids(2, 4000)
    with torch.autograd.profiler.profile(use_kineto=False, profile_memory=True) as profiler:
        hidden = model(source, torch.tensor([4000, 3000]), target)
        hidden.square().mean().backward()
    assert hidden.shape == (2, 4000, 8)
    largest = max(event.self_cpu_memory_usage for event in profiler.function_events)  # bytes of one operation
    feed_forward = 2 * 4000 * 16 * 4
    assert feed_forward <= largest <= 4 * feed_forward  # a matrix of all pairs of positions would be 250 times as large
    assert model.target_embedding.weight.grad is not None
    assert model.target_embedding.weight.grad.isfinite().all()
