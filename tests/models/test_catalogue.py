import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.errors import ModelError
from seqloom.models.catalogue import build_model, load_model, save_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import Architecture
from tests.records import model_settings

TRANSFORMER = {"width": 16, "feed_forward": 32, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
LSTM = {"embedding": 8, "hidden": 12, "layers": 1}
ATTENTION_LSTM = {"embedding": 8, "hidden": 12, "encoder_layers": 1, "decoder_layers": 1}
OTHER_CHOICES = {"norm_order": "post", "norm": "rms_norm", "positions": "learned", "activation": "swiglu"}


@pytest.fixture
def architecture() -> Architecture:
    return model_settings("transformer", **TRANSFORMER).architecture


@pytest.fixture
def model(architecture: Architecture) -> Seq2Seq:
    torch.manual_seed(1)
    return build_model(architecture, 20, 20).eval()


@pytest.mark.parametrize("ties", ["all", "target", "none"])
@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("lstm", LSTM),
        ("lstm", LSTM | {"cell": "gru", "bidirectional": False, "reverse_source": True}),
        ("attention_lstm", ATTENTION_LSTM),
        ("attention_lstm", ATTENTION_LSTM | {"attention": "additive", "input_feeding": True}),
        ("transformer", TRANSFORMER),
        ("transformer", TRANSFORMER | OTHER_CHOICES),
        ("transformer", TRANSFORMER | {"positions": "rotary"}),
    ],
)
def test_a_stored_model_is_the_same_model(name: str, section: dict[str, Any], ties: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    settings = model_settings(name, ties=ties, **section)
    target_size = 20 if ties == "all" else 24
    model = build_model(settings.architecture, 20, target_size).eval()
    save_model(model, settings.architecture, tmp_path)
    loaded = load_model(tmp_path)
    source, lengths, target = torch.randint(4, 20, (2, 5)), torch.tensor([5, 3]), torch.randint(4, target_size, (2, 4))
    assert torch.equal(loaded(source, lengths, target), model(source, lengths, target))
    assert (loaded.source_vocab_size, loaded.target_vocab_size) == (20, target_size)
    assert type(loaded) is type(model)
    assert not loaded.training
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_equal_models_are_equal_bytes_and_every_size_is_named(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        save_model(model, architecture, tmp_path / folder)
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    stored = json.loads((tmp_path / "a" / "model.json").read_text())["architecture"]
    assert stored == architecture.model_dump()
    assert None not in stored.values()


def test_shared_weights_are_stored_once_and_stay_shared(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path
) -> None:
    save_model(model, architecture, tmp_path)
    loaded = load_model(tmp_path)
    names = [name for name, _ in loaded.named_parameters() if "embedding" in name or "projection" in name]
    assert names == ["target_embedding.weight"]
    assert loaded.source_embedding is loaded.target_embedding
    assert loaded.output_weight is loaded.target_embedding.weight


def test_what_is_no_model_is_named(model: Seq2Seq, architecture: Architecture, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.json"):
        load_model(tmp_path)
    save_model(model, architecture, tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:100])
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read"):
        load_model(tmp_path)
    other = build_model(model_settings("transformer", **TRANSFORMER | {"width": 8}).architecture, 20, 20)
    save_model(other, architecture, tmp_path)
    with pytest.raises(ModelError, match="of another network"):
        load_model(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description["architecture"]["norm"] = "batch_norm"
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match="does not describe a model"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 99}')
    with pytest.raises(ModelError, match="format is 99"):
        load_model(tmp_path)
