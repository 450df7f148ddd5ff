from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seqloom.retention.policy import Policy
from seqloom.tracking.client.names import FINGERPRINT, SERVED
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.registry.champion import set_champion
from seqloom.tracking.registry.needed import needed_versions, note_served, read_registry, references, served_by
from seqloom.tracking.registry.registration import set_candidate
from tests.registered import NAME, add_version
from tests.workspaces import give_store

OLD = Policy(keep=1, days=0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


def needed(store: Store, policy: Policy = OLD, pins: str = "") -> dict[str, str]:
    found = needed_versions(store, read_registry(store), policy, pins)
    return {number: reason for (name, number), reason in found.items() if name == NAME}


def test_aliases_rollback_and_what_the_champion_was_compared_with_are_needed(store: Store) -> None:
    for _ in range(3):
        add_version(store, "promoted: better")
    add_version(store)
    five = add_version(store, "promoted: better", tags={"gate.champion": "4"})
    add_version(store)
    add_version(store)
    for number in ("1", "2", "3", five):
        set_champion(store, NAME, number, "gate", "better")
    set_candidate(store, store.client.get_model_version(NAME, "6"))
    store.client.set_registered_model_alias(NAME, "customer", "1")
    assert needed(store) == {
        "5": "@champion",
        "6": "@candidate",
        "1": "@customer",
        "3": "an earlier champion, for `seqloom rollback`",
        "4": "version 5 was compared with it",
        "7": "one of the newest 1 versions",
    }
    assert needed(store, Policy(keep=2, days=0))["2"] == "an earlier champion, for `seqloom rollback`"


def test_lineage_and_pins_are_needed(store: Store) -> None:
    for _ in range(5):
        add_version(store)
    add_version(store, **{"train.start": f"models:/{NAME}/1"})
    add_version(store, **{"corpora.x.path": f"data/local/distilled/{NAME}-2/en-de.tsv"})
    add_version(store)
    found = needed(store, pins=f"train: {{start: models:/{NAME}/3}}\n")
    assert found.keys() == {"1", "2", "3", "8"}
    assert found["1"] == f"{NAME} version 6 was made from it"


def test_young_versions_and_versions_without_a_verdict_are_needed(store: Store) -> None:
    add_version(store, None)
    add_version(store)
    add_version(store)
    assert needed(store).keys() == {"1", "3"}
    assert needed(store, Policy(keep=1, days=1))["2"] == "registered today"


def test_a_version_that_a_server_has_lately_said_to_serve_is_needed(store: Store) -> None:
    for _ in range(3):
        add_version(store)
    note_served(store, NAME, "1", "mt1.example.org")
    assert needed(store)["1"] == "served by mt1.example.org"
    store.client.set_model_version_tag(
        NAME, "1", SERVED, f"{datetime.now(UTC) - timedelta(days=8):%Y-%m-%dT%H:%M}+00:00 x"
    )
    assert "1" not in needed(store)
    assert served_by({SERVED: "nonsense"}) is None


def test_versions_of_others_are_not_looked_at(store: Store) -> None:
    store.client.create_registered_model("theirs")
    store.client.create_model_version("theirs", source="/nowhere")
    add_version(store)
    assert [version.name for version in read_registry(store).versions] == [NAME]
    assert all(FINGERPRINT in version.tags for version in read_registry(store).versions)


def test_references_are_found_in_any_text() -> None:
    text = "a: 'models:/m-en-de/12', b: models:/m@champion, data/local/distilled/seqloom-en-to-de-fr-3/x.tsv"
    assert references(text) == {("m-en-de", "12"), ("seqloom-en-to-de-fr", "3")}
