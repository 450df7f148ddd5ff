import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.errors import RegistryError
from seqloom.gate.shadow import Comparison, store_comparison
from seqloom.places import SHADOW
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.registry import champion
from seqloom.tracking.registry.champion import current_champion, history, set_champion

MODEL = "seqloom-en-de"


@pytest.fixture
def store(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A registry with three versions of a model; the first one is champion."""
    for name in ("params.yaml", "mlflow.db"):
        shutil.copy(workspace / name, tmp_path / name)
    shutil.copytree(workspace / "mlartifacts", tmp_path / "mlartifacts")
    monkeypatch.chdir(tmp_path)
    found = connect(tmp_path, create=False)
    for _ in range(2):
        found.client.copy_model_version(f"models:/{MODEL}/1", MODEL)
    return found


def test_promotions_and_rollbacks_are_in_the_history(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["promote", "2", "--because", "units are right"])
    assert capsys.readouterr().out == f"{MODEL}: version 2 is the champion (before: version 1)\n"
    cli.main(["promote", f"models:/{MODEL}/3", "--because", "new terms"])
    assert current_champion(store, MODEL) == "3"
    cli.main(["rollback", "--because", "worse"])
    assert capsys.readouterr().out.endswith("version 2 is the champion again (before: version 3)\n")
    cli.main(["rollback", "--because", "worse, too"])
    assert current_champion(store, MODEL) == "1"
    cli.main(["rollback", "3", "--because", "no, it was not"])
    assert current_champion(store, MODEL) == "3"

    capsys.readouterr()
    cli.main(["history", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert [(move["before"], move["version"], move["how"]) for move in printed] == [
        (None, "1", "gate"), ("1", "2", "promote"), ("2", "3", "promote"),
        ("3", "2", "rollback"), ("2", "1", "rollback"), ("1", "3", "rollback"),
    ]  # fmt: skip
    assert all(move["made"] for move in printed)
    cli.main(["history"])
    assert "1 -> 2" in capsys.readouterr().out


def test_the_report_of_a_shadow_is_shown(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    times = "2026-11-29T10:00:00+00:00", "2026-11-29T11:00:00+00:00"
    store_comparison(SHADOW, Comparison("a", f"{MODEL}/1", f"{MODEL}/2", *times, 20, 0, 40, 10, 3600.0, 2.0, 1.0))
    cli.main(["promote", "2", "--because", "better on real texts"])
    assert capsys.readouterr().out.startswith(
        f"{MODEL}: version 2 as a shadow of {MODEL}/1 on 20 requests: 25.0% of 40 texts differ, chrF 90.0 between "
        "both, 0.50 times the time, "
    )


def test_promoting_the_champion_changes_nothing(store: Store) -> None:
    cli.main(["promote", "2", "--because", "x"])
    before = history(store, MODEL)
    cli.main(["promote", "2", "--because", "x"])
    assert history(store, MODEL) == before


def test_an_unknown_version_is_an_error(store: Store, fails: Callable[..., str]) -> None:
    assert "names no version; valid are" in fails("promote", "9", "--because", "x")
    assert "no model 'other'" in fails("promote", "1", "--model", "other", "--because", "x")
    assert "had no champion before version 1" in fails("rollback", "--because", "x")
    assert current_champion(store, MODEL) == "1"


@pytest.mark.parametrize("at", ["alias", "second write"])
def test_an_interrupted_move_is_shown_and_can_be_finished(
    store: Store, monkeypatch: pytest.MonkeyPatch, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write, calls = champion._write, 0

    def cut(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        write(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        if at == "alias":
            patch.setattr("mlflow.MlflowClient.set_registered_model_alias", lambda *_: _interrupt())
        else:
            patch.setattr(champion, "_write", cut)
        with pytest.raises(KeyboardInterrupt):
            set_champion(store, MODEL, "2", "promote", "x")
    assert current_champion(store, MODEL) == ("1" if at == "alias" else "2")  # never in between
    assert not history(store, MODEL)[-1].made
    cli.main(["history"])
    assert "(interrupted; run the same command again" in capsys.readouterr().out
    set_champion(store, MODEL, "2", "promote", "x")
    assert current_champion(store, MODEL) == "2"
    assert [move.version for move in history(store, MODEL)] == ["1", "2"]
    assert history(store, MODEL)[-1].made


def test_a_version_without_files_cannot_be_champion(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(champion, "has_files", lambda *_: False)
    with pytest.raises(RegistryError, match="the files of seqloom-en-de version 2 are gone"):
        set_champion(store, MODEL, "2", "promote", "x")
    assert current_champion(store, MODEL) == "1"


def _interrupt() -> None:
    raise KeyboardInterrupt
