"""Measure prepare_corpus: pairs per second, CPU time and memory, by the number of pairs and of local workers.

    python -m benchmarks.prepare_corpus --texts FOLDER --pairs 1000000 4000000 --workers 1 2

FOLDER contains pairs to make corpora from: files of lines with a source and a target, TAB-separated (.tsv, .tsv.gz).
A pair of the corpus is one of them, or two of them in a row, so the texts of a corpus of any size are plausible and
mostly different. Each corpus is prepared by the stage in a process of its own, which prints one line of JSON:

- wall_s, pairs_per_s: time on the clock, which says little on a machine that does other work.
- cpu_s, pairs_per_cpu_s: processor time of all processes together.
- parallel: cpu_s divided by wall_s.
- peak_mb: the highest sum of the memory of all processes (PSS: shared pages are divided among those who share them).
- files_mb: what the stage wrote. kept, near_copies: from metrics/corpus.json, which must not depend on the workers.

With --code, the stage of another checkout is measured, such as that of an earlier commit. With --kills, the stage is
killed at random moments and run again, and the files must be those of a run that was left alone.

With --opusfilter, OpusFilter (its program, from an environment of its own) prepares the same corpora with the same
number of processes and the nearest of its rules: white space, words, characters, length ratio, letters, addresses,
duplicates by both texts, and three splits by hash. It has no check of placeholders, overlaps or leaks, and writes no
statistics, which seqloom's figures include.
"""

import argparse
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from benchmarks.workspace import ROOT
from seqloom.params import load_params

OUTPUTS = ("data/corpus", "metrics", "reports")
EVERY = 0.2  # seconds between two looks at the memory
SHARE = 0.3  # of pairs that are a single one of the given pairs


class Setting(NamedTuple):
    """What is run."""

    code: Path
    workers: int
    shards: dict[str, int] | None


class Usage(NamedTuple):
    """What a run took."""

    wall: float
    cpu: float
    peak: int


