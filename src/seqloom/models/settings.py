"""The settings that shape a network. Presets are filled in here, so that a stored model names every number."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seqloom.settings import Settings

_Positive = Annotated[int, Field(ge=1)]


class TransformerShape(Settings):
    """The sizes of a Transformer (Vaswani et al. 2017, section 3)."""

    width: _Positive  # d_model
    feed_forward: _Positive  # d_ff
    heads: _Positive
    encoder_layers: _Positive
    decoder_layers: _Positive


TRANSFORMER_PRESETS = {
    "tiny": TransformerShape(width=128, feed_forward=256, heads=4, encoder_layers=4, decoder_layers=4),
    "small": TransformerShape(width=512, feed_forward=1024, heads=4, encoder_layers=6, decoder_layers=6),
    "base": TransformerShape(width=512, feed_forward=2048, heads=8, encoder_layers=6, decoder_layers=6),
    "big": TransformerShape(width=1024, feed_forward=4096, heads=16, encoder_layers=6, decoder_layers=6),
}


class ModelSettings(Settings):
    """Which network, and how large. A size that is null comes from the preset."""

    name: Literal["transformer"]
    preset: Literal["tiny", "small", "base", "big"]
    width: _Positive | None
    feed_forward: _Positive | None
    heads: _Positive | None
    encoder_layers: _Positive | None
    decoder_layers: _Positive | None
    dropout: Annotated[float, Field(ge=0, lt=1)]
    tied_embeddings: Literal["all", "target", "none"]  # all: source, target and output; target: target and output

    @property
    def shape(self) -> TransformerShape:
        """The preset with the sizes that were given in its place."""
        given = {size: getattr(self, size) for size in TransformerShape.model_fields if getattr(self, size) is not None}
        return TRANSFORMER_PRESETS[self.preset].model_copy(update=given)

    @model_validator(mode="after")
    def _divides(self) -> Self:
        shape = self.shape
        if shape.width % shape.heads:
            raise ValueError(f"width ({shape.width}) is not divisible by heads ({shape.heads})")
        if shape.width % 2:
            raise ValueError(f"width ({shape.width}) must be even: sinusoidal positions come in pairs")
        return self
