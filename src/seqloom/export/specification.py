"""Describe a Transformer of ours in CTranslate2's terms, with copies of its weights.

CTranslate2 runs the same network only if each of its conventions is met:

- Positions. Its own sinusoids have other frequencies than ours (Vaswani et al. 2017, section 3.5) and start at
  position 1, so ours are stored as a table, as learned positions are. A table has `POSITIONS` rows; a text that needs
  more of them cannot be translated with the export. Rotary positions need no table and have no limit.
- Rotary pairs are (0, 1), (2, 3), .. of each head: `rotary_interleave`.
- Embeddings are multiplied by the square root of their width; a tied output layer uses the unscaled matrix.
- Query, key and value of self-attention are one matrix, in this order, and so are key and value of cross-attention.
- Tokens are strings there. Piece texts may repeat or be empty, so ids are used, written in decimals.
- The encoder's input gets no BOS and no EOS; the decoder starts with BOS.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqloom.errors import ModelError
from seqloom.export.library import ctranslate2
from seqloom.models.attention import Attention
from seqloom.models.layers import EPSILON, DecoderLayer, EncoderLayer, FeedForward, GatedFeedForward, Residual
from seqloom.models.positions import (
    LearnedPositions,
    Positions,
    RotaryPositions,
    SinusoidalPositions,
    sinusoidal_positions,
)
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.transformer import Transformer
from seqloom.symbols import Symbols

POSITIONS = 1024
"""The rows of a table of positions: the longest source, and the longest target with EOS."""

_ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "swiglu": "SWISH"}

Array = npt.NDArray[np.float32]


def check_exportable(model: Seq2Seq) -> Transformer:
    """Return `model` if CTranslate2 can represent it.

    Raises:
        ModelError: it is not a Transformer of ours; the message names the setting.
    """
    if not isinstance(model, Transformer):
        raise ModelError(
            f"a network of type {type(model).__name__} cannot be exported to CTranslate2, and is kept on torch; "
            "only model.name: transformer can"
        )
    return model


def specify(model: Seq2Seq, symbols: Symbols) -> Any:
    """Return CTranslate2's specification of the network, complete, with weights in float32.

    Raises:
        ModelError: the network cannot be represented exactly, its weights are not all finite, or CTranslate2 is not
            installed.
    """
    network = check_exportable(model)
    if len(set(symbols)) < len(symbols):
        raise ModelError(f"the tokenizer gives PAD, UNK, BOS and EOS the ids {tuple(symbols)}; an export needs four")
    specs = ctranslate2().specs
    a = network.architecture
    shared: dict[str, Any] = {
        "pre_norm": a.norm_order == "pre",
        "activation": getattr(specs.common_spec.Activation, _ACTIVATIONS[a.activation]),
        "ffn_glu": a.activation == "swiglu",
        "rms_norm": a.norm == "rms_norm",
    }
    if a.positions == "rotary":
        shared |= {"rotary_dim": a.width // a.heads, "rotary_interleave": True}
    encoder = specs.transformer_spec.TransformerEncoderSpec(len(network.encoder), a.heads, **shared)
    decoder = specs.transformer_spec.TransformerDecoderSpec(len(network.decoder), a.heads, **shared)
    _fill_encoder(encoder, network)
    _fill_decoder(decoder, network)
    spec = specs.transformer_spec.TransformerSpec(encoder, decoder)
    spec.register_source_vocabulary(tokens(network.source_vocab_size))
    spec.register_target_vocabulary(tokens(network.target_vocab_size))
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = map(str, symbols[1:])
    spec.config.decoder_start_token = str(symbols.bos)
    spec.config.add_source_bos = spec.config.add_source_eos = False
    spec.config.layer_norm_epsilon = EPSILON
    return spec


def tokens(vocabulary: int) -> list[str]:
    """Return the names of the ids 0 to `vocabulary` - 1."""
    return [str(each) for each in range(vocabulary)]


def most_positions(model: Transformer) -> int | None:
    """Return the longest source, and the longest target with EOS, that an export can read; None if any."""
    return None if isinstance(model.source_positions, RotaryPositions) else POSITIONS


def _fill_encoder(spec: Any, model: Transformer) -> None:
    spec.embeddings[0].weight = _copy(model.source_embedding.weight)
    _fill_positions(spec, model.source_positions, model.width)
    for layer, own in zip(spec.layer, model.encoder, strict=True):
        assert isinstance(own, EncoderLayer)
        _fill_self_attention(layer.self_attention, own.attention, own.attention_residual)
        _fill_feed_forward(layer.ffn, own.feed_forward, own.feed_forward_residual)
    _fill_final_norm(spec, model.encoder_norm)


def _fill_decoder(spec: Any, model: Transformer) -> None:
    spec.embeddings.weight = _copy(model.target_embedding.weight)
    spec.projection.weight = _copy(model.projection.weight)  # if tied, the library stores equal arrays once
    _fill_positions(spec, model.target_positions, model.width)
    for layer, own in zip(spec.layer, model.decoder, strict=True):
        assert isinstance(own, DecoderLayer)
        _fill_self_attention(layer.self_attention, own.self_attention, own.self_residual)
        _fill_norm(layer.attention.layer_norm, own.cross_residual.norm)
        query, key_value, output = layer.attention.linear
        _fill_linear(query, own.cross_attention.query)
        _fill_linear(key_value, own.cross_attention.key_value)
        _fill_linear(output, own.cross_attention.output)
        _fill_feed_forward(layer.ffn, own.feed_forward, own.feed_forward_residual)
    _fill_final_norm(spec, model.decoder_norm)


def _fill_positions(spec: Any, positions: Positions, width: int) -> None:
    match positions:
        case SinusoidalPositions():
            spec.position_encodings.encodings = _copy(sinusoidal_positions(0, POSITIONS, width, torch.empty(0)))
        case LearnedPositions():
            rows = torch.arange(POSITIONS).clamp(max=positions.table.num_embeddings - 1)
            spec.position_encodings.encodings = _copy(positions.table.weight[rows.to(positions.table.weight.device)])
        case RotaryPositions():
            if hasattr(spec, "position_encodings"):  # the encoder's has a table that is never read
                del spec.position_encodings
        case _:
            raise ModelError(f"positions of type {type(positions).__name__} cannot be exported to CTranslate2")


def _fill_self_attention(spec: Any, attention: Attention, residual: Residual) -> None:
    _fill_norm(spec.layer_norm, residual.norm)
    query, key_value = attention.query, attention.key_value
    spec.linear[0].weight = np.concatenate((_copy(query.weight), _copy(key_value.weight)))
    spec.linear[0].bias = np.concatenate((_copy(query.bias), _copy(key_value.bias)))
    _fill_linear(spec.linear[1], attention.output)


def _fill_feed_forward(spec: Any, layer: nn.Module, residual: Residual) -> None:
    _fill_norm(spec.layer_norm, residual.norm)
    match layer:
        case GatedFeedForward():
            gate, value = layer.gate_value.weight.chunk(2)
            spec.linear_0.weight, spec.linear_0_noact.weight = _copy(gate), _copy(value)
            spec.linear_1.weight = _copy(layer.output.weight)
        case FeedForward():
            first, second = layer[0], layer[-1]
            assert isinstance(first, nn.Linear)
            assert isinstance(second, nn.Linear)
            _fill_linear(spec.linear_0, first)
            _fill_linear(spec.linear_1, second)
        case _:
            raise ModelError(f"a layer of type {type(layer).__name__} cannot be exported to CTranslate2")


def _fill_final_norm(spec: Any, norm: nn.Module) -> None:
    if not isinstance(norm, nn.Identity):
        _fill_norm(spec.layer_norm, norm)


def _fill_norm(spec: Any, norm: nn.Module) -> None:
    match norm:
        case nn.LayerNorm():
            spec.gamma, spec.beta = _copy(norm.weight), _copy(norm.bias)
        case nn.RMSNorm():
            spec.gamma = _copy(norm.weight)
        case _:
            raise ModelError(f"a norm of type {type(norm).__name__} cannot be exported to CTranslate2")


def _fill_linear(spec: Any, layer: nn.Linear) -> None:
    spec.weight = _copy(layer.weight)
    if layer.bias is not None:
        spec.bias = _copy(layer.bias)


def _copy(tensor: Tensor) -> Array:
    """Return a copy, because the library quantises in place.

    Raises:
        ModelError: a number is not finite.
    """
    array: Array = np.array(tensor.detach().float().cpu().numpy(), dtype=np.float32, order="C", copy=True)
    if not np.isfinite(array).all():
        raise ModelError("a weight of the network is not a finite number, so it cannot be exported to CTranslate2")
    return array