def main() -> None:
    """Print a line for each size and number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, help="folder of TAB-separated pairs")
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--code", type=Path, default=ROOT, help="checkout to measure (default: this one)")
    parser.add_argument(
        "--shards", type=int, nargs=2, metavar=("ABOVE", "SIZE"), help="the settings `shards`, in bytes"
    )
    parser.add_argument("--kills", type=int, default=0, help="runs that are killed, instead of measurements")
    parser.add_argument("--opusfilter", type=Path, help="OpusFilter's program, to compare with")
    parser.add_argument("--folder", type=Path, help="where corpora are made (default: a temporary folder)")
    options = parser.parse_args()
    shards = dict(zip(("above", "size"), options.shards, strict=True)) if options.shards else None
    for pairs in options.pairs:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            configure(folder, options.code, shards)
            write_corpus(options.texts, folder / "data/raw/made", pairs)
            for workers in options.workers:
                setting = Setting(options.code.resolve(), workers, shards)
                if options.kills:
                    kill(folder, setting, options.kills)
                else:
                    print(json.dumps(measure(folder, setting, pairs)), flush=True)
                if options.opusfilter:
                    print(json.dumps(measure_opusfilter(folder, options.opusfilter, workers, pairs)), flush=True)


def configure(folder: Path, code: Path, shards: dict[str, int] | None) -> None:
    """Write the params.yaml of a checkout, changed for a corpus in data/raw/made."""
    params: dict[str, Any] = yaml.safe_load((code / "params.yaml").read_text(encoding="utf-8"))
    params["train"]["lr"] = float(params["train"]["lr"])  # YAML 1.1 reads 4e-3 as text
    params["corpora"] = {"made": {"kind": "file", "path": "data/local/made.tsv", "format": "tsv"}}
    params["prepare"]["max_leakage"] = 1.0
    params["prepare"]["split"].update(by="pair", valid=0.002, test=0.002)
    if shards is not None:
        params["shards"] = shards
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def write_corpus(texts: Path, folder: Path, pairs: int) -> None:
    """Write a corpus of this many pairs, made from those in the folder `texts`."""
    known = list(_pairs(texts))
    if not known:
        sys.exit(f"{texts}: contains no .tsv or .tsv.gz with pairs")
    draw = random.Random(pairs)
    folder.mkdir(parents=True)
    with (folder / "made.tsv").open("w", encoding="utf-8") as file:
        for _ in range(pairs):
            source, target = draw.choice(known)
            if draw.random() >= SHARE:
                more = draw.choice(known)
                source, target = f"{source} {more[0]}", f"{target} {more[1]}"
            file.write(f"{source}\t{target}\n")


def _pairs(texts: Path) -> Iterator[tuple[str, str]]:
    for path in sorted([*texts.rglob("*.tsv"), *texts.rglob("*.tsv.gz")]):
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                source, target, *_ = [*line.rstrip("\n").split("\t"), "", ""]
                if source and target:
                    yield source, target


def start(folder: Path, setting: Setting) -> subprocess.Popen[bytes]:
    """Start the stage in a process group of its own."""
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(setting.code / "src"),
        "SEQLOOM_LAUNCHER": "local", "SEQLOOM_WORKERS": str(setting.workers),
    }  # fmt: skip
    command = [sys.executable, "-m", "seqloom.stages", "prepare_corpus"]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)


def measure(folder: Path, setting: Setting, pairs: int) -> dict[str, Any]:
    """Run the stage, and return the figures."""
    used = run(folder, setting)
    metrics = json.loads((folder / "metrics/corpus.json").read_text(encoding="utf-8"))
    written = sum(path.stat().st_size for path in (folder / "data/corpus").rglob("*") if path.is_file())
    return {
        **figures(used, setting.workers, pairs),
        "files_mb": round(written / 2**20),
        "kept": metrics["kept"],
        "near_copies": [metrics["leakage"][split]["near_copies"] for split in ("valid", "test")],
        "sha256": digest(folder)[:12],
    }


def figures(used: Usage, workers: int, pairs: int) -> dict[str, Any]:
    """Return the figures that both programs have: rate, processor time and memory."""
    return {
        "pairs": pairs,
        "workers": workers,
        "wall_s": round(used.wall, 1),
        "pairs_per_s": round(pairs / used.wall),
        "cpu_s": round(used.cpu, 1),
        "pairs_per_cpu_s": round(pairs / used.cpu),
        "parallel": round(used.cpu / used.wall, 2),
        "peak_mb": round(used.peak / 2**20),
    }


def measure_opusfilter(folder: Path, program: Path, workers: int, pairs: int) -> dict[str, Any]:
    """Run OpusFilter on the corpus that `write_corpus` wrote into a folder, and return the figures."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        with (
            (folder / "data/raw/made/made.tsv").open(encoding="utf-8") as pairs_file,
            (work / "raw.en").open("w", encoding="utf-8") as sources,
            (work / "raw.de").open("w", encoding="utf-8") as targets,
        ):
            for line in pairs_file:
                source, target = line.rstrip("\n").split("\t")
                sources.write(f"{source}\n")
                targets.write(f"{target}\n")
        configuration = {"common": {"output_directory": ".", "default_n_jobs": workers}, "steps": opusfilter_steps()}
        (work / "steps.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (folder / "log.txt").open("ab") as log:
            command = [str(program.absolute()), "steps.yaml"]
            used = watch(lambda: subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=log), folder)
        with (work / "train.en").open("rb") as file:
            return {"program": "OpusFilter", **figures(used, workers, pairs), "kept": sum(1 for _ in file)}


