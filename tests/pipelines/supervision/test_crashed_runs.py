"""Runs whose process has ended are set to Crashed; other runs are not."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.states import Completed, Pending, Running

from pipelines.supervision.crashed_runs import exclusive_run, mark_crashed, run_tags
from pipelines.supervision.processes import current_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]
DEAD = "process:4194305:1"  # above the largest process id of Linux


@flow(name="toy", persist_result=False)
def toy(root: Path) -> None:
    with exclusive_run(root):
        pass


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def state(client: SyncPrefectClient, run: UUID) -> str | None:
    return client.read_flow_run(run).state_name


def test_the_run_in_flow_json_is_crashed_if_its_process_has_ended(tmp_path: Path, client: SyncPrefectClient) -> None:
    toy(tmp_path)
    noted = tmp_path / "scratch" / "flow.json"
    content = json.loads(noted.read_text(encoding="utf-8"))
    assert content["process"] == str(current_process())
    assert mark_crashed(tmp_path) == []  # the run has completed
    run = client.create_flow_run(toy, parameters={"root": str(tmp_path)}, state=Running())
    note = {"flow_run_id": str(run.id), "process": "1:1"}
    for process, expected in ((content["process"], "Crashed"), ("4194305:1", "Crashed")):
        client.set_flow_run_state(run.id, Running(), force=True)
        noted.write_text(json.dumps(note | {"process": process}), encoding="utf-8")
        toy(tmp_path)  # another run, which holds the clone
        assert state(client, run.id) == expected
    assert "seqloom: Crashed" in (tmp_path / "scratch" / "notices.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"flow_run_id": null, "process": null}'])
def test_a_broken_flow_json_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "flow.json").write_text(content, encoding="utf-8")
    assert mark_crashed(tmp_path) == []


def test_a_run_tagged_with_a_dead_process_is_crashed(tmp_path: Path, client: SyncPrefectClient) -> None:
    clone, process = run_tags(tmp_path)
    given = {"root": str(tmp_path)}
    dead = [
        client.create_flow_run(toy, parameters=given, tags=[clone, DEAD], state=begun, name=f"dead-{begun.name}").id
        for begun in (Running(), Pending())
    ]
    spared = [
        client.create_flow_run(toy, parameters=given, tags=tags, state=begun).id
        for tags, begun in (
            ([clone, process], Running()), ([clone + "x", DEAD], Running()), ([clone], Running()),
            ([clone, DEAD], Completed()),
        )
    ]  # fmt: skip
    before = [state(client, run) for run in spared]
    assert sorted(mark_crashed(tmp_path)) == ["dead-Pending", "dead-Running"]
    assert [state(client, run) for run in dead] == ["Crashed", "Crashed"]
    assert [state(client, run) for run in spared] == before
