from typing import Any

import pytest
from pydantic import ValidationError

from seqloom.models.settings import TRANSFORMER_PRESETS, ModelSettings

FROM_PRESET: dict[str, Any] = {
    "name": "transformer", "preset": "small", "width": None, "feed_forward": None, "heads": None,
    "encoder_layers": None, "decoder_layers": None, "dropout": 0.1, "tied_embeddings": "all",
}  # fmt: skip


def test_null_sizes_come_from_the_preset_and_given_ones_replace_it() -> None:
    assert ModelSettings(**FROM_PRESET).shape == TRANSFORMER_PRESETS["small"]
    changed = ModelSettings(**FROM_PRESET | {"width": 256, "decoder_layers": 2}).shape
    assert (changed.width, changed.decoder_layers, changed.encoder_layers) == (256, 2, 6)


@pytest.mark.parametrize(
    ("change", "said"), [({"heads": 3}, "not divisible by heads"), ({"width": 15, "heads": 5}, "even")]
)
def test_impossible_shapes_are_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ModelSettings(**FROM_PRESET | change)
