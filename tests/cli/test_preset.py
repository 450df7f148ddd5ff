import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.params import load_params, parse_params
from tests.workspaces import REPOSITORY


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with params.yaml and the presets."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    shutil.copytree(REPOSITORY / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_presets_are_listed_with_their_descriptions(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["preset"])
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {path.stem for path in (clone / "presets").iterdir()}
    assert all(len(line.split()) > 5 for line in lines)


def test_later_presets_take_precedence(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["preset", "multilingual", "small_data"])
    assert "now has multilingual, small_data" in capsys.readouterr().out
    params = load_params(clone / "params.yaml")
    assert (params.languages.targets, params.train.r_drop) == (["de", "fr", "es"], 5)
    assert sorted(path.name for path in clone.iterdir()) == ["params.yaml", "presets"]


def test_all_prints_every_setting_and_writes_nothing(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (clone / "params.yaml").read_bytes()
    cli.main(["preset", "--all", "small_data"])
    params = parse_params(capsys.readouterr().out)
    assert (params.train.r_drop, params.train.weight_decay) == (5, 0.01)
    assert (clone / "params.yaml").read_bytes() == before


def test_an_unknown_preset_changes_nothing(clone: Path, fails: Callable[..., str]) -> None:
    before = (clone / "params.yaml").read_bytes()
    assert "there is no preset 'none'" in fails("preset", "multilingual", "none")
    assert (clone / "params.yaml").read_bytes() == before


def test_without_a_presets_folder_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "there is no folder presets" in fails("preset")
    assert "params.yaml: No such file" in fails("preset", "multilingual")


def test_a_file_is_merged_like_a_preset(
    clone: Path, fails: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "best.yaml").write_text("# The best of 3 trials\ntrain:\n  lr: 0.0012\n", encoding="utf-8")
    cli.main(["preset", "best.yaml"])
    assert "now has best.yaml" in capsys.readouterr().out
    assert load_params(clone / "params.yaml").train.lr == 0.0012
    assert "none.yaml: No such file" in fails("preset", "none.yaml")
    (clone / "worse.yaml").write_text("train: {rl: 1}", encoding="utf-8")
    assert "worse.yaml: train.rl is not a setting" in fails("preset", "worse.yaml")
