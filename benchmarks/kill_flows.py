"""Kill all processes of a retraining at random moments, and check that the next run completes its work.

    python -m benchmarks.kill_flows --kills 20

In a copy of this clone with a small corpus, `python -m pipelines retrain` is run once undisturbed. Then, each time in a
new copy, the flow and all of its processes are killed (SIGKILL) at a random moment of that duration, as in a power cut,
and the flow is run again, as a schedule would. A run that ends before its moment is replaced by another. The run after
a kill must end with the same model, byte for byte, with exactly one version, and with nothing that Prefect, MLflow or
DVC show as running. The Prefect server stands for one on another machine, so it is not killed. The exit status is 1 if
anything differs.
"""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import psutil

from benchmarks.retraining_clone import Clone, Memory, left_over, server


def kill_after(seconds: float, clone: Clone, flow: psutil.Process) -> None:
    """Wait, then kill the flow and all of its processes at once."""
    time.sleep(seconds)
    with contextlib.suppress(psutil.Error):
        for process in [*flow.children(), flow, *clone.processes()]:
            with contextlib.suppress(psutil.Error):
                process.kill()


def main() -> None:
    """Kill, run again, compare, and print a line for each kill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="seed of the random moments")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="seqloom-flows-") as place, server(Path(place)) as api:
        folder = Path(place)
        alone = Clone(folder / "alone", api)
        alone.prepare()
        Memory(alone.folder / "data" / "local" / "memory.tsv", options.seed).change("grow")
        shutil.copytree(alone.folder, folder / "fresh", symlinks=True)
        began = time.monotonic()
        alone.retrain(folder / "alone.log", None)
        whole = time.monotonic() - began
        model = alone.model()
        print(f"undisturbed: {whole:.1f} s, model {model}", flush=True)
        kills = tries = good = 0
        while kills < options.kills:
            tries += 1
            clone = Clone(folder / f"clone-{tries}", api)
            shutil.copytree(folder / "fresh", clone.folder, symlinks=True, dirs_exist_ok=True)
            after = draw.uniform(1.0, whole)
            if not clone.retrain(folder / "killed.log", partial(kill_after, after)):
                shutil.rmtree(clone.folder)
                continue
            kills += 1
            trained = clone.journal_lines()
            clone.retrain(folder / "again.log", None)
            left = left_over(clone)
            same = clone.model() == model and len(clone.versions()) == 1 and not left
            good += same
            state = clone.runs()[0]["state"]["name"]
            ends = "the same" if same else f"DIFFERS ({clone.model()}, {len(clone.versions())} versions, left: {left})"
            print(
                f"{kills:3}  killed after {after:5.1f} s ({trained} lines of journal), then {state}: {ends}",
                flush=True,
            )
            shutil.rmtree(clone.folder)
    print(f"{good} of {options.kills} the same")
    sys.exit(good < options.kills)


if __name__ == "__main__":
    main()
