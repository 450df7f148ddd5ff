"""A copy of this clone that retrains on a small corpus; the benchmarks of flows disturb it.

The corpus is a translation memory of a made-up language pair. It grows by new words, so that yesterday's model is worse
than today's. A network for it trains in seconds.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.workspace import ROOT, Workspace
from seqloom import telemetry
from seqloom.files import write_text

COPIED = (
    "src", "pipelines", "dvc.yaml", "prefect.yaml", ".dvcignore", ".gitignore", "pyproject.toml", "constraints.txt",
)  # fmt: skip
OLD_WORDS, NEW_WORDS = 40, 12  # words in the first data, and new words with each growth
ALIVE = {"RUNNING", "PENDING", "SCHEDULED", "CANCELLING"}
NOBODY = ("-c", "user.name=seqloom", "-c", "user.email=seqloom@localhost")  # the author of commits
PATIENCE = 900.0  # seconds for one run

PARAMS: dict[str, Any] = {
    "corpora": {"memory": {"kind": "file", "path": "data/local/memory.tsv", "format": "tsv"}},
    "prepare": {"max_leakage": 1.0, "split": {"by": "pair", "valid": 0.1, "test": 0.15}},
    "tokenizer": {"vocab_size": 90, "byte_fallback": False, "slots": 2},
    "model": {
        "name": "transformer",
        "dropout": 0.0,
        "transformer": {"width": 48, "feed_forward": 96, "heads": 2, "encoder_layers": 1, "decoder_layers": 1},
    },
    "train": {
        "device": "cpu", "tokens_per_batch": 512, "max_steps": None, "max_epochs": 30, "warmup_steps": 20,
        "lr": 0.02, "patience": None, "report_every": 10, "checkpoint_every": 20, "validate_every": 100,
        "validation_segments": 60, "average": 2,
    },
    "search": {"beam": 1},
    "export": {"precision": "float32"},  # int8 loses too much of so small a network
    "evaluate": {"bootstrap": 200},
    "gate": {"max_bucket_drop": None, "max_slowdown": 5.0, "max_shared": 0.2},
}  # fmt: skip


class Memory:
    """A translation memory of a made-up language pair, in which each word has one translation."""

    def __init__(self, file: Path, seed: int) -> None:
        self._file, self._draw = file, random.Random(seed)
        syllables = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
        self._draw.shuffle(syllables)
        words = [one + other for one in syllables[:30] for other in syllables[30:60]]
        self._draw.shuffle(words)
        self._dictionary = list(zip(words[::2], words[1::2], strict=True))
        self._known = 0
        self.pairs: list[str] = []

    def change(self, news: str) -> None:
        """Change the file as `news` says: grow, trifle, rubbish or mend."""
        if news == "grow":
            first = self._known
            self._known += NEW_WORDS if first else OLD_WORDS
            fresh = self._dictionary[first : self._known]
            self.pairs += [self._pair(fresh) for _ in range(500)]
        elif news == "trifle":
            self.pairs += [self._pair(self._dictionary[:OLD_WORDS]) for _ in range(3)]
        lines = self.pairs
        if news == "rubbish":  # a merge that went wrong: most lines are not sentences
            lines = [pair if row % 10 == 0 else f"<<<<<<< {row}\t{row} =======" for row, pair in enumerate(lines)]
        write_text(self._file, "".join(f"{line}\n" for line in lines))

    def _pair(self, fresh: list[tuple[str, str]]) -> str:
        """Return a pair of sentences with some new words and some old ones."""
        chosen = self._draw.choices(fresh, k=3) + self._draw.choices(self._dictionary[: self._known], k=3)
        self._draw.shuffle(chosen)
        return "\t".join(" ".join(side) for side in zip(*chosen, strict=True))


class Clone(Workspace):
    """A copy of this clone with its own MLflow store; its flows report to the Prefect server at `api`."""

    def __init__(self, folder: Path, api: str, threads: int = 1) -> None:
        super().__init__(folder, threads)
        self.api = api
        self._environment |= {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder)]),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PREFECT_API_URL": api,
            "PREFECT_HOME": str(folder / ".prefect"),
            **telemetry.OFF,
        }

    def prepare(self) -> None:
        """Copy the files of the clone, and make the copy a Git and DVC repository with a remote."""
        for name in COPIED:
            source, target = ROOT / name, self.folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        (self.folder / "data" / "local").mkdir(parents=True)
        self.configure([], PARAMS)
        for command in (
            ["git", "init", "--quiet"],
            [sys.executable, "-m", "dvc", "init", "--quiet"],
            [sys.executable, "-m", "dvc", "remote", "add", "-d", "shelf", str(self.folder.parent / "remote")],
            ["git", "add", "."],
            ["git", *NOBODY, "commit", "--quiet", "-m", "Begin"],
        ):
            self.call(*command)

    def call(self, *command: str) -> str:
        """Run a command in the copy and return its output."""
        done = subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed in {self.folder}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def retrain(self, log: Path, kill: Callable[["Clone", psutil.Process], None] | None) -> bool:
        """Run the flow once; return whether it was killed before its end."""
        command = [sys.executable, "-m", "pipelines", "retrain", "--push", "--commit", "tag"]
        with log.open("wb") as out:
            process = psutil.Popen(command, cwd=self.folder, env=self._environment, stdout=out, stderr=out)
            if kill is not None:
                threading.Thread(target=kill, args=(self, process), daemon=True).start()
            status = process.wait(PATIENCE)
        return bool(status < 0 or status == 128 + signal.SIGKILL)

    def processes(self) -> list[psutil.Process]:
        """Return the living processes that flows of this clone have started."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SEQLOOM_FLOW") == str(self.folder.resolve()):
                    found.append(process)
        return found

    def journal_lines(self) -> int:
        """Return the number of lines in all journals, which shows how far training is."""
        return sum(len(file.read_bytes().splitlines()) for file in self.folder.glob("scratch/*/journal.jsonl"))

    def model(self) -> str | None:
        """Return DVC's hash of the trained model, or None."""
        lock = self.folder / "dvc.lock"
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"] if lock.exists() else {}
        outs = stages.get("train_model", {}).get("outs", [])
        return next((str(out["md5"]) for out in outs if out["path"] == "models/candidate"), None)

    def versions(self) -> list[dict[str, Any]]:
        """Return the number and the aliases of each registered version, from MLflow's database, in milliseconds."""
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as store:
            numbers = store.execute("select version from model_versions where current_stage != 'Deleted_Internal'")
            aliases = store.execute("select version, alias from registered_model_aliases").fetchall()
            return [
                {"version": str(number), "aliases": [alias for version, alias in aliases if version == number]}
                for (number,) in numbers.fetchall()
            ]

    def runs(self) -> list[dict[str, Any]]:
        """Return the flow runs of the server, the latest first."""
        request = urllib.request.Request(
            f"{self.api}/flow_runs/filter",
            data=json.dumps({"sort": "START_TIME_DESC", "limit": 200}).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found


def undisturbed(folder: Path, texts: bytes, api: str) -> str | None:
    """Return DVC's hash of a model trained from these texts in a new clone, without a break."""
    clone = Clone(folder, api)
    clone.prepare()
    (folder / "data" / "local" / "memory.tsv").write_bytes(texts)
    clone.call(sys.executable, "-m", "dvc", "repro", "train_model")
    return clone.model()


def left_over(clone: Clone) -> list[str]:
    """List living processes, and the runs that Prefect and MLflow show as unfinished."""
    left = [f"process {process.pid}" for process in clone.processes()]
    left += [f"flow run {run['name']}" for run in clone.runs() if run["state"]["type"] in ALIVE]
    with contextlib.closing(sqlite3.connect(clone.folder / "mlflow.db")) as store:
        running = store.execute("select run_uuid from runs where status = 'RUNNING'").fetchall()
    return left + [f"MLflow run {run}" for (run,) in running]


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a Prefect server on a free port of this machine, with its database in `folder`; yield the URL of its API."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, **telemetry.OFF, "PREFECT_HOME": str(folder / ".prefect")}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    api = f"http://127.0.0.1:{port}/api"
    try:
        end = time.monotonic() + 180
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{api}/health", timeout=5).close()
                break
            if time.monotonic() > end or process.poll() is not None:
                sys.exit(f"the Prefect server did not start; see {folder / 'server.log'}")
            time.sleep(0.2)
        yield api
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
