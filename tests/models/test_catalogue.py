import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom.errors import ModelError
from seqloom.models.catalogue import build_model, load_model, save_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import Architecture
from tests.memory import peak_memory
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


def test_loading_does_not_import_the_compiler_of_torch(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(model, architecture, tmp_path)
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # an import of it fails
    load_model(tmp_path)


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
def test_a_loaded_model_equals_the_saved_one(name: str, section: dict[str, Any], ties: str, tmp_path: Path) -> None:
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


def test_equal_models_give_equal_files_and_every_size_is_recorded(
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


def test_an_invalid_model_folder_is_rejected_naming_the_file(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"model\.json: does not exist"):
        load_model(tmp_path)
    save_model(model, architecture, tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:100])
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read"):
        load_model(tmp_path)
    other = build_model(model_settings("transformer", **TRANSFORMER | {"width": 8}).architecture, 20, 20)
    save_model(other, architecture, tmp_path)
    with pytest.raises(ModelError, match="belong to another network"):
        load_model(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description["architecture"]["norm"] = "batch_norm"
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match="does not describe a model"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text('{"format": 99}')
    with pytest.raises(ModelError, match="format is 99"):
        load_model(tmp_path)


class Stranger:
    """Creates the file `ran` when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder / "ran"),)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl", "optimizer.pth"])
def test_a_pickle_in_the_folder_is_never_read(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path, name: str
) -> None:
    save_model(model, architecture, tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Stranger(tmp_path)))
    load_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=f"does not exist; {name} is not read, because a pickle can run"):
        load_model(tmp_path)
    (tmp_path / name).rename(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read as safetensors"):
        load_model(tmp_path)
    assert not (tmp_path / "ran").exists()


def header(content: bytes, size: int | None = None) -> bytes:
    return (len(content) if size is None else size).to_bytes(8, "little") + content


def tensor(**fields: Any) -> bytes:
    return json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **fields}}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        header(b"", 2**63),
        header(b"{}", 10**12),
        header(b"{}", 90_000_000),
        header(b"{" * 50_000),
        header(b"[" * 50_000),
        header(b'{"w": 3}'),
        header(b"\xff\xfe"),
        header(tensor(shape=[10**12])) + b"1234",
        header(tensor(shape=[2**63, 2**63])) + b"1234",
        header(tensor(shape=[-1])) + b"1234",
        header(tensor(data_offsets=[4, 0])) + b"1234",
        header(tensor(data_offsets=[0, 2**62])) + b"1234",
        header(tensor(dtype="OBJECT")) + b"1234",
        header(tensor()) + b"12",
        header(tensor(dtype="F8_E8M0", shape=[4])) + b"1234",
        header(json.dumps({"__metadata__": {"a": 1}}).encode()),
    ],
)
def test_a_corrupt_weights_header_gives_a_one_line_error(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path, content: bytes
) -> None:
    save_model(model, architecture, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)

    def load() -> None:
        with pytest.raises(ModelError, match=r"model\.safetensors: (cannot be read as|its weights belong)") as raised:
            load_model(tmp_path)
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 500

    assert peak_memory(load, tries=1) < 20_000_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": 1},
            "format is 1, but this version of seqloom reads format 2; use the version that wrote",
        ),
        ({"format": "9" * 5000}, "format is '999"),
        ({"format": None}, "format is None"),
        ({"source_vocab_size": None}, "a vocabulary has None ids; valid are 1 to 10,000,000"),
        ({"source_vocab_size": 10**12}, "a vocabulary has 1000000000000 ids"),
        ({"target_vocab_size": -1}, "a vocabulary has -1 ids"),
        ({"target_vocab_size": [3]}, "a vocabulary has"),
        ({"source_vocab_size": 9_000_000, "target_vocab_size": 9_000_000}, "belong to another network"),
        ({"architecture": "transformer"}, "does not describe a model"),
        ({"architecture": {"name": "pickled"}}, "does not describe a model"),
    ],
)
def test_an_invalid_model_description_gives_a_one_line_error(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    save_model(model, architecture, tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(description | changes))
    with pytest.raises(ModelError, match=message) as raised:
        load_model(tmp_path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("size", [{"width": 65_536, "heads": 1}, {"feed_forward": 65_536}, {"encoder_layers": 500}])
def test_wrong_sizes_in_the_description_allocate_no_memory(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path, size: dict[str, int]
) -> None:
    save_model(model, architecture, tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description["architecture"] |= size
    (tmp_path / "model.json").write_text(json.dumps(description))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match="belong to another network"):
        load_model(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB; the weights would take gigabytes


SHAPES = """
import resource, torch
from seqloom.models.catalogue import build_model
from tests.records import model_settings

model = build_model(model_settings("attention_lstm").architecture, 100, 100).eval()
peaks = []
with torch.inference_mode():
    for length in range(1, 201):
        model.start(torch.ones(2, length, dtype=torch.long), torch.full((2,), length))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[-1] - peaks[10])
"""


def test_memory_does_not_grow_with_each_shape_that_a_recurrent_network_reads() -> None:
    found = subprocess.run([sys.executable, "-c", SHAPES], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 30_000  # kB; 5,000 were measured, and 82,000 with oneDNN's default


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "3", "null", '{"format": 2}', "\ud800"])
def test_arbitrary_text_as_description_gives_a_one_line_error(
    model: Seq2Seq, architecture: Architecture, tmp_path: Path, text: str
) -> None:
    save_model(model, architecture, tmp_path)
    (tmp_path / "model.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(
        ModelError, match=r"model\.json: (cannot be read|must hold a JSON object|format is|does not describe)"
    ) as raised:
        load_model(tmp_path)
    assert "\n" not in str(raised.value)
