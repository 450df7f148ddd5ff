"""prepare_corpus is killed at random moments and run again: the files are those of a run that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["red", "blue", "door", "window", "opens", "slowly", "quickly", "house", "garden", "light", "garage", "Küche"]
FEW, MANY = 1, 20  # runs that are killed


def write_corpora(folder: Path, pairs: int) -> None:
    folder.mkdir()
    draw = random.Random(1)
    for name in ("a", "b"):
        lines = [" ".join(draw.choices(WORDS, k=6)) for _ in range(pairs // 2)]
        text = "".join(f"{line} {draw.choice(lines)[:9]}\t{line[::-1]} {draw.choice(WORDS)}\n" for line in lines)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")


def start(folder: Path, workers: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.corpus.killed_preparation", str(folder), str(workers)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def outputs(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in (folder / "out").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def kill_after(process: subprocess.Popen[bytes], folder: Path, results: int) -> bool:
    """Kill a process and its workers when there are this many results; return whether it was still running."""
    while process.poll() is None:
        if sum(1 for _ in folder.glob("scratch/*/*/done.json")) >= results:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.002)
    return False


@pytest.mark.parametrize(
    ("workers", "kills"), [(1, FEW), pytest.param(2, MANY, marks=pytest.mark.drill)], ids=["few", "many"]
)
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, workers: int, kills: int) -> None:
    pairs, draw = 3000, random.Random(2)
    write_corpora(tmp_path / "whole", pairs)
    assert start(tmp_path / "whole", workers).wait() == 0
    expected = outputs(tmp_path / "whole")
    assert sum(name.endswith(".parquet") for name in expected) > 3
    results = len(list((tmp_path / "whole").glob("scratch/*/*/done.json")))
    killed = 0
    for number in range(kills):
        folder = tmp_path / f"killed-{number}"
        write_corpora(folder, pairs)
        for moment in sorted(draw.sample(range(results), 2)):
            killed += kill_after(start(folder, workers), folder, moment)
        assert start(folder, workers).wait() == 0
        assert outputs(folder) == expected
    assert killed >= kills
