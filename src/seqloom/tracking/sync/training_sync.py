"""Sends the data of a training run to its MLflow run during training.

Training only writes files and never waits for a server; this runs in another process. `scratch/<training>/sync.json`
records what was sent, so that nothing is lost or sent twice if the server is down or this process is killed. The run of
a training that has ended is closed. A run that register_model has completed is not changed.
"""

import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqloom.errors import RegistryError
from seqloom.files import flatten, write_json
from seqloom.tracking.client.library import mlflow
from seqloom.tracking.client.names import FINGERPRINT, model_name
from seqloom.tracking.client.run_data import METRICS_AT_ONCE, batches, log_metrics, log_params
from seqloom.tracking.client.store import DATABASE, Store, experiment_id, registry_errors
from seqloom.tracking.runs.page import log_table, save_view
from seqloom.tracking.runs.training_run import TRAINING, live_run
from seqloom.tracking.sync import system_metrics
from seqloom.tracking.sync.journal_reader import (
    FINISHED,
    JOURNAL,
    JournalReader,
    Observation,
    read_identity,
    read_translations,
)

PLACE = "seqloom.place"  # tag of runs: the folder of the training, see `place_tag`
POSITION, LOCK, SYSTEM = "sync.json", "sync.lock", "system.jsonl"
TABLE = "learning.json"  # samples of the validation split with their translation at each validation
_HEADS = ("source", "reference", "step", "hypothesis")
_MOST_STEPS = 40  # in the table
_INTERRUPTED = ("InterruptError", "KeyboardInterrupt", "SystemExit")
_MEASURE_EVERY = 10.0  # seconds between two measurements of the machine


