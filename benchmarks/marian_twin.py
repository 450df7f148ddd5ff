"""Copy the weights of our Transformer into an equivalent Marian network of Hugging Face.

This requires post-norm LayerNorm, sinusoidal positions and one table for all embeddings. Marian's positions come from a
table, which is filled with ours; only the order of the columns differs.
"""

from typing import Any

import torch

from seqloom.huggingface import library
from seqloom.models.positions import sinusoidal_positions
from seqloom.models.settings import TransformerArchitecture
from seqloom.models.transformer import Transformer
from seqloom.symbols import Symbols

_POSITIONS = 512
_SAME = {"norm_order": "post", "norm": "layer_norm", "positions": "sinusoidal", "tied_embeddings": "all"}
_ENCODER = {
    "attention": "self_attn",
    "attention_residual.norm": "self_attn_layer_norm",
    "feed_forward.0": "fc1",
    "feed_forward.3": "fc2",
    "feed_forward_residual.norm": "final_layer_norm",
}
_DECODER = {
    "self_attention": "self_attn",
    "self_residual.norm": "self_attn_layer_norm",
    "cross_attention": "encoder_attn",
    "cross_residual.norm": "encoder_attn_layer_norm",
    **{ours: theirs for ours, theirs in _ENCODER.items() if ours.startswith("feed_forward")},
}


def marian_twin(model: Transformer, architecture: TransformerArchitecture, symbols: Symbols) -> Any:
    """Return a `MarianMTModel` with the same logits as `model`, in evaluation mode.

    Raises:
        ValueError: Marian does not support an option of the architecture.
    """
    odd = [f"{name} is {getattr(architecture, name)}" for name in _SAME if getattr(architecture, name) != _SAME[name]]
    if odd or architecture.activation == "swiglu":
        raise ValueError(
            f"{', '.join(odd) or 'activation is swiglu'}: Marian cannot compute the same; valid is {_SAME}"
        )
    hf = library("transformers")
    config = hf.MarianConfig(
        vocab_size=model.target_vocab_size,
        d_model=architecture.width,
        encoder_layers=architecture.encoder_layers,
        decoder_layers=architecture.decoder_layers,
        encoder_attention_heads=architecture.heads,
        decoder_attention_heads=architecture.heads,
        encoder_ffn_dim=architecture.feed_forward,
        decoder_ffn_dim=architecture.feed_forward,
        activation_function=architecture.activation,
        scale_embedding=True,
        max_position_embeddings=_POSITIONS,
        pad_token_id=symbols.pad,
        eos_token_id=symbols.eos,
        decoder_start_token_id=symbols.bos,
    )
    network = hf.MarianMTModel(config)
    weights = network.state_dict()
    with torch.no_grad():
        network.get_input_embeddings().weight.copy_(model.target_embedding.weight)
        for side, layers, names in (("encoder", model.encoder, _ENCODER), ("decoder", model.decoder, _DECODER)):
            table = weights[f"model.{side}.embed_positions.weight"]
            table.copy_(sinusoidal_positions(0, _POSITIONS, architecture.width, table))
            for index, layer in enumerate(layers):
                own = layer.state_dict()
                for ours, theirs in names.items():
                    _copy(own, ours, weights, f"model.{side}.layers.{index}.{theirs}")
    return network.eval()


def _copy(own: dict[str, torch.Tensor], ours: str, weights: dict[str, torch.Tensor], theirs: str) -> None:
    for kind in ("weight", "bias"):
        if not theirs.endswith("_attn"):
            weights[f"{theirs}.{kind}"].copy_(own[f"{ours}.{kind}"])
            continue
        key, value = own[f"{ours}.key_value.{kind}"].chunk(2)
        parts = {"q": own[f"{ours}.query.{kind}"], "k": key, "v": value, "out": own[f"{ours}.output.{kind}"]}
        for name, part in parts.items():
            weights[f"{theirs}.{name}_proj.{kind}"].copy_(part)
