"""A month of scheduled retraining in minutes: thirty days on which data comes or not, and things go wrong.

    python -m benchmarks.simulated_month
    python -m benchmarks.simulated_month --days 5 --keep month

In a copy of this clone, with a small corpus of its own and a Prefect server on loopback, `python -m pipelines retrain`
is run once a day, as a schedule would. What happens to the data and to the processes on each day stands in `MONTH`,
and so does the state in which that day's run has to end. On three days something is killed (SIGKILL) at a random
moment: the flow, the stage that trains, or everything on the machine at once. Nobody cleans up but the next run.

Each day is told in a line. At the end: every move of the champion; whether a model that was killed on its way is the
same, byte for byte, as one trained from the same data without a break; and what was left over. The last line is one
JSON object. `refused` counts days whose data the guard or whose model the gate refused. `zombies` counts runs that
Prefect or MLflow take for running, and processes that nobody owns; `lost` counts data that came into no version though
it should have, and models that differ from the undisturbed ones. The exit status is 1 if a day ended otherwise than it
had to, or if anything is left over or lost.
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

from benchmarks.retraining_clone import Clone, Memory, server, undisturbed, zombies


class Day(NamedTuple):
    """What happens on a day, and how the run has to end: one of these states, or none where it is killed."""

    news: str  # to the data: none, grow, trifle, rubbish or mend
    ends: tuple[str, ...]
    killed: str = ""  # flow, stage or machine


QUIET, GROW = Day("none", ("Skipped",)), Day("grow", ("Promoted",))
MENDED = Day("mend", ("Skipped", "Promoted", "NotPromoted"))  # whatever was said of the version of that data
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


class Told(NamedTuple):
    """What came of a day."""

    number: int
    day: Day
    state: str  # of the run in Prefect, or Killed
    said: str
    versions: int
    champion: str
    model: str | None  # DVC's hash of models/candidate
    seconds: float


def killer(how: str, draw: random.Random) -> Callable[[Clone, psutil.Process], None]:
    """Something that kills at a random moment of the training that is to come."""
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


def tell(told: Told) -> None:
    """A day in a line."""
    killed = f" [{told.day.killed} killed]" if told.day.killed else ""
    champion = f"champion {told.champion}" if told.champion else "no champion"
    said = told.said.splitlines()[0][:110] if told.said else ""
    print(
        f"day {told.number:2}  {told.day.news:<8}{killed:<17} {told.state:<12} {champion:<12} "
        f"{told.seconds:5.1f} s  {said}",
        flush=True,
    )


def live(clone: Clone, memory: Memory, days: list[Day], draw: random.Random) -> Iterator[Told]:
    """Run the days one after another."""
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
        said = "" if killed or not fresh else str(fresh[0]["state"]["message"] or "")
        versions = [] if number == 1 and killed else clone.versions()
        champion = next((version["version"] for version in versions if "champion" in version["aliases"]), "")
        yield Told(number, day, state, said, len(versions), champion, clone.model(), time.monotonic() - began)


def simulate(folder: Path, days: list[Day], seed: int) -> dict[str, Any]:
    """Live through the days in `folder`; return the figures."""
    began = time.monotonic()
    draw = random.Random(seed)
    clone_folder = folder / "clone"
    clone_folder.mkdir(parents=True)
    with server(clone_folder) as api:
        clone = Clone(clone_folder, api)
        clone.prepare()
        memory = Memory(clone_folder / "data" / "local" / "memory.tsv", seed)
        story: list[Told] = []
        texts: dict[int, bytes] = {}
        for told in live(clone, memory, days, draw):
            tell(told)
            story.append(told)
            texts[told.number] = (clone_folder / "data" / "local" / "memory.tsv").read_bytes()
        print("\n" + clone.call(sys.executable, "-m", "seqloom.cli", "history"))
        crashed = [told for told in story if told.day.killed]
        recovered, differ = 0, 0
        for told in crashed:
            after = story[told.number]
            alone = undisturbed(folder / f"undisturbed-{told.number}", texts[told.number], api)
            same = alone == after.model
            differ += not same
            recovered += after.state in after.day.ends
            print(f"day {told.number}: {told.day.killed} killed; the model of day {after.number} is "
                  f"{'the same as' if same else 'NOT'} that of an undisturbed training ({alone})")  # fmt: skip
        left = zombies(clone)
        wanted = [told for told in story if told.day.news in ("grow", "trifle")]
        lost = len(wanted) - story[-1].versions + differ
    wrong = [told for told in story if told.state not in (told.day.ends or ("Killed",))]
    for told in wrong:
        print(f"day {told.number} had to end as {' or '.join(told.day.ends) or 'killed'}, not as {told.state}")
    for each in left:
        print(f"left over: {each}")
    states = [told.state for told in story]
    counts = [0, *(told.versions for told in story)]
    trained = sum(after > before for before, after in pairwise(counts))
    return {
        "days": len(story), "skipped": states.count("Skipped"), "trained": trained,
        "promoted": sum(told.state == "Promoted" and told.day.news != "mend" for told in story),
        "refused": states.count("Refused") + states.count("NotPromoted"), "crashed": len(crashed),
        "recovered": recovered, "zombies": len(left), "lost": lost, "wrong_days": len(wrong),
        "seconds": round(time.monotonic() - began),
    }  # fmt: skip


def main() -> None:
    """Simulate, and print the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30, choices=(len(SHORT), len(MONTH)), help="5 is a short form")
    parser.add_argument("--seed", type=int, default=1, help="of the data and of the moments")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where it is simulated, and stays; must be new")
    options = parser.parse_args()
    days = MONTH if options.days == len(MONTH) else SHORT
    if options.keep is not None:
        figures = simulate(options.keep.resolve(), days, options.seed)
    else:
        with tempfile.TemporaryDirectory(prefix="seqloom-month-") as folder:
            figures = simulate(Path(folder), days, options.seed)
    print(json.dumps(figures))
    sys.exit(bool(figures["wrong_days"] or figures["zombies"] or figures["lost"]))


if __name__ == "__main__":
    main()
