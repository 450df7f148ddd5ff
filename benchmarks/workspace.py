"""A folder in which stages run with their own params.yaml, separately from the clone's results."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml

from seqloom.presets import find, merge

ROOT = Path(__file__).resolve().parents[1]
BEFORE_TRAINING = ("download_corpus", "download_pretrained", "prepare_corpus", "train_tokenizer")


class Workspace:
    """Runs stages in `folder`; MLflow runs go to the clone's store, where they can be compared."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{ROOT / 'mlflow.db'}",
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        }

    def configure(self, presets: Sequence[str], changes: Mapping[str, Any]) -> dict[str, Any]:
        """Write the clone's params.yaml, merged with presets and then with `changes`; return it as plain data."""
        text = (ROOT / "params.yaml").read_text(encoding="utf-8")
        for name in presets:
            text = merge(text, find(name, ROOT / "presets"))
        params: dict[str, Any] = yaml.safe_load(text)
        params["train"]["lr"] = float(params["train"]["lr"])  # YAML 1.1 reads 4e-3 as text
        update(params, changes)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        return params

    def use_local(self, data: Path, name: str) -> Path:
        """Replace data/local by the files of the folder `data`, below `name`; return data/local."""
        local = self.folder / "data" / "local"
        shutil.rmtree(local, ignore_errors=True)
        (local / name).mkdir(parents=True)
        for path in data.iterdir():
            if path.is_file():
                shutil.copy(path, local / name)
        return local

    def run(self, *stages: str, show: bool = True) -> float:
        """Run stages in this order, and return the processor time that they took, in seconds.

        Their progress is shown, or written to stages.log. Raises `CalledProcessError`.
        """
        seconds = 0.0
        for stage in stages:
            print(f"── {stage} ({self.folder.name}) ──", flush=True)
            command = [sys.executable, "-m", "seqloom.stages", stage]
            with nullcontext() if show else (self.folder / "stages.log").open("a", encoding="utf-8") as log:
                process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=log, stderr=log)
                _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, command)
            seconds += used.ru_utime + used.ru_stime
        return seconds

    def share(self, other: "Workspace", *places: str) -> None:
        """Copy results of another workspace into this one."""
        for place in places:
            shutil.rmtree(self.folder / place, ignore_errors=True)
            shutil.copytree(other.folder / place, self.folder / place)

    def read(self, place: str) -> dict[str, Any]:
        """Return the content of a JSON file that a stage wrote."""
        content: dict[str, Any] = json.loads((self.folder / place).read_text(encoding="utf-8"))
        return content


def update(tree: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Change a tree of settings in place; `corpora` is replaced as a whole."""
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict) and key != "corpora":
            update(tree[key], value)
        else:
            tree[key] = value
