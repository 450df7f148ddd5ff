"""Reading and writing Hugging Face model folders, and the errors for invalid ones."""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from seqloom.errors import ModelError
from seqloom.models.catalogue import build_model, load_model, save_model, weights
from seqloom.models.pretrained import Pretrained
from seqloom.models.settings import PretrainedArchitecture
from tests.models.networks import VOCABULARY, random_ids
from tests.tiny_pretrained import make_network

ARCHITECTURE = PretrainedArchitecture(name="pretrained", dropout=0.1)
LENGTHS = torch.tensor([8, 3, 6])


def build(folder: Path, source: int = VOCABULARY, target: int = VOCABULARY) -> Pretrained:
    model = build_model(ARCHITECTURE, source, target, folder)
    assert isinstance(model, Pretrained)
    return model.eval()


def test_a_loaded_model_equals_the_saved_one_byte_for_byte(pretrained: Pretrained, tmp_path: Path) -> None:
    for parameter in pretrained.parameters():
        parameter.data += 0.01  # differ from the base model
    save_model(pretrained, ARCHITECTURE, tmp_path / "a")
    loaded = load_model(tmp_path / "a")
    source, target = random_ids(3, 8), random_ids(3, 5)
    assert isinstance(loaded, Pretrained)
    assert not loaded.training
    assert torch.equal(loaded(source, LENGTHS, target), pretrained(source, LENGTHS, target))
    assert list(weights(loaded)) == list(weights(pretrained))
    grads = [{name: p.requires_grad for name, p in each.named_parameters()} for each in (loaded, pretrained)]
    assert grads[0] == grads[1]
    save_model(loaded, ARCHITECTURE, tmp_path / "b")
    names = ["config.json", "generation_config.json", "model.json", "model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_stored_buffers_are_saved_but_not_trained(folders: dict[str, Path]) -> None:
    kept = {name for name, parameter in build(folders["marian"]).named_parameters() if not parameter.requires_grad}
    positions = {f"network.model.{side}.embed_positions.weight" for side in ("encoder", "decoder")}
    assert kept == {"network.final_logits_bias", *positions}
    assert [name for name, p in build(folders["t5"]).named_parameters() if not p.requires_grad] == []


def test_matrices_stored_separately_stay_separate(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["t5"], tmp_path / "base")  # T5 1.1: a separate output layer without scaling
    stored = load_file(tmp_path / "base" / "model.safetensors")
    stored["lm_head.weight"] = torch.randn(VOCABULARY, 16)
    save_file(stored, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    config = tmp_path / "base" / "config.json"
    text = config.read_text().replace('"tie_word_embeddings": true', '"tie_word_embeddings": false')
    config.write_text(text.replace('"scale_decoder_outputs": true,', ""))
    model = build(tmp_path / "base")
    assert torch.equal(model.output_weight, stored["lm_head.weight"])
    assert model.output_weight is not model.target_embedding.weight
    save_model(model, ARCHITECTURE, tmp_path / "out")
    loaded = load_model(tmp_path / "out")
    source, target = random_ids(3, 8), random_ids(3, 5)
    assert torch.equal(loaded(source, LENGTHS, target), model(source, LENGTHS, target))
    assert torch.equal(loaded.output_weight, model.output_weight)


def test_two_vocabularies_have_separate_embeddings(tmp_path: Path) -> None:
    make_network("marian", tmp_path, VOCABULARY, decoder_vocab_size=50, share_encoder_decoder_embeddings=False)
    model = build(tmp_path, VOCABULARY, 50)
    assert model.source_embedding is not model.target_embedding
    assert (len(model.source_embedding.weight), len(model.output_weight)) == (VOCABULARY, 50)
    with pytest.raises(ModelError, match=r"40 source and 50 target ids, but its tokenizer 40 and 40"):
        build(tmp_path)


def test_an_unsupported_architecture_is_rejected_by_name(tmp_path: Path) -> None:
    from transformers import GPT2Config, ProphetNetConfig, ProphetNetForConditionalGeneration

    layers = {f"num_{side}_layers": 1 for side in ("encoder", "decoder")}
    heads = {f"num_{side}_attention_heads": 2 for side in ("encoder", "decoder")}
    config = ProphetNetConfig(vocab_size=VOCABULARY, hidden_size=16, encoder_ffn_dim=8, decoder_ffn_dim=8)
    config.update({**layers, **heads})
    ProphetNetForConditionalGeneration(config).save_pretrained(tmp_path / "prophet")
    with pytest.raises(ModelError, match="architecture ProphetNetForConditionalGeneration cannot be fine-tuned here"):
        build(tmp_path / "prophet")
    GPT2Config().save_pretrained(tmp_path / "gpt")
    with pytest.raises(ModelError, match="'gpt2' is not an encoder-decoder"):
        build(tmp_path / "gpt")


def test_an_invalid_folder_is_rejected_by_name(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it has no config\.json"):
        build(tmp_path)
    with pytest.raises(ModelError, match="is read from a folder"):
        build_model(ARCHITECTURE, VOCABULARY, VOCABULARY)
    shutil.copytree(folders["marian"], tmp_path, dirs_exist_ok=True)
    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    save_file({n: t for n, t in stored.items() if "layers.1.fc1" not in n}, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"weights of the network are missing: .*layers\.1\.fc1\.bias \(4 in"):
        build(tmp_path)
    file.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded as an AutoModelForSeq2SeqLM"):
        build(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}')
    (tmp_path / "own.py").write_text("raise SystemExit('code of a stranger was run')")
    with pytest.raises(ModelError, match=r"config\.json: cannot be read"):
        build(tmp_path)


def test_a_damaged_stored_model_is_rejected_by_name(folders: dict[str, Path], tmp_path: Path) -> None:
    save_model(build(folders["t5"]), ARCHITECTURE, tmp_path)
    file = tmp_path / "model.safetensors"
    stored = load_file(file)
    save_file({**stored, "network.nothing": torch.zeros(2)}, file)
    with pytest.raises(ModelError, match=r"belong to another network: network\.nothing differs"):
        load_model(tmp_path)
    file.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read as safetensors"):
        load_model(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match=r"cannot be read as safetensors|has no config\.json"):
        load_model(tmp_path)


def test_a_missing_extra_gives_the_install_command(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"transformers, which is not installed; pip install 'seqloom\[hf\]'"):
        build(folders["t5"])


@pytest.mark.parametrize("kind", ["AutoConfig", "AutoModelForSeq2SeqLM"])
def test_code_in_the_folder_of_a_known_network_is_never_run(
    folders: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    shutil.copytree(folders["marian"], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "auto_map": {kind: "own.Own"}}))
    (tmp_path / "own.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    with contextlib.suppress(ModelError):  # the architecture is supported, so it may be built without that code
        build(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_pickled_weights_are_not_read(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["marian"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded as an AutoModelForSeq2SeqLM"):
        build(tmp_path)


def test_a_configuration_with_more_weights_than_the_file_allocates_no_memory(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    save_model(build(folders["marian"]), ARCHITECTURE, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 10**9, "decoder_vocab_size": 10**9}))
    with pytest.raises(
        ModelError, match=r"does not describe a network: it describes [0-9,]+ weights, but the file of weights has"
    ):
        load_model(tmp_path)
