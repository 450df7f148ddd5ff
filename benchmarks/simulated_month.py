"""Simulate a month of scheduled retraining in minutes: new data on some days, failures and kills on others.

    python -m benchmarks.simulated_month
    python -m benchmarks.simulated_month --days 5 --keep month

In a copy of this clone, with a small corpus and a Prefect server on loopback, `python -m pipelines retrain` is run once
for each day. `MONTH` lists what happens to the data and to the processes on each day, and the states in which the
run may end. On three days something is killed (SIGKILL) at a random moment: the flow, the stage that trains, or every
process at once. Only the next run cleans up.

One line is printed for each day. Then follow every move of the champion, and for each kill whether the model is equal,
byte for byte, to one trained from the same data without a break. The last line is a JSON object. `refused` counts the
days on which the guard refused the data or the gate refused the model. `left_over` counts orphaned processes, and runs
that Prefect or MLflow still show as running. `lost` counts new data that is in no version, and models that differ from
the undisturbed ones. The exit status is 1 if a day ended in another state, or if anything is left over or lost.
"""

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.retraining_clone import Clone, Memory, left_over, server, undisturbed


class Day(NamedTuple):
    """What happens on a day, and the states in which the run may end; none if it is killed."""

    news: str  # what happens to the data: none, grow, trifle, rubbish or mend
    ends: tuple[str, ...]
    killed: str = ""  # flow, stage or machine


QUIET, GROW = Day("none", ("Skipped",)), Day("grow", ("Promoted",))
MENDED = Day("mend", ("Skipped", "Promoted", "NotPromoted"))  # depends on the verdict on the version of that data
RECOVERED = Day("none", ("Promoted",))
MONTH = [
    GROW, QUIET, QUIET, QUIET,
    Day("grow", (), "flow"), RECOVERED, QUIET, QUIET,
    GROW, QUIET, QUIET,
    Day("rubbish", ("Refused",)), Day("none", ("Refused",)), MENDED, QUIET,
    Day("grow", (), "machine"), RECOVERED, QUIET, QUIET,
    Day("trifle", ("NotPromoted",)), QUIET,
    Day("grow", ("Failed",), "stage"), RECOVERED, QUIET, QUIET, QUIET,
    GROW, QUIET, QUIET, QUIET,
]  # fmt: skip
SHORT = [GROW, Day("grow", (), "machine"), RECOVERED, QUIET, Day("rubbish", ("Refused",))]


class DayResult(NamedTuple):
    """The result of a day."""

    number: int
    day: Day
    state: str  # of the run in Prefect, or Killed
    message: str
    versions: int
    champion: str
    model: str | None  # DVC's hash of models/candidate
    seconds: float


def killer(how: str, draw: random.Random) -> Callable[[Clone, psutil.Process], None]:
    """Return a function that kills at a random moment of the next training; `how` is as in `Day.killed`."""
    lines = draw.randint(3, 60)

    def kill(clone: Clone, flow: psutil.Process) -> None:
        before = clone.journal_lines()
        while flow.is_running() and clone.journal_lines() < before + lines:
            time.sleep(0.02)
        flows = [flow, *flow.children()]
        everything = clone.processes()
        if how == "machine":
            chosen = [*flows, *everything]
        elif how == "flow":
            chosen = flows
        else:
            chosen = [
                each for each in everything if "train_model" in each.cmdline() and "seqloom.stages" in each.cmdline()
            ]
        for process in chosen:
            with contextlib.suppress(psutil.Error):
                process.kill()

    return kill


def print_day(result: DayResult) -> None:
    """Print a day in one line."""
    killed = f" [{result.day.killed} killed]" if result.day.killed else ""
    champion = f"champion {result.champion}" if result.champion else "no champion"
    message = result.message.splitlines()[0][:110] if result.message else ""
    print(
        f"day {result.number:2}  {result.day.news:<8}{killed:<17} {result.state:<12} {champion:<12} "
        f"{result.seconds:5.1f} s  {message}",
        flush=True,
    )


