import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.params import load_params
from tests.workspaces import REPOSITORY


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file params.yaml in an otherwise empty working folder."""
    shutil.copy(REPOSITORY / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


def test_changed_settings_are_written_and_printed(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["set", "train.lr=3e-4", "languages.target=[de, fr]", "search.beam=5", "--corpora", "home_assistant"])
    assert capsys.readouterr().out.splitlines() == [
        "train.lr: 0.012 -> 0.0003",
        'languages.target: de -> ["de", "fr"]',
        "search.beam: 5 (unchanged)",
    ]
    changed = load_params(params)
    assert (changed.train.lr, changed.languages.target) == (3e-4, ["de", "fr"])
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train.lr=1e-3", "search.beam=none"], "search.beam"),
        (["train.lr=1e-3", "train.lr=2e-3"], "train.lr is given twice"),
        (["train.lr"], "write a setting as KEY=VALUE"),
        (["train.lr=1e-3", "--corpora", "other"], "corpora has no other"),
    ],
)
def test_one_error_changes_nothing(params: Path, fails: Callable[..., str], arguments: list[str], message: str) -> None:
    before = params.read_bytes()
    assert message in fails("set", *arguments)
    assert params.read_bytes() == before


def test_all_errors_are_reported(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["set", "oops", "train.lrr=1", "train.lr=[", "search.beam=0", "train.max_steps=9", "--corpora", "x"])
    lines = capsys.readouterr().err.splitlines()
    messages = [
        "'oops': write a setting as KEY=VALUE", "the value of train.lr: not valid YAML", "corpora has no x",
        "train.lrr is not a setting", ": train.warmup_steps: is 100", ": train.validate_every: is 300, but",
        ": search.beam: ",
    ]  # fmt: skip
    assert len(lines) == len(messages)
    assert all(part in line for part, line in zip(messages, lines, strict=True))


def test_check_writes_nothing(params: Path, capsys: pytest.CaptureFixture[str], fails: Callable[..., str]) -> None:
    before = params.read_bytes()
    cli.main(["set", "--check", "train.lr=3e-4"])
    assert capsys.readouterr().out == "train.lr: 0.012 -> 0.0003\n"
    assert "search.beam" in fails("set", "--check", "search.beam=none")
    assert params.read_bytes() == before


def test_nothing_to_set_is_wrong_usage(params: Path) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["set"])
    assert left.value.code == 2
