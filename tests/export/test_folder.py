import json
import shutil
from pathlib import Path

import pytest

from seqloom.errors import ModelError
from seqloom.export.folder import find_export, open_export, read_export, write_export
from seqloom.export.settings import EXPORTS
from seqloom.symbols import SPECIAL_IDS
from tests.export.networks import network, save


def changed(folder: Path, **fields: object) -> Path:
    path = folder / "export.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return folder


def test_an_export_is_found_again_with_its_description(model_folder: Path) -> None:
    found = find_export(model_folder)
    assert found is not None
    assert (found.precision, found.positions, found.symbols) == ("int8", 1024, SPECIAL_IDS)
    other = find_export(model_folder, "float32")
    assert other is not None
    assert other.folder == model_folder / EXPORTS / "float32"


def test_a_folder_without_exports_has_none(tmp_path: Path) -> None:
    assert find_export(tmp_path) is None


def test_equal_networks_give_equal_bytes_and_tied_matrices_are_stored_once(tmp_path: Path) -> None:
    sizes = []
    for ties in ("all", "none"):
        save(network(200, ties=ties), tmp_path)
        for name in ("a", "b"):
            write_export(tmp_path, SPECIAL_IDS, "int8", tmp_path / name)
        files = [(tmp_path / name / "model.bin").read_bytes() for name in ("a", "b")]
        assert files[0] == files[1]
        sizes.append(len(files[0]))
    assert sizes[1] - sizes[0] > 2 * 200 * 16


def test_an_export_of_other_weights_is_refused(model_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model_folder, tmp_path / "copy"))
    save(network(read_export(copy / EXPORTS / "int8").target_vocab_size, seed=2), copy)
    with pytest.raises(ModelError, match=r"int8: was made from other weights than those in .*; export again"):
        find_export(copy)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"format": 2}, "has another format than 1"),
        ({"precision": "int4"}, "does not describe an export"),
        ({"eos": 3}, "does not describe an export"),
        ({"symbols": {"pad": 0}}, "does not describe an export"),
        ({"symbols": [1]}, "does not describe an export"),
        ({"target_vocab_size": "many"}, "does not describe an export"),
        ({"positions": "all"}, "must be a number or null"),
    ],
)
def test_a_wrong_description_is_refused(
    model_folder: Path, tmp_path: Path, fields: dict[str, object], fault: str
) -> None:
    copy = Path(shutil.copytree(model_folder / EXPORTS / "int8", tmp_path / "copy"))
    with pytest.raises(ModelError, match=fault):
        read_export(changed(copy, **fields))


def test_a_damaged_model_is_one_clear_error(model_folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model_folder / EXPORTS / "int8", tmp_path / "copy"))
    content = (copy / "model.bin").read_bytes()
    for damaged in (content[:1000], b""):
        (copy / "model.bin").write_bytes(damaged)
        with pytest.raises(ModelError, match="copy: CTranslate2 cannot read it"):
            open_export(read_export(copy), 1)
