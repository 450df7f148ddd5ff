import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from seqloom.errors import RegistryError
from seqloom.tracking.client.store import Store, connect, experiment_id
from seqloom.tracking.runs.page import CHARTS, VIEW_TAG, find_experiment, save_view, view_columns, view_url
from tests.finished import give_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


def saved(store: Store, experiment: str) -> dict[str, Any]:
    """The view as MLflow's page reads it: an envelope with the state as JSON inside."""
    envelope: dict[str, Any] = json.loads(store.client.get_experiment(experiment).tags[VIEW_TAG])
    assert isinstance(envelope["name"], str)
    assert isinstance(envelope["createdAt"], int)
    state: dict[str, Any] = json.loads(envelope["state"])
    return state


def test_the_view_shows_the_scores_of_the_task_and_sorts_by_the_leading_one(store: Store) -> None:
    home = experiment_id(store, "x")
    save_view(store, home, "translation")
    state = saved(store, home)
    assert state["selectedColumns"][:4] == [
        "metrics.`test/bleu`", "metrics.`test/chrf`", "metrics.`test/ter`", "metrics.`valid/bleu`"
    ]  # fmt: skip
    assert {"metrics.`train/tokens_per_s`", "metrics.`train/seconds`", "params.`train.lr`"} <= {
        *state["selectedColumns"]
    }
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`test/bleu`", False)
    save_view(store, home, "summarization")
    assert saved(store, home)["orderByKey"] == "metrics.`test/rougeL`"
    assert view_columns("summarization") == saved(store, home)["selectedColumns"]


def test_without_a_task_a_view_that_is_there_stays(store: Store) -> None:
    home = experiment_id(store, "x")
    save_view(store, home)
    assert saved(store, home)["orderByKey"] == "metrics.`valid/bleu`"
    save_view(store, home, "generation")
    save_view(store, home)
    assert saved(store, home)["orderByKey"] == "metrics.`test/rougeL`"


def test_the_view_is_written_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    home = experiment_id(store, "x")
    save_view(store, home, "translation")
    monkeypatch.setattr(store.client, "set_experiment_tag", lambda *_: pytest.fail("it was there"))
    save_view(store, home, "translation")


def test_an_experiment_is_found_with_its_view(store: Store) -> None:
    assert find_experiment(store, None) is None
    assert find_experiment(store, "x") is None
    home = experiment_id(store, "x")
    assert find_experiment(store, "x") == home
    assert saved(store, home)
    store.client.delete_experiment(home)
    assert find_experiment(store, "x") is None


def test_the_link_opens_the_view_in_the_mode_for_training() -> None:
    link = view_url("http://host:5000", "7", CHARTS)
    assert link.startswith("http://host:5000/#/experiments/7/runs?")
    assert parse_qs(link.partition("?")[2]) == {
        "workflowType": ["machine_learning"], "viewStateShareKey": ["scores"], "compareRunsMode": ["CHART"]
    }  # fmt: skip
    assert view_url("http://host:5000") == "http://host:5000/#/experiments?workflowType=machine_learning"


def test_a_refusal_is_an_error_of_the_registry(store: Store) -> None:
    with pytest.raises(RegistryError, match="999"):
        save_view(store, "999")