def opusfilter_steps() -> list[dict[str, Any]]:
    """Return the steps of OpusFilter that are nearest to the rules of params.yaml."""

    def files(name: str) -> list[str]:
        return [f"{name}.en", f"{name}.de"]

    def step(kind: str, source: str, **parameters: Any) -> dict[str, Any]:
        return {"type": kind, "parameters": {"inputs": files(source), **parameters}}

    clean = load_params(ROOT / "params.yaml").prepare.clean
    filters: list[dict[str, Any]] = [
        {"LengthFilter": {"unit": "word", "min_length": clean.min_words, "max_length": clean.max_words}},
        {"LengthFilter": {"unit": "char", "min_length": 1, "max_length": clean.max_characters}},
        {"LengthRatioFilter": {"unit": "char", "threshold": clean.max_length_ratio}},
        {"AlphabetRatioFilter": {"threshold": clean.min_letter_share}},
        {"RegExpFilter": {"regexps": r"(https?://|www\.)", "accept_match": False}},
    ]
    held_out = {"divisor": 1000, "compare": "all"}
    return [
        step("preprocess", "raw", outputs=files("plain"), preprocessors=[{"WhitespaceNormalizer": {}}]),
        step("filter", "plain", outputs=files("clean"), filters=filters),
        step("remove_duplicates", "clean", outputs=files("unique")),
        step("split", "unique", outputs=files("held"), outputs_2=files("train"), threshold=4, **held_out),
        step("split", "held", outputs=files("valid"), outputs_2=files("test"), divisor=2, compare="all", seed=1),
    ]


def run(folder: Path, setting: Setting) -> Usage:
    """Run the stage to its end, and return what it took."""
    return watch(lambda: start(folder, setting), folder)


def watch(start_process: Callable[[], subprocess.Popen[bytes]], folder: Path) -> Usage:
    """Start a process that logs to log.txt in a folder, wait for its end, and return what it took."""
    before = os.times()
    started, peak = time.monotonic(), 0
    process = start_process()
    root = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, memory(root))
        time.sleep(EVERY)
    if process.returncode:
        sys.exit(f"it failed:\n{(folder / 'log.txt').read_text()[-3000:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Usage(time.monotonic() - started, cpu, peak)


def memory(root: psutil.Process) -> int:
    """Return the memory of a process and its descendants, in bytes."""
    total = 0
    try:
        for each in [root, *root.children(recursive=True)]:
            total += each.memory_full_info().pss
    except psutil.Error:  # one of them ended
        return 0
    return total


def digest(folder: Path) -> str:
    """Return a hash of all files that the stage wrote."""
    found = hashlib.sha256()
    for path in sorted(path for place in OUTPUTS for path in (folder / place).rglob("*") if path.is_file()):
        found.update(str(path.relative_to(folder)).encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def kill(folder: Path, setting: Setting, kills: int) -> None:
    """Kill the stage at random moments, up to three times, and then run it to its end; print how many are identical."""
    used, draw = run(folder, setting), random.Random(1)
    expected, identical = digest(folder), 0
    for number in range(1, kills + 1):
        remove(folder, (*OUTPUTS, "scratch"))
        moments = [draw.uniform(0.5, used.wall) for _ in range(draw.choice((1, 1, 2, 3)))]
        killed = sum(interrupted(folder, setting, moment) for moment in moments)
        again = run(folder, setting)
        same = digest(folder) == expected
        identical += same
        told = f"killed {killed} times, then {again.cpu:.1f} of {used.cpu:.1f} s of processor time"
        print(f"{number:3d}  {told}: {'identical' if same else 'DIFFERENT'}", flush=True)
    print(f"{identical} of {kills} identical with {setting.workers} workers")
    if identical < kills:
        sys.exit(1)


def interrupted(folder: Path, setting: Setting, seconds: float) -> bool:
    """Start the stage and kill all of its processes after some seconds; return whether it was still running."""
    process = start(folder, setting)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def remove(folder: Path, places: Sequence[str]) -> None:
    """Remove what the stage wrote."""
    subprocess.run(["rm", "-rf", *places], cwd=folder, check=True)


if __name__ == "__main__":
    main()
