"""Measure how much `seqloom sync --follow` slows training down, by training with and without it.

    python -m benchmarks.logging_share --store sqlite --pairs 3

The stage train_model learns to write words backwards, from scratch each time; every second training is followed. The
store is a server on this machine (http), a server that is killed and restarted during training (dies), one that accepts
connections but never answers (silent), one that does not exist (down), or a SQLite file (sqlite). The output is one
line of JSON:

- alone, followed: target tokens per second of each training, from its journal; lost: the relative difference of the
  medians.
- sync_s: CPU seconds of the syncing process, most of which are its start.
- arrived: whether the store has all points at the end; for silent and down, after a `seqloom sync` to a working store.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.kill_and_resume import SIZES, backwards, changes
from benchmarks.workspace import BEFORE_TRAINING, Workspace

STORES = ("sqlite", "http", "dies", "silent", "down")
_READY = 120.0  # seconds for a server to start


class Followed(Workspace):
    """A folder in which train_model runs, followed or not."""

    def prepare(self, steps: int) -> None:
        """Run everything before train_model."""
        (self.folder / "data" / "local").mkdir(parents=True)
        (self.folder / "data" / "local" / "pairs.tsv").write_text(backwards(2000), encoding="utf-8")
        settings = changes("transformer", steps, "cpu")
        settings["model"]["transformer"] = {**SIZES["transformer"], "width": 128, "feed_forward": 512}
        settings["train"] |= {"report_every": 20, "validate_every": 100, "checkpoint_every": 100}
        self.configure([], settings)
        self.run(*BEFORE_TRAINING)

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a command of the package."""
        command = [sys.executable, "-m", *words]
        return subprocess.Popen(command, cwd=self.folder, env={**self._environment, **environment})

    def rate(self) -> float:
        """Return the tokens per second of the last training."""
        (journal,) = self.folder.glob("scratch/*/journal.jsonl")
        steps = [json.loads(line) for line in journal.read_text().splitlines() if '"kind": "step"' in line]
        return float(sum(step["tokens"] for step in steps) / sum(step["seconds"] for step in steps))

    def arrived(self) -> bool:
        """Return whether sync.json records that the run is closed and every point sent."""
        (position,) = self.folder.glob("scratch/*/sync.json")
        content: dict[str, Any] = json.loads(position.read_text())
        (table,) = self.folder.glob("plots/training.csv")
        last = int(table.read_text().splitlines()[-1].partition(",")[0])
        return bool(content["closed"]) and content["sent"]["train/loss"] == content["sent"]["valid/bleu"] == last


class Server:
    """MLflow's server with a SQLite file, on a port of this machine."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._folder = folder
        self.uri = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "true"}
        store = [
            "--backend-store-uri",
            f"sqlite:///{self._folder}/mlflow.db",
            "--artifacts-destination",
            str(self._folder),
        ]
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self._port), *store]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + _READY
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            except OSError:
                time.sleep(0.5)
        sys.exit(f"the server does not start: {self._folder}/server.log")

    def kill(self) -> None:
        """Kill the server and its workers."""
        os.killpg(self._process.pid, 9)
        self._process.wait()


def main() -> None:
    """Train in pairs, and print the cost of following."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="sqlite", choices=STORES)
    parser.add_argument("--pairs", type=int, default=3, help="pairs of trainings (default: 3)")
    parser.add_argument("--steps", type=int, default=1000, help="updates per training (default: 1000)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="logging-share-"))
    workspace = Followed(work / "training", options.threads)
    workspace.prepare(options.steps)
    database = f"sqlite:///{work}/mlflow.db"
    server = Server(work) if options.store in ("http", "dies") else None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        closed = "http://127.0.0.1:9"
        uri = {"sqlite": database, "silent": f"http://127.0.0.1:{silent.getsockname()[1]}", "down": closed}
        where = server.uri if server else uri[options.store]
        alone, followed, seconds, arrived = [], [], [], []
        for _ in range(options.pairs):
            shutil.rmtree(workspace.folder / "scratch", ignore_errors=True)
            workspace.run("train_model")
            alone.append(workspace.rate())
            shutil.rmtree(workspace.folder / "scratch")
            sync = workspace.start("seqloom.cli", "sync", "--follow", MLFLOW_TRACKING_URI=where)
            training = workspace.start("seqloom.stages", "train_model")
            if server and options.store == "dies":
                time.sleep(15)  # training is in the middle
                server.kill()
                time.sleep(10)
                server.start()
            training.wait()
            followed.append(workspace.rate())
            _, _, usage = os.wait4(sync.pid, 0)
            seconds.append(round(usage.ru_utime + usage.ru_stime, 1))
            if options.store in ("silent", "down"):
                workspace.start("seqloom.cli", "sync", MLFLOW_TRACKING_URI=database).wait()
            arrived.append(workspace.arrived())
    if server:
        server.kill()
    lost = round(1 - statistics.median(followed) / statistics.median(alone), 4)
    rates = {"alone": [round(rate) for rate in alone], "followed": [round(rate) for rate in followed]}
    print(json.dumps({"store": options.store, **rates, "lost": lost, "sync_s": seconds, "arrived": arrived}))
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
