import json
from pathlib import Path

import pytest
import torch

from seqloom.errors import ModelError
from seqloom.models.catalogue import build_model, load_model, save_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import ModelSettings


@pytest.fixture
def settings() -> ModelSettings:
    return ModelSettings(
        name="transformer", preset="tiny", width=16, feed_forward=32, heads=2, encoder_layers=1, decoder_layers=1,
        dropout=0.1, tied_embeddings="all",
    )  # fmt: skip


@pytest.fixture
def model(settings: ModelSettings) -> Seq2Seq:
    torch.manual_seed(1)
    return build_model(settings, 20, 20).eval()


def test_a_stored_model_is_the_same_model(model: Seq2Seq, settings: ModelSettings, tmp_path: Path) -> None:
    save_model(model, settings, tmp_path)
    loaded = load_model(tmp_path)
    source, lengths, target = torch.randint(4, 20, (2, 5)), torch.tensor([5, 3]), torch.randint(4, 20, (2, 4))
    assert torch.equal(loaded(source, lengths, target), model(source, lengths, target))
    assert not loaded.training
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_equal_models_are_equal_bytes_and_every_size_is_named(
    model: Seq2Seq, settings: ModelSettings, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        save_model(model, settings, tmp_path / folder)
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    stored = json.loads((tmp_path / "a" / "model.json").read_text())["settings"]
    assert stored["width"] == 16
    assert stored["heads"] == 2


def test_shared_weights_are_stored_once_and_stay_shared(
    model: Seq2Seq, settings: ModelSettings, tmp_path: Path
) -> None:
    save_model(model, settings, tmp_path)
    loaded = load_model(tmp_path)
    names = [name for name, _ in loaded.named_parameters() if "embedding" in name or "projection" in name]
    assert names == ["target_embedding.weight"]


def test_what_is_no_model_is_named(model: Seq2Seq, settings: ModelSettings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.json"):
        load_model(tmp_path)
    save_model(model, settings, tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:100])
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read"):
        load_model(tmp_path)
    other = build_model(settings.model_copy(update={"width": 8}), 20, 20)
    save_model(other, settings, tmp_path)
    with pytest.raises(ModelError, match="of another network"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 99}')
    with pytest.raises(ModelError, match="format is 99"):
        load_model(tmp_path)
