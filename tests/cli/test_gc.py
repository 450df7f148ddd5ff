import json
import os
import shutil
import time
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.retention.policy import DAY
from seqloom.stages.training.identity import fingerprint, identify
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.registry.champion import set_champion
from seqloom.training.device import place
from tests.registered import NAME, add_version, files_of
from tests.workspaces import give_store, write_results


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    give_store(tmp_path)
    return tmp_path


@pytest.fixture
def store(clone: Path) -> Store:
    """A registry with a refused version, a champion, and a candidate."""
    found = connect(clone, create=False)
    for verdict in ("worse", "promoted: first", "worse"):
        add_version(found, verdict)
    set_champion(found, NAME, "2", "gate", "first")
    return found


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    cli.main(["gc", "--keep", "1", "--days", "0", *words])
    return capsys.readouterr().out


def test_it_shows_and_removes_only_with_yes(clone: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    download = clone / "scratch" / "downloads" / "0123456789abcdef" / "data.gz"
    download.parent.mkdir(parents=True)
    download.write_bytes(b"x" * 2500)
    shown = run(capsys)
    assert shown == (
        "place      what                      bytes  why it is not needed\n"
        "downloads  0123456789abcdef         2.5 kB  no pin in params.yaml names it; last written today\n"
        f"versions   {NAME} version 1  1.0 kB  refused; registered today\n"
        "\n3.5 kB can be freed; `seqloom gc --yes` with the same options removes it\n"
    )
    assert download.exists()
    assert len(files_of(clone)) == 3
    assert "@champion" in run(capsys, "--only", "versions", "--kept")
    assert run(capsys, "--yes").endswith("removed: 3.5 kB\n")
    assert not download.exists()
    assert len(files_of(clone)) == 2
    assert run(capsys, "--yes") == "nothing to remove\n\nremoved: 0 B\n"


def test_a_running_flow_stops_it_except_for_versions(
    clone: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.supervision.clone_lock import hold_clone

    with hold_clone(clone):
        with pytest.raises(SystemExit) as ended:
            run(capsys, "--yes")
        assert ended.value.code == os.EX_TEMPFAIL
        assert f"a run (process {os.getpid()}) is working in this folder" in capsys.readouterr().err
        assert "versions" in run(capsys)  # looking is always possible
        assert run(capsys, "--yes", "--only", "versions").endswith("removed: 1.0 kB\n")


def test_the_training_that_the_present_inputs_would_resume_is_kept(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = write_results(clone)
    for name in ("tokens", "tokenizer", "valid.tsv"):
        source = clone / "data" / "corpus" / "test.tsv"
        target = {"tokens": "data/tokens/a", "tokenizer": "models/tokenizer/a", "valid.tsv": "data/corpus/valid.tsv"}
        (clone / target[name]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, clone / target[name])
    (clone / "models" / "pretrained").mkdir(parents=True)
    (clone / "models" / "pretrained" / "manifest.json").write_text("{}", encoding="utf-8")
    mine = fingerprint(identify(params, place(params.train)))
    for name in (mine, "0" * 64):
        folder = clone / "scratch" / name
        (folder / "step-00000300").mkdir(parents=True)
        (folder / "step-00000300" / "model.safetensors").write_bytes(b"w" * 700)
        identity = identify(params, place(params.train)) if name == mine else {}
        (folder / "identity.json").write_text(json.dumps(identity), encoding="utf-8")
        for path in (*folder.rglob("*"), folder):
            os.utime(path, (time.time() - 99 * DAY,) * 2)
    shown = run(capsys, "--only", "trainings", "--kept")
    assert "scratch/000000000000 (checkpoints)  700 B  unfinished, of other inputs than the present ones" in shown
    assert f"scratch/{mine[:12]}  it is unfinished, and the present inputs resume it" in shown


@pytest.mark.parametrize("words", [["--keep", "0"], ["--days", "-1"], ["--dvc", "yesterday"], ["--only", "mlflow"]])
def test_wrong_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["gc", *words])
    assert ended.value.code == 2
    assert words[1] in capsys.readouterr().err
