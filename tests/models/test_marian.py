"""Compare the Transformer with Hugging Face's Marian, using the same weights.

Marian's sinusoidal positions are all sines, then all cosines; ours alternate, as in the paper. The two agree up to a
permutation of the width, `PAIRS`, which is applied to every weight that reads or writes the width.
"""

from typing import Any

import pytest
import torch
from torch import nn

from seqloom.models.attention import Attention
from seqloom.models.settings import TransformerArchitecture
from seqloom.models.transformer import Transformer
from tests.records import model_settings

transformers = pytest.importorskip("transformers")

WIDTH, HEADS, INNER, VOCABULARY, PAD = 32, 4, 48, 60, 59
PAIRS = torch.stack((torch.arange(WIDTH // 2), torch.arange(WIDTH // 2, WIDTH)), dim=1).flatten()


def random_marian(activation: str) -> Any:
    config = transformers.MarianConfig(
        vocab_size=VOCABULARY, d_model=WIDTH, max_position_embeddings=32, scale_embedding=True,
        static_position_embeddings=True, activation_function=activation, init_std=0.2,
        encoder_layers=2, encoder_attention_heads=HEADS, encoder_ffn_dim=INNER,
        decoder_layers=2, decoder_attention_heads=HEADS, decoder_ffn_dim=INNER,
        pad_token_id=PAD, decoder_start_token_id=PAD, eos_token_id=0, forced_eos_token_id=0,
        attn_implementation="eager",  # the only one that returns attention weights
    )  # fmt: skip
    torch.manual_seed(11)
    marian = transformers.MarianMTModel(config).eval()
    for parameter in marian.parameters():
        if parameter.requires_grad and parameter.dim() == 1:  # zero biases and unit gains would hide errors
            parameter.data += 0.2 * torch.randn_like(parameter)
    return marian


def ours_from(marian: Any, activation: str) -> Transformer:
    settings = model_settings(
        dropout=0.0, ties="all", width=WIDTH, feed_forward=INNER, heads=HEADS, encoder_layers=2, decoder_layers=2,
        norm_order="post", norm="layer_norm", positions="sinusoidal", activation=activation,
    )  # fmt: skip
    assert isinstance(settings.architecture, TransformerArchitecture)
    model = Transformer(settings.architecture, VOCABULARY, VOCABULARY).eval()

    def reads_width(target: nn.Linear, *sources: nn.Linear) -> None:
        target.weight.data = torch.cat([source.weight[:, PAIRS] for source in sources]).detach().clone()
        target.bias.data = torch.cat([source.bias for source in sources]).detach().clone()

    def writes_width(target: Any, source: Any) -> None:  # a linear layer or a norm
        target.weight.data = source.weight[PAIRS].detach().clone()
        target.bias.data = source.bias[PAIRS].detach().clone()

    def attention(target: Attention, source: Any) -> None:
        reads_width(target.query, source.q_proj)
        reads_width(target.key_value, source.k_proj, source.v_proj)
        writes_width(target.output, source.out_proj)

    def shared(target: Any, source: Any) -> None:
        reads_width(target.feed_forward[0], source.fc1)
        writes_width(target.feed_forward[3], source.fc2)
        writes_width(target.feed_forward_residual.norm, source.final_layer_norm)

    model.target_embedding.weight.data = marian.model.shared.weight[:, PAIRS].detach().clone()
    for target, source in zip(model.encoder, marian.model.encoder.layers, strict=True):
        attention(target.attention, source.self_attn)
        writes_width(target.attention_residual.norm, source.self_attn_layer_norm)
        shared(target, source)
    for target, source in zip(model.decoder, marian.model.decoder.layers, strict=True):
        attention(target.self_attention, source.self_attn)
        writes_width(target.self_residual.norm, source.self_attn_layer_norm)
        attention(target.cross_attention, source.encoder_attn)
        writes_width(target.cross_residual.norm, source.encoder_attn_layer_norm)
        shared(target, source)
    return model


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@torch.no_grad()
def test_equals_marian_with_the_same_weights(activation: str) -> None:
    marian = random_marian(activation)
    model = ours_from(marian, activation)
    source, target = torch.randint(1, PAD, (3, 9)), torch.randint(1, PAD, (3, 7))
    lengths = torch.tensor([9, 5, 1])
    real = torch.arange(9) < lengths.unsqueeze(1)
    source[~real] = PAD
    expected = marian(input_ids=source, attention_mask=real.long(), decoder_input_ids=target, output_attentions=True)
    assert not marian.final_logits_bias.any()  # we have none

    logits = nn.functional.linear(model(source, lengths, target), model.output_weight)
    torch.testing.assert_close(logits, expected.logits, atol=1e-5, rtol=1e-5)

    state = model.start(source, lengths)
    for position in range(7):
        found, state = model.step(target[:, position], state)
        log_probabilities = expected.logits[:, position].log_softmax(dim=-1)
        torch.testing.assert_close(found, log_probabilities, atol=1e-5, rtol=1e-5)

    shown = expected.cross_attentions[0].mean(dim=1)  # the last layer but one
    torch.testing.assert_close(model.attention(source, lengths, target), shown, atol=1e-5, rtol=1e-5)