def live(clone: Clone, memory: Memory, days: list[Day], draw: random.Random) -> Iterator[DayResult]:
    """Run the days one after another and yield their results."""
    logs = clone.folder / "logs"
    logs.mkdir()
    for number, day in enumerate(days, 1):
        if day.news != "none":
            memory.change(day.news)
        seen = {run["id"] for run in clone.runs()}
        began = time.monotonic()
        killed = clone.retrain(logs / f"day-{number:02}.log", killer(day.killed, draw) if day.killed else None)
        fresh = [run for run in clone.runs() if run["id"] not in seen]
        state = "Killed" if killed else (fresh[0]["state"]["name"] if fresh else "none")
        message = "" if killed or not fresh else str(fresh[0]["state"]["message"] or "")
        versions = [] if number == 1 and killed else clone.versions()
        champion = next((version["version"] for version in versions if "champion" in version["aliases"]), "")
        yield DayResult(number, day, state, message, len(versions), champion, clone.model(), time.monotonic() - began)


def simulate(folder: Path, days: list[Day], seed: int) -> dict[str, Any]:
    """Run the days in `folder` and return the figures."""
    began = time.monotonic()
    draw = random.Random(seed)
    clone_folder = folder / "clone"
    clone_folder.mkdir(parents=True, exist_ok=True)
    with server(clone_folder) as api:
        clone = Clone(clone_folder, api)
        clone.prepare()
        memory = Memory(clone_folder / "data" / "local" / "memory.tsv", seed)
        story: list[DayResult] = []
        texts: dict[int, bytes] = {}
        for result in live(clone, memory, days, draw):
            print_day(result)
            story.append(result)
            texts[result.number] = (clone_folder / "data" / "local" / "memory.tsv").read_bytes()
        print("\n" + clone.call(sys.executable, "-m", "seqloom.cli", "history"))
        crashed = [result for result in story if result.day.killed]
        recovered, differ = 0, 0
        for result in crashed:
            after = story[result.number]
            alone = undisturbed(folder / f"undisturbed-{result.number}", texts[result.number], api)
            same = alone == after.model
            differ += not same
            recovered += after.state in after.day.ends
            print(f"day {result.number}: {result.day.killed} killed; the model of day {after.number} is "
                  f"{'the same as' if same else 'NOT'} that of an undisturbed training ({alone})")  # fmt: skip
        left = left_over(clone)
        wanted = [result for result in story if result.day.news in ("grow", "trifle")]
        lost = len(wanted) - story[-1].versions + differ
    wrong = [result for result in story if result.state not in (result.day.ends or ("Killed",))]
    for result in wrong:
        print(
            f"day {result.number} ended as {result.state}; it should have been "
            f"{' or '.join(result.day.ends) or 'killed'}"
        )
    for each in left:
        print(f"left over: {each}")
    states = [result.state for result in story]
    counts = [0, *(result.versions for result in story)]
    trained = sum(after > before for before, after in pairwise(counts))
    return {
        "days": len(story), "skipped": states.count("Skipped"), "trained": trained,
        "promoted": sum(result.state == "Promoted" and result.day.news != "mend" for result in story),
        "refused": states.count("Refused") + states.count("NotPromoted"), "crashed": len(crashed),
        "recovered": recovered, "left_over": len(left), "lost": lost, "wrong_days": len(wrong),
        "seconds": round(time.monotonic() - began),
    }  # fmt: skip


def main() -> None:
    """Simulate, and print the figures as a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--days", type=int, default=30, choices=(len(SHORT), len(MONTH)), help="30, or 5 for a short form"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the data and of the moments of kills")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder to run in, which is kept")
    options = parser.parse_args()
    days = MONTH if options.days == len(MONTH) else SHORT
    if options.keep is not None:
        figures = simulate(options.keep.resolve(), days, options.seed)
    else:
        with tempfile.TemporaryDirectory(prefix="seqloom-month-") as folder:
            figures = simulate(Path(folder), days, options.seed)
    print(json.dumps(figures))
    sys.exit(bool(figures["wrong_days"] or figures["left_over"] or figures["lost"]))


if __name__ == "__main__":
    main()
