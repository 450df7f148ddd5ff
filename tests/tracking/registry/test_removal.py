from pathlib import Path
from typing import Any

import pytest

from seqloom.errors import RegistryError
from seqloom.retention.policy import Policy
from seqloom.tracking.client.artifacts import remove_model_files
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.registry import removal
from seqloom.tracking.registry.champion import current_champion, set_champion
from seqloom.tracking.registry.registration import find_version
from seqloom.tracking.registry.removal import find_versions
from seqloom.tracking.registry.versions import Reference, fetch_model, list_versions
from tests.registered import NAME, WEIGHTS, add_version, files_of
from tests.workspaces import give_store

OLD = Policy(keep=1, days=0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A registry with a refused version, a champion, and a candidate."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    give_store(tmp_path)
    found = connect(tmp_path, create=False)
    for verdict in ("worse", "promoted: first", "worse"):
        add_version(found, verdict)
    set_champion(found, NAME, "2", "gate", "first")
    return found


def remove_all(store: Store) -> int:
    found = find_versions(store, OLD, "").removals
    for each in found:
        each.remove()
    return sum(each.bytes for each in found)


def test_the_files_of_a_refused_version_go_and_its_records_stay(store: Store, tmp_path: Path) -> None:
    before = list_versions(store)
    assert len(files_of(tmp_path)) == 3
    (found,) = find_versions(store, OLD, "").removals
    assert found.name == f"{NAME} version 1"
    assert found.why == "refused; registered today"
    assert found.bytes == WEIGHTS
    assert len(files_of(tmp_path)) == 3  # nothing is removed by looking
    found.remove()
    assert len(files_of(tmp_path)) == 2
    after = list_versions(store)
    assert [version._replace(removed=None) for version in after] == before
    assert [version.removed is not None for version in after] == [False, False, True]
    assert store.client.get_run(before[-1].run_id).info.status == "FINISHED"
    assert remove_all(store) == 0


def test_a_version_without_files_says_so_and_names_the_way_on(store: Store) -> None:
    remove_all(store)
    with pytest.raises(RegistryError, match=rf"removed by `seqloom gc` on 20.*`seqloom reproduce models:/{NAME}/1`"):
        fetch_model(store, Reference(NAME, number="1"))
    with pytest.raises(RegistryError, match=r"cannot be the champion.*seqloom reproduce"):
        set_champion(store, NAME, "1", "promote", "I want it")
    assert current_champion(store, NAME) == "2"
    version = find_version(store, NAME, "f")
    assert version is not None
    assert str(version.version) == "3"  # the newest one that has files


def test_copies_of_a_version_share_its_files_so_all_must_be_unneeded(store: Store, tmp_path: Path) -> None:
    store.client.copy_model_version(f"models:/{NAME}/1", NAME)  # version 4, the newest one
    assert find_versions(store, OLD, "").removals[0].name == f"{NAME} version 3"
    remove_all(store)
    assert len(files_of(tmp_path)) == 2
    assert fetch_model(store, Reference(NAME, number="1")).is_dir()


def test_a_kill_after_the_mark_is_completed_by_the_next_call(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(store: Store, model: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal, "remove_model_files", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_all(store)
    assert len(files_of(tmp_path)) == 3
    with pytest.raises(RegistryError, match="removed by `seqloom gc`"):
        fetch_model(store, Reference(NAME, number="1"))
    (found,) = find_versions(store, OLD, "").removals
    assert found.why == "an earlier gc was interrupted"
    found.remove()
    assert len(files_of(tmp_path)) == 2


def test_a_version_that_becomes_champion_meanwhile_keeps_its_files(store: Store, tmp_path: Path) -> None:
    found = find_versions(store, OLD, "").removals
    set_champion(store, NAME, "1", "promote", "on another machine")
    found[0].remove()
    assert len(files_of(tmp_path)) == 3
    assert fetch_model(store, Reference(NAME, alias="champion")).is_dir()


def test_a_promotion_while_the_files_are_removed_is_undone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_versions(store, OLD, "").removals
    move = store.client.set_registered_model_alias

    def late(name: str, alias: str, version: str) -> None:
        """Set the alias after gc has written its mark and read the aliases."""
        monkeypatch.undo()
        found[0].remove()
        move(name, alias, version)

    monkeypatch.setattr(store.client, "set_registered_model_alias", late)
    with pytest.raises(RegistryError, match="it cannot be the champion"):
        set_champion(store, NAME, "1", "promote", "too late")
    assert current_champion(store, NAME) == "2"


def test_nothing_but_the_folder_of_one_model_is_removed(store: Store, tmp_path: Path) -> None:
    class Wrong:
        model_id, artifact_location = "m-1", (tmp_path / "mlartifacts").as_uri()

    with pytest.raises(RegistryError, match="nothing was removed"):
        remove_model_files(store, Wrong())
    assert len(files_of(tmp_path)) == 3
