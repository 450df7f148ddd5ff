"""Kill training at random moments, resume it, and compare the result byte for byte with an undisturbed training.

    python -m benchmarks.kill_and_resume --kills 20 --family transformer
    python -m benchmarks.kill_and_resume --kills 5 --dvc

A tiny network learns to write words backwards, through the stage train_model or, with --dvc, through
`dvc repro train_model`. One training is undisturbed. The others start from scratch, are killed (SIGKILL to the whole
process group) at a random moment of its duration, some of them a second and a third time, and then run to their end.

The comparison covers models/candidate, metrics/training.json, plots/training.csv, the files of the last checkpoint and
of its snapshots, and with --dvc also dvc.lock. Values that depend on the clock are ignored: the minutes of training in
the checkpoint's state, the hash of that file, and the journal. If there was a checkpoint, training must resume from it.
The exit status is 1 if anything differs.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.workspace import BEFORE_TRAINING, ROOT, Workspace

BY_THE_CLOCK = ("minutes",)  # fields of a checkpoint's state
RESULTS = ("models/candidate", "metrics/training.json", "plots/training.csv", "dvc.lock")
SIZES: dict[str, dict[str, Any]] = {
    "transformer": {"width": 64, "feed_forward": 128, "heads": 2, "encoder_layers": 2, "decoder_layers": 1},
    "lstm": {"embedding": 32, "hidden": 64, "layers": 1},
    "attention_lstm": {"embedding": 32, "hidden": 64, "encoder_layers": 1, "decoder_layers": 1},
}
EVERY = {"report_every": 5, "checkpoint_every": 10, "validate_every": 25}


def changes(family: str, steps: int, device: str) -> dict[str, Any]:
    """Return settings that use everything random, and write everything often."""
    return {
        "corpora": {"backwards": {"kind": "file", "path": "data/local/pairs.tsv", "format": "tsv"}},
        "prepare": {"max_leakage": 1.0, "split": {"by": "pair", "valid": 0.05, "test": 0.05}},
        "tokenizer": {"vocab_size": 120, "byte_fallback": False, "slots": 2},
        "model": {"name": family, "dropout": 0.1, family: SIZES[family]},
        "train": {
            "device": device, "tokens_per_batch": 256, "max_steps": steps, "warmup_steps": 10, "patience": None,
            "subword_sampling": 0.2, "word_dropout": 0.1, "ema_decay": 0.99, "average": 2, "keep_checkpoints": 2,
            "validation_segments": 40, **EVERY,
        },
    }  # fmt: skip


class Training(Workspace):
    """A folder in which train_model is started, killed and resumed; it has the sources, which DVC hashes too."""

    def __init__(self, folder: Path, threads: int, *, dvc: bool) -> None:
        super().__init__(folder, threads)
        self._environment |= {
            "PYTHONPATH": str(folder / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
        }
        through = ["dvc", "repro"] if dvc else ["seqloom.stages"]
        self._command = [sys.executable, "-m", *through, "train_model"]
        self.dvc = dvc

    def prepare(self, family: str, steps: int, device: str) -> None:
        """Run everything before train_model."""
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "seqloom", self.folder / "src" / "seqloom", ignore=ignored)
        local = self.folder / "data" / "local"
        local.mkdir(parents=True)
        (local / "pairs.tsv").write_text(backwards(2000), encoding="utf-8")
        self.configure([], changes(family, steps, device))
        if not self.dvc:
            self.run(*BEFORE_TRAINING)
            return
        for name in ("dvc.yaml", ".dvcignore"):
            shutil.copy(ROOT / name, self.folder)
        for words in (["init", "--quiet", "--no-scm"], ["repro", *BEFORE_TRAINING]):
            subprocess.run([sys.executable, "-m", "dvc", *words], cwd=self.folder, env=self._environment, check=True)

    def copy(self, folder: Path, threads: int) -> "Training":
        """Return a copy in another folder, which is created anew."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder)
        return Training(folder, threads, dvc=self.dvc)

    def train(self, seconds: float | None = None) -> bool:
        """Start or resume training, and kill it after some seconds; return whether it finished.

        If training fails, exit and print its log.
        The command has its own process group, and all processes of the group are killed.
        """
        with (self.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                self._command, cwd=self.folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            status = process.wait(seconds)
        except BaseException as interrupted:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(interrupted, subprocess.TimeoutExpired):
                return False
            raise
        if status:
            sys.exit(f"{self.folder}: train_model failed:\n{(self.folder / 'log.txt').read_text()[-3000:]}")
        return True

    @property
    def scratch(self) -> Path | None:
        """The folder of the checkpoints, once it exists."""
        return next((file for file in (self.folder / "scratch").glob("*") if file.is_dir()), None)

    def checkpoints(self) -> list[Path]:
        """Return the existing checkpoints, oldest first."""
        return sorted(self.scratch.glob("step-" + "[0-9]" * 8)) if self.scratch else []

    def journal(self) -> list[dict[str, Any]]:
        """Return the records of updates and validations in the journal, without a line cut off by a kill."""
        file = self.scratch / "journal.jsonl" if self.scratch else None
        written = records(file.read_text(encoding="utf-8")) if file and file.exists() else []
        return [record for record in written if "step" in record]  # not the start and end of processes

    def moment(self, before: int) -> str:
        """Describe what training was doing when it was killed, ignoring the first `before` lines of the journal."""
        written = self.journal()[before:]
        scratch = self.scratch
        if scratch is None or not written:
            return "starting"
        last = written[-1]
        at = f"step {last['step']}"
        if (self.folder / "models" / "candidate").exists():
            return "writing the results"
        if (scratch / "step.part").exists() or (scratch / "weights.part").exists():
            return f"writing a checkpoint, {at}"
        if last["kind"] == "step" and last["step"] % EVERY["validate_every"] == 0:
            return f"validating, {at}"
        return at

    def results(self) -> dict[str, bytes]:
        """Return everything that must be equal, by name."""
        found = {
            str(file.relative_to(self.folder)): file.read_bytes()
            for place in RESULTS
            for file in walk(self.folder / place)
        }
        if self.scratch is None:
            return found
        for file in [*(f for folder in self.checkpoints()[-1:] for f in walk(folder)), *self.scratch.glob("weights-*")]:
            found[str(file.relative_to(self.scratch))] = without_clock(file)
        return found


def backwards(pairs: int) -> str:
    """Return lines of some words, TAB, and the same words backwards."""
    draw = random.Random(1)
    lines: set[str] = set()
    while len(lines) < pairs:
        text = " ".join("".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(draw.randint(2, 5)))
        lines.add(f"{text}\t{text[::-1]}\n")
    return "".join(sorted(lines))


def records(text: str) -> Iterator[dict[str, Any]]:
    """Return the records of a journal, including one that follows a truncated line."""
    for begun in text.split('{"kind": ')[1:]:
        try:
            yield json.loads('{"kind": ' + begun)
        except ValueError:
            continue


def walk(place: Path) -> list[Path]:
    """Return the files of a folder, or the file itself."""
    return sorted(file for file in ([place] if place.is_file() else place.rglob("*")) if file.is_file())


def without_clock(file: Path) -> bytes:
    """Return the content of a checkpoint's file without what depends on the clock."""
    content = file.read_bytes()
    if file.name == "SHA256SUMS":
        return re.sub(rb".*  state\.json\n", b"", content)
    if file.name != "state.json":
        return content
    stored = json.loads(content)
    state = {name: value for name, value in stored["state"].items() if name not in BY_THE_CLOCK}
    return json.dumps({**stored, "state": state}).encode()


def differing(expected: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    """Return the names of what differs, or is missing in one of the two."""
    return sorted(name for name in expected | found if expected.get(name) != found.get(name))


def disturb(training: Training, duration: float, draw: random.Random) -> tuple[list[str], str, bool]:
    """Kill a training once or more, and run it to its end.

    Returns when it was killed, where it resumed, and whether that was the newest checkpoint.
    """
    kills = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        before = len(training.journal())
        seconds = draw.uniform(0, duration)
        if training.train(seconds):
            break
        kills.append(f"{seconds:.1f} s ({training.moment(before)})")
    before = len(training.journal())
    there = [int(folder.name.removeprefix("step-")) for folder in training.checkpoints()[-1:]]
    training.train()
    resumed = [record["step"] for record in training.journal()[before:] if record.get("resumed")]
    return kills, f"went on from step {resumed[0]}" if resumed else "began anew", resumed == there


def main() -> None:
    """Train once undisturbed and many times with kills; print a line for each, and how many results were equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="number of trainings to kill (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moments (default: 1)")
    parser.add_argument("--family", default="transformer", choices=list(SIZES))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1, enough for so small a network)")
    parser.add_argument("--steps", type=int, default=250, help="updates per training (default: 250)")
    parser.add_argument("--dvc", action="store_true", help="train through `dvc repro train_model`")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    work = Path(tempfile.mkdtemp(prefix="kill-and-resume-"))
    begun = Training(work / "begun", options.threads, dvc=options.dvc)
    begun.prepare(options.family, options.steps, options.device)
    undisturbed = begun.copy(work / "undisturbed", options.threads)
    began = time.monotonic()
    undisturbed.train()
    duration = time.monotonic() - began
    expected = undisturbed.results()
    print(f"left alone: {duration:.1f} s, {len(expected)} files to compare", flush=True)
    done = identical = 0
    while done < options.kills:
        training = begun.copy(work / f"killed-{done + 1}", options.threads)
        kills, resumed, newest = disturb(training, duration, draw)
        if not kills:
            continue  # it finished before the drawn moment
        done += 1
        wrong = differing(expected, training.results()) + ["not from the newest checkpoint"] * (not newest)
        print(f"{done:3d}  killed at {' and '.join(kills)}, {resumed}: {', '.join(wrong) or 'identical'}", flush=True)
        if not wrong:
            identical += 1
            shutil.rmtree(training.folder)
    print(f"{identical} of {done} identical" + ("" if identical == done else f"; the others are in {work}"))
    if identical < done:
        sys.exit(1)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