class TrainingSync:
    """Sends the journal of one training run to its MLflow run, from where the last call stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identity = read_identity(folder)
        every = self.identity.get("train", {}).get("report_every", 1)
        self.journal = JournalReader(folder / JOURNAL, every)
        self._position = _read_position(folder)
        self._waiting: dict[tuple[str, int], Observation] = {}
        self._opened = False
        self._measured = 0.0

    @property
    def complete(self) -> bool:
        """Whether all data is sent and the run is closed."""
        return bool(self._position.get("closed")) and not self._waiting

    def read_new(self) -> None:
        """Read new lines of the journal, and measure this machine while training runs on it."""
        for point in self.journal.read():
            self._waiting[point.metric, point.step] = point
        process = self.journal.process
        if process is None or process.host != socket.gethostname() or not self.journal.alive():
            return
        if time.monotonic() - self._measured >= _MEASURE_EVERY:
            self._measured = time.monotonic()
            with (self.folder / SYSTEM).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"at": round(time.time(), 3), **system_metrics.measure()}) + "\n")

    def send(self, store: Store, experiment: str) -> None:
        """Send all data that is not sent yet, and close the run if training has ended.

        Raises:
            RegistryError: the store refuses or does not answer. The data that it accepted is not sent again.
        """
        self.read_new()
        if self.journal.process is None:
            return
        alive = self.journal.alive()
        if alive and self._opened and not self._has_new_points():
            return
        self.read_new()  # training may have written more before it ended
        with registry_errors(store), _as_refusal():
            run_id = self._run(store, experiment)
            if run_id is None:
                return
            if alive and not self._opened:
                store.client.update_run(run_id, status="RUNNING")
            self._opened = True
            self._send_points(store, run_id)
            self._send_system(store, run_id)
            self._send_samples(store, run_id)
            if not alive:
                store.client.set_terminated(run_id, self._status())
                self._remember(closed=True)

    def _has_new_points(self) -> bool:
        """Return whether there are unsent points; system metrics alone are not worth a request."""
        sent: dict[str, int] = self._position.get("sent", {})
        return any(point.step > sent.get(point.metric, -1) for point in self._waiting.values())

    def _run(self, store: Store, experiment: str) -> str | None:
        """Return the id of the training's run, creating it if needed, or None if register_model has completed it."""
        home = experiment_id(store, experiment)
        address = DATABASE if store.movable else store.uri
        # Hashed, since a URI may contain a password.
        where = hashlib.sha256(f"{address} {home}".encode()).hexdigest()[:16]
        if self._position.get("store") != where:
            self._position = {"store": where}
        run_id = self._position.get("run_id")
        if run_id is not None:
            found = store.client.search_runs([home], f"attributes.run_id = '{run_id}'")
            if found and FINGERPRINT not in found[0].data.tags:
                return str(run_id)
        elif (live := live_run(store, home, self.folder.name)) is not None:
            self._position |= {"run_id": live.info.run_id, "sent": _sent(store, live)}  # sync.json was lost
            self._remember(closed=False)
            return str(live.info.run_id)
        elif not store.client.search_runs([home], f"tags.`{TRAINING}` = '{self.folder.name}'", max_results=1):
            made = self._make(store, home)
            self._position |= {"run_id": made, "sent": {}}
            self._remember(closed=False)
            return made
        self._waiting.clear()
        self._remember(closed=True)
        return None

    def _make(self, store: Store, home: str) -> str:
        process, family = self.journal.process, self.identity.get("model", {})
        kind = {"model.name": family.get("name"), "device": process.device if process else None}
        kind["model.preset"] = family.get(family.get("name"), {}).get("preset")
        languages = [_listed(self.identity.get("languages", {}).get(side, [])) for side in ("source", "target")]
        direction = model_name("translation", *languages).removeprefix("seqloom-")
        tags = {name: str(value) for name, value in kind.items() if value}
        tags |= {TRAINING: self.folder.name, "direction": direction, "mlflow.source.name": "seqloom sync"}
        tags[PLACE] = place_tag(store, self.folder)
        name = "-".join(filter(None, (kind["model.name"], kind["model.preset"])))
        made = store.client.create_run(
            home,
            start_time=round((process.at if process else time.time()) * 1000),
            run_name=f"{name} {direction} {self.folder.name[:8]}",
            tags=tags,
        ).info.run_id
        known = {
            name: self.identity[name] for name in ("languages", "tokenizer", "model", "train") if name in self.identity
        }
        # A param cannot be changed: register_model logs the value that "auto" became.
        params = {name: value for name, value in flatten(known).items() if value is not None and value != "auto"}
        log_params(store, made, params)
        save_view(store, home)
        return str(made)

    def _send_points(self, store: Store, run_id: str) -> None:
        sent: dict[str, int] = self._position["sent"]
        new = sorted(
            (point for point in self._waiting.values() if point.step > sent.get(point.metric, -1)),
            key=lambda point: point.step,
        )
        for batch in batches(new, METRICS_AT_ONCE):
            # If the response is lost and they are sent again, MLflow ignores points that it has.
            log_metrics(store, run_id, [_metric(*point) for point in batch])
            for point in batch:
                sent[point.metric] = max(point.step, sent.get(point.metric, -1))
            self._remember(closed=False)
        self._waiting.clear()

    def _send_system(self, store: Store, run_id: str) -> None:
        done = int(self._position.get("system", 0))
        file = self.folder / SYSTEM
        lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
        metrics = []
        for number, line in enumerate(lines[done:], done):
            try:
                figures: dict[str, float] = json.loads(line)
                at = figures.pop("at")
            except (ValueError, KeyError, AttributeError):
                continue
            metrics += [_metric(name, number, value, at) for name, value in figures.items()]
        log_metrics(store, run_id, metrics)
        if len(lines) > done:
            self._position["system"] = len(lines)
            self._remember(closed=False)

    def _send_samples(self, store: Store, run_id: str) -> None:
        rows = read_translations(self.folder)
        newest = max((step for step, *_ in rows), default=0)
        if newest > self._position.get("samples", 0):
            shown = _spread(sorted({step for step, *_ in rows}))
            table = [(source, reference, step, text) for step, source, reference, text in rows if step in shown]
            log_table(store, run_id, TABLE, _HEADS, table)
            self._position["samples"] = newest
            self._remember(closed=False)

    def _status(self) -> str:
        if (self.folder / FINISHED).exists():
            return "FINISHED"
        because = self.journal.process.because if self.journal.process else None
        return "KILLED" if because is None or because in _INTERRUPTED else "FAILED"

    def _remember(self, *, closed: bool) -> None:
        self._position["closed"] = closed
        write_json(self.folder / POSITION, self._position)


@contextmanager
def sync_lock(folder: Path) -> Iterator[bool]:
    """Lock a training's folder during the block; yield False if another process sends its data."""
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


@contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # MLflow does not wrap errors of file uploads
        raise RegistryError(f"the tracking store cannot be used: {error}") from error


def place_tag(store: Store, folder: Path) -> str:
    """Return the tag that identifies the folder of a training: relative in a clone's own store, else with the host."""
    if store.movable:
        return os.path.relpath(folder, store.lock.parent)
    return f"{socket.gethostname()}:{folder.absolute()}"


def _spread(steps: list[int]) -> set[int]:
    """Return at most `_MOST_STEPS` steps, evenly spaced, with the first and the last."""
    if len(steps) <= _MOST_STEPS:
        return set(steps)
    return {steps[round(number * (len(steps) - 1) / (_MOST_STEPS - 1))] for number in range(_MOST_STEPS)}


def _metric(name: str, step: int, value: float, at: float) -> Any:
    return mlflow.entities.Metric(name, value, round(at * 1000), step)


def _sent(store: Store, run: Any) -> dict[str, int]:
    curves = [name for name in run.data.metrics if name.startswith(("train/", "valid/"))]
    return {
        name: max(point.step for point in store.client.get_metric_history(run.info.run_id, name)) for name in curves
    }


def _read_position(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / POSITION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _listed(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
