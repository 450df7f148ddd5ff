import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqloom import places
from seqloom.errors import RegistryError
from seqloom.tracking.client.store import Store, connect
from seqloom.tracking.runs.curves import Point
from seqloom.tracking.runs.training_run import Model, TrainingRun, log_run
from seqloom.tracking.sync.sending import follow, send_all
from seqloom.tracking.sync.training_sync import TrainingSync, sync_lock
from tests.workspaces import give_store, write_results

NAME = "f00d" * 16
IDENTITY = {
    "languages": {"source": "en", "target": ["de", "fr"]},
    "model": {"name": "transformer", "transformer": {"preset": "tiny", "width": 8}},
    "train": {"report_every": 2, "lr": 0.002, "tokens_per_batch": "auto"},
}


class Training:
    """Writes the files of train_model. After `begin(dead=True)` its process does not count as running."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "scratch" / NAME
        self.folder.mkdir(parents=True)
        (self.folder / "identity.json").write_text(json.dumps(IDENTITY))

    def begin(self, *, dead: bool = False) -> None:
        self.write(
            "begin", at=0.0 if dead else time.time(), pid=os.getpid(), host=socket.gethostname(), device="cpu",
            processes=1,
        )  # fmt: skip

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            self.write("step", step=step, loss=10.0 - step, tokens=100 * step, grad_norm=1.0 * step, lr=0.1, seconds=1)

    def write(self, kind: str, **facts: Any) -> None:
        with (self.folder / "journal.jsonl").open("a") as file:
            file.write(json.dumps({"kind": kind, "at": time.time(), **facts}) + "\n")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


def runs(store: Store) -> list[Any]:
    found = store.client.get_experiment_by_name("x")
    return [] if found is None else list(store.client.search_runs([found.experiment_id]))


def curve(store: Store, name: str) -> list[tuple[int, float]]:
    (run,) = runs(store)
    return [(point.step, point.value) for point in store.client.get_metric_history(run.info.run_id, name)]


def send(store: Store, training: Training) -> TrainingSync:
    live = TrainingSync(training.folder)
    live.send(store, "x")
    return live


def test_a_run_shows_the_data_of_its_training(store: Store, training: Training) -> None:
    training.begin()
    training.steps(1, 3)
    training.write("validation", step=3, loss=2.5, bleu=12.5)
    for step in (3, 3, 6):
        line = {"step": step, "direction": "en-de", "source": "a", "reference": "b", "hypothesis": f"c{step}"}
        with (training.folder / "samples.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    send(store, training)
    (run,) = runs(store)
    assert run.info.status == "RUNNING"
    assert run.info.run_name == "transformer-tiny en-to-de-fr f00df00d"
    assert run.data.tags["seqloom.training"] == NAME
    assert run.data.params["train.lr"] == "0.002"
    assert "train.tokens_per_batch" not in run.data.params  # known only at the end of training
    assert curve(store, "train/loss") == [(2, pytest.approx((9 * 100 + 8 * 200) / 300))]
    assert curve(store, "train/tokens_per_s") == [(2, 150)]
    assert curve(store, "train/grad_norm") == [(2, 1.5)]
    assert curve(store, "valid/bleu") == [(3, 12.5)]
    assert "system/cpu_utilization_percentage" in run.data.metrics
    (table,) = Path("mlartifacts").rglob("learning.json")
    assert json.loads(table.read_text())["data"] == [["a", "b", 3, "c3"], ["a", "b", 6, "c6"]]


@pytest.mark.parametrize("lost", [False, True], ids=["", "its position was lost"])
def test_nothing_is_sent_twice(store: Store, training: Training, lost: bool) -> None:
    training.begin()
    training.steps(1, 4)
    live = send(store, training)
    training.steps(3, 5)  # resumed from a checkpoint of step 2
    live.send(store, "x")
    if lost:
        (training.folder / "sync.json").unlink()
    training.steps(6, 6)
    send(store, training)
    assert [step for step, _ in curve(store, "train/loss")] == [2, 4, 6]


def test_points_whose_response_was_lost_are_logged_once(store: Store, training: Training) -> None:
    training.begin()
    training.steps(1, 4)
    send(store, training)
    position = training.folder / "sync.json"
    position.write_text(json.dumps(json.loads(position.read_text()) | {"sent": {}}))
    send(store, training)
    assert [step for step, _ in curve(store, "train/loss")] == [2, 4]


def test_a_run_is_closed_when_its_training_dies_and_reopened_when_it_resumes(store: Store, training: Training) -> None:
    messages: list[str] = []
    scratch = training.folder.parent
    training.begin(dead=True)
    training.steps(1, 2)
    send_all(store, "x", scratch, messages.append)
    assert [run.info.status for run in runs(store)] == ["KILLED"]
    training.begin()
    training.steps(3, 4)
    live = send(store, training)
    assert [run.info.status for run in runs(store)] == ["RUNNING"]
    assert not live.complete
    training.begin(dead=True)
    training.write("end", because="TrainingError")
    live.send(store, "x")
    assert [run.info.status for run in runs(store)] == ["FAILED"]
    training.begin(dead=True)
    (training.folder / "finished").touch()
    send_all(store, "x", scratch, messages.append)
    assert [run.info.status for run in runs(store)] == ["FINISHED"]
    assert [step for step, _ in curve(store, "train/loss")] == [2, 4]
    assert messages == [f"{training.folder}: sent"] * 2


def test_a_run_whose_training_was_deleted_is_closed(store: Store, training: Training) -> None:
    training.begin()
    send(store, training)
    scratch = training.folder.parent
    send_all(store, "x", Path("another") / "scratch", print)
    assert [run.info.status for run in runs(store)] == ["RUNNING"]
    shutil.rmtree(training.folder)
    send_all(store, "x", scratch, print)
    assert [run.info.status for run in runs(store)] == ["KILLED"]


@pytest.mark.parametrize("before", [False, True], ids=["", "tagged by an earlier version"])
def test_a_run_whose_training_was_deleted_is_closed_after_a_move(
    store: Store, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    training.begin()
    send(store, training)
    (run,) = runs(store)
    assert run.data.tags["seqloom.place"] == f"scratch/{NAME}"
    if before:
        store.client.set_tag(run.info.run_id, "seqloom.place", f"{socket.gethostname()}:/old/clone/scratch/{NAME}")
    here = tmp_path / "moved"
    here.mkdir()
    (tmp_path / "mlflow.db").rename(here / "mlflow.db")  # and no scratch/
    monkeypatch.chdir(here)
    moved = connect(here, create=False)
    send_all(moved, "x", Path("another") / "scratch", print)
    assert [run.info.status for run in runs(moved)] == ["RUNNING"]
    send_all(moved, "x", Path("scratch"), print)
    assert [run.info.status for run in runs(moved)] == ["KILLED"]


def test_a_copy_of_a_clone_does_not_send_trainings_of_the_original(
    store: Store, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.begin()
    training.steps(1, 2)
    send(store, training)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "scratch", copy / "scratch")
    shutil.copyfile("mlflow.db", copy / "mlflow.db")
    training.steps(3, 4)
    assert TrainingSync(training.folder).journal.read()
    live = TrainingSync(copy / "scratch" / NAME)
    live.read_new()
    assert not live.journal.alive()  # the process works in the original clone
    send_all(connect(copy, create=False), "x", copy / "scratch", print)
    assert [run.info.status for run in runs(connect(copy, create=False))] == ["KILLED"]
    assert [step for step, _ in curve(connect(copy, create=False), "train/loss")] == [2]
    send_all(connect(tmp_path, create=False), "x", training.folder.parent, print)
    assert [run.info.status for run in runs(store)] == ["RUNNING"]
    assert [step for step, _ in curve(store, "train/loss")] == [2, 4]


def test_after_a_move_nothing_is_sent_again(
    store: Store, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.begin(dead=True)
    training.steps(1, 2)
    send(store, training)
    here = tmp_path / "moved"
    here.mkdir()
    for name in ("mlflow.db", "mlartifacts", "scratch"):
        if (tmp_path / name).exists():
            (tmp_path / name).rename(here / name)
    monkeypatch.chdir(here)
    position = json.loads((here / "scratch" / NAME / "sync.json").read_text())
    live = TrainingSync(here / "scratch" / NAME)
    live.send(connect(here, create=False), "x")
    assert json.loads((here / "scratch" / NAME / "sync.json").read_text()) == position
    assert len(runs(connect(here, create=False))) == 1


def test_a_journal_without_a_process_is_ignored(store: Store, training: Training) -> None:
    training.steps(1, 4)
    send_all(store, "x", training.folder.parent, print)
    assert runs(store) == []


def registered(root: Path, **changes: Any) -> TrainingRun:
    params = write_results(root)
    curves = [Point("train/loss", step, 5.0, 1.0 * step) for step in (2, 4, 5)] + [Point("valid/loss", 4, 2.0, 4.0)]
    model = Model(places.CANDIDATE, params.search.model_dump(mode="json"), "Hello", "", (), {})
    return TrainingRun(
        "final", "note", "beef", 0.0, {"train.lr": 0.002, "search.beam": 5}, {"task": "translation"}, curves,
        {"test/bleu": 12.5}, {"test/bleu": 12.5, "corpus/kept": 3.0}, [], [], model, "translation", **changes,
    )  # fmt: skip


def test_register_model_completes_the_run_of_the_training(store: Store, training: Training, tmp_path: Path) -> None:
    training.begin()
    training.steps(1, 5)
    live = send(store, training)
    logged = log_run(store, "x", registered(tmp_path, training=NAME))
    (run,) = runs(store)
    assert (run.info.run_id, run.info.run_name, run.info.status) == (logged.run_id, "final", "FINISHED")
    assert run.data.params.items() >= {"train.lr": "0.002", "search.beam": "5", "languages.source": "en"}.items()
    loss = dict(curve(store, "train/loss"))
    assert sorted(loss) == [2, 4, 5]
    assert loss[2] != loss[5] == 5.0  # the first was sent during training
    assert curve(store, "valid/loss") == [(4, 2.0)]
    assert curve(store, "test/bleu") == [(0, 12.5)]
    assert "corpus/kept" not in run.data.metrics
    training.write("validation", step=6, loss=2.5, bleu=12.5)
    for late in (live, TrainingSync(training.folder)):
        late.send(store, "x")
        assert late.complete
    assert [run.info.status for run in runs(store)] == ["FINISHED"]
    assert "valid/bleu" not in runs(store)[0].data.metrics
    assert log_run(store, "x", registered(tmp_path, training=NAME)) == logged


def test_without_such_a_run_register_model_creates_one(store: Store, training: Training, tmp_path: Path) -> None:
    training.begin()
    send(store, training)
    log_run(store, "x", registered(tmp_path, training="another"))
    assert len(runs(store)) == 2


def test_only_one_process_sends_a_training(store: Store, training: Training) -> None:
    training.begin()
    messages: list[str] = []
    with sync_lock(training.folder) as ours:
        assert ours
        send_all(store, "x", training.folder.parent, messages.append)
    assert messages == [f"{training.folder}: another process sends this"]
    assert runs(store) == []


def opening(*answers: Store | None) -> Callable[[], Store]:
    """Opens stores in turn: None does not answer, and the last one stays."""
    left = list(answers)

    def open_store() -> Store:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer is None:
            raise RegistryError("it does not answer")
        return answer

    return open_store


def test_following_ends_with_the_training(store: Store, training: Training) -> None:
    messages: list[str] = []
    training.begin()
    stop = threading.Event()

    def train() -> None:
        for step in range(1, 7):
            training.steps(step, step)
            time.sleep(0.05)
        training.begin(dead=True)

    thread = threading.Thread(target=train)
    thread.start()
    scratch = training.folder.parent
    assert follow(opening(None, store), "x", scratch, stop, messages.append, every=0.05)
    thread.join()
    assert [step for step, _ in curve(store, "train/loss")] == [2, 4, 6]
    assert [run.info.status for run in runs(store)] == ["KILLED"]
    assert messages == [
        f"following {training.folder}",
        "it does not answer; training continues, and its data is sent later",
        "the store answers again",
    ]


def test_data_that_the_store_did_not_accept_is_sent_later(store: Store, training: Training) -> None:
    training.begin(dead=True)
    stop = threading.Event()
    threading.Timer(0.2, lambda: (training.steps(1, 2), stop.set())).start()
    scratch = training.folder.parent
    assert not follow(opening(None), "x", scratch, stop, print, every=0.01, patience=0)
    assert runs(store) == []
    send_all(store, "x", scratch, print)
    assert [step for step, _ in curve(store, "train/loss")] == [2]


@pytest.mark.slow
def test_a_server_that_never_answers_blocks_nothing(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr("seqloom.tracking.client.store._PATIENCE", 1)
        training.begin()
        training.steps(1, 2)
        stop = threading.Event()
        stop.set()
        began = time.monotonic()
        scratch = training.folder.parent
        assert not follow(lambda: connect(tmp_path, create=True), "x", scratch, stop, print, patience=0)
    assert time.monotonic() - began < 15
