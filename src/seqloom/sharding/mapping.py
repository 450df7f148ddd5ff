"""`map_shards`: apply a step to every shard with a launcher, and skip what is done."""

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from seqloom.errors import ShardError
from seqloom.progress import Listener, Progress
from seqloom.sharding.step import Input, Outcome, Step, Task, fingerprint_of, rows_of

_SHOWN = 5  # failed shards named in a message


class Launcher(Protocol):
    """Runs workers on tasks. `map_shards` decides which shards are skipped, tried again or reported."""

    def run(self, step: Step, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Do the tasks with a step, and yield what became of each, in any order.

        Tasks are taken when a worker is about to be free, because making them may take time and disk space. A task
        whose worker dies is yielded with a fault, like one that fails.
        """


class Workshop(NamedTuple):
    """The scratch folder, the launcher and the device for a step that needs a model.

    Files of earlier runs in the folder are kept if they still fit.
    """

    scratch: Path
    launcher: Launcher
    device: str


class Result(NamedTuple):
    """The result for one shard: a folder with the files that the step wrote."""

    folder: Path
    rows: int
    fingerprint: str


def map_shards(
    step: Step, inputs: Iterable[Input], into: Path, launcher: Launcher, listen: Listener, total: int | None = None
) -> list[Result]:
    """Apply a step to every input, and return the results in the order of the inputs.

    Results that are there already, from the same input, settings and code, are kept; so after an interruption only the
    shards that were being worked on are repeated. A shard that fails is tried once more when the others are done.
    Results of earlier inputs that are no longer among the inputs are removed.

    Args:
        step: what to do.
        inputs: the shards; taken one by one, so they may be written while others are worked on.
        into: the folder of the results, one subfolder for each.
        launcher: runs the workers.
        listen: receives the progress in shards, with the rate in rows and the time left.
        total: the number of inputs, if it is known.

    Raises:
        ShardError: some shards failed twice, or in a way that trying again cannot mend; the others stay done.
    """
    results: dict[int, Result] = {}
    meter = _Meter(step.name, listen, total)
    into.mkdir(parents=True, exist_ok=True)

    def waiting() -> Iterator[Task]:
        for number, each in enumerate(inputs):
            fingerprint = fingerprint_of(step, each.identity)
            task = Task(number, each, into / f"{number:05}", fingerprint)
            if (rows := rows_of(task.folder, fingerprint)) is not None:
                results[number] = Result(task.folder, rows, fingerprint)
                meter.skipped()
            else:
                yield task

    failed = list(_failures(launcher.run(step, waiting()), results, meter))
    again = [outcome.task for outcome in failed if not outcome.final]
    final = [outcome for outcome in failed if outcome.final]
    if again and not final:
        final = list(_failures(launcher.run(step, iter(again)), results, meter))
    elif again:
        final += [outcome for outcome in failed if not outcome.final]
    if final:
        raise ShardError(_message(step, sorted(final, key=lambda outcome: outcome.task.number), len(results)))
    meter.finish(len(results))
    _remove_others(into, {result.folder.name for result in results.values()})
    return [results[number] for number in sorted(results)]


def _failures(outcomes: Iterator[Outcome], results: dict[int, Result], meter: "_Meter") -> Iterator[Outcome]:
    """Record the results of tasks that succeeded, and yield the outcomes of the others."""
    for outcome in outcomes:
        if outcome.fault:
            meter.failed(outcome)
            yield outcome
        else:
            task = outcome.task
            results[task.number] = Result(task.folder, outcome.rows, task.fingerprint)
            meter.done(outcome)


def _message(step: Step, failed: list[Outcome], done: int) -> str:
    shown = [f"{outcome.task.input.path}: {outcome.fault}" for outcome in failed[:_SHOWN]]
    more = [f"and {len(failed) - _SHOWN:,} more"] if len(failed) > _SHOWN else []
    head = f"{step.name}: {len(failed):,} shards failed; {done:,} are done and will not be repeated"
    return "\n".join([head, *shown, *more])


def _remove_others(into: Path, names: set[str]) -> None:
    for path in into.iterdir():
        if path.is_dir() and path.name not in names:
            shutil.rmtree(path, ignore_errors=True)


class _Meter:
    """Reports progress: shards, rows per second, and the time left if the number of shards is known."""

    def __init__(self, task: str, listen: Listener, total: int | None) -> None:
        self._task, self._listen, self._total = task, listen, total
        self._done, self._fresh, self._rows = 0, 0, 0
        self._started = time.monotonic()

    def skipped(self) -> None:
        self._done += 1
        self._tell()

    def done(self, outcome: Outcome) -> None:
        self._done += 1
        self._fresh += 1
        self._rows += outcome.rows
        self._tell()

    def failed(self, outcome: Outcome) -> None:
        self._tell(f"{outcome.task.input.path.name} failed: {outcome.fault.splitlines()[0]}")

    def finish(self, total: int) -> None:
        self._total = total
        self._tell()

    def _tell(self, fault: str = "") -> None:
        self._listen(Progress(self._task, self._done, self._total, "shards", fault or self._rate()))

    def _rate(self) -> str:
        seconds = time.monotonic() - self._started
        if not self._fresh or not seconds:
            return ""
        rate = f"{self._rows / seconds:,.0f} rows/s"
        if self._total is None or self._done >= self._total:
            return rate
        return f"{rate}, {seconds / self._fresh * (self._total - self._done):,.0f} s left"
