from typing import Any

import pytest
import torch
from pydantic import ValidationError

from seqloom.models.settings import (
    ATTENTION_LSTM_PRESETS,
    LSTM_PRESETS,
    TRANSFORMER_PRESETS,
    ModelSettings,
    PretrainedArchitecture,
    TransformerArchitecture,
)
from seqloom.models.transformer import Transformer
from tests.records import model_settings

FROM_PRESET = {"width": None, "feed_forward": None, "heads": None, "encoder_layers": None, "decoder_layers": None}


def transformer(**section: Any) -> TransformerArchitecture:
    made = model_settings("transformer", **FROM_PRESET | section).architecture
    assert isinstance(made, TransformerArchitecture)
    return made


def test_null_sizes_come_from_the_preset_and_others_override_it() -> None:
    small = transformer(preset="small")
    assert {name: getattr(small, name) for name in FROM_PRESET} == TRANSFORMER_PRESETS["small"]
    changed = transformer(preset="small", width=256, decoder_layers=2)
    assert (changed.width, changed.decoder_layers, changed.encoder_layers) == (256, 2, 6)


@pytest.mark.parametrize(("name", "presets"), [("lstm", LSTM_PRESETS), ("attention_lstm", ATTENTION_LSTM_PRESETS)])
def test_every_family_has_every_preset(name: str, presets: dict[str, dict[str, int]]) -> None:
    assert set(presets) == set(TRANSFORMER_PRESETS)
    for preset, sizes in presets.items():
        made = model_settings(name, preset=preset, **dict.fromkeys(sizes)).architecture
        assert made.name == name
        assert {size: getattr(made, size) for size in sizes} == sizes


@pytest.mark.parametrize(
    ("preset", "sizes", "vocabulary", "published"),
    [
        ("tiny", (128, 256, 4, 4, 4), 10_000, 2.6e6),  # Wu et al. 2021, table 1
        ("small", (512, 1024, 4, 6, 6), 10_000, 36.7e6),  # the transformer_iwslt_de_en of fairseq
        ("base", (512, 2048, 8, 6, 6), 37_000, 65e6),  # Vaswani et al. 2017, table 3
        ("big", (1024, 4096, 16, 6, 6), 37_000, 213e6),
    ],
)
def test_presets_have_the_sizes_of_the_literature(
    preset: str, sizes: tuple[int, ...], vocabulary: int, published: float
) -> None:
    made = transformer(preset=preset)
    assert (made.width, made.feed_forward, made.heads, made.encoder_layers, made.decoder_layers) == sizes
    with torch.device("meta"):  # count weights without allocating them
        model = Transformer(made, vocabulary, vocabulary)
    d, f, _, encoders, decoders = sizes
    attention, norm, feed_forward = 4 * (d * d + d), 2 * d, 2 * d * f + f + d
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    expected = vocabulary * d + encoders * encoder + norm + decoders * decoder + norm
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
    assert expected == pytest.approx(published, rel=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 30, "heads": 4}, r"transformer\.heads\s.*width \(30\) is not divisible by heads \(4\)"),
        ({"width": 15, "heads": 5}, r"transformer\.width\s.*is 15, but must be even"),
        ({"width": 12, "heads": 4, "positions": "rotary"}, r"width / heads \(3\) must be even"),
        ({"width": 0}, "greater than or equal to 1"),
        ({"activation": "tanh"}, "'relu', 'gelu' or 'swiglu'"),
    ],
)
def test_impossible_transformers_are_rejected(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model_settings("transformer", **change)


@pytest.mark.parametrize("name", ["lstm", "attention_lstm"])
def test_a_bidirectional_encoder_needs_an_even_width(name: str) -> None:
    with pytest.raises(ValidationError, match=rf"{name}\.hidden\s.*is 7, but must be even"):
        model_settings(name, hidden=7, bidirectional=True)
    assert model_settings(name, hidden=7, bidirectional=False).architecture.name == name


def test_used_settings_omit_the_other_families() -> None:
    used = model_settings("lstm").used()
    assert used["lstm"]["cell"] == "lstm"
    assert used.keys() == {"name", "dropout", "tied_embeddings", "lstm", "embeddings"}


def test_a_pretrained_model_needs_a_source_and_excludes_word_vectors() -> None:
    with pytest.raises(ValidationError, match=r"pretrained\.source\s.*must be a folder"):
        model_settings("pretrained", source=None)
    settings = model_settings("pretrained", source="data/local/marian")
    assert settings.architecture == PretrainedArchitecture(name="pretrained", dropout=0.1)
    assert settings.preset is None
    vectors = settings.embeddings.model_dump() | {"source": "data/local/wiki.vec"}
    with pytest.raises(ValidationError, match="already has embeddings"):
        ModelSettings.model_validate(settings.model_dump() | {"embeddings": vectors})
