"""One trial: its point becomes params.yaml of the sweep's clone, DVC makes the model, validation BLEU is what counts.

Whether a trial is worth going on with, others decide; it is asked at each validation.
"""

import json
import math
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from pipelines.cli_client import RefusedError, use_preset
from pipelines.environment import environment
from pipelines.supervision.logged_command import run_logged
from pipelines.sweeping.curves import Value, Watch, journal_curves, table_curves
from pipelines.sweeping.space import Point, Sweep, as_preset

STAGE = "train_model"
LOCK_DELAY, LOCK_TRIES = 5.0, 60
_LOCKED = re.compile(r"Unable to acquire lock|is busy, it is being blocked by")
_HINTS = re.compile(
    r"|To track the changes with git, run:|\tgit add .*|To enable auto staging.*|\tdvc config .*|Use `dvc push` .*"
)

ShouldPrune = Callable[[int, float], bool]


class Result(NamedTuple):
    """What became of a trial: complete with a value, pruned, or failed with a reason."""

    state: str
    value: float | None
    reason: str
    steps: int | None
    curves: list[Value]
    restored: bool  # by DVC, without training


class _PrunedError(Exception):
    pass


class _TooLongError(Exception):
    pass


class Place(NamedTuple):
    """Where trials are made, and on whose behalf."""

    root: Path  # the clone that the sweep belongs to: the next flow there ends what a killed one left running
    clone: Path
    log: Path


def run_trial(place: Place, sweep: Sweep, point: Point, should_prune: ShouldPrune) -> Result:
    """Train the point; however that ends, none of its processes lives on."""
    clone = place.clone
    shutil.copyfile(clone.with_name("params.yaml"), clone / "params.yaml")
    try:
        preset = write_preset(clone / "scratch" / "trial.yaml", {**sweep.fixed, **point}, f"A trial of {sweep.name}")
        use_preset(clone, preset.relative_to(clone))
    except RefusedError as error:
        return Result("failed", None, str(error), None, [], False)
    watch, lines, began = Watch(clone / "scratch"), list[str](), time.monotonic()
    last: tuple[int, float] | None = None

    def look() -> None:
        nonlocal last
        for step, bleu in watch.validations():
            last = step, bleu
            if should_prune(step, bleu):
                raise _PrunedError
        if sweep.trial_minutes is not None and time.monotonic() - began > sweep.trial_minutes * 60:
            raise _TooLongError

    try:
        status = _reproduce(place, lines, look)
    except _PrunedError:
        assert last is not None
        return _unfinished("pruned", f"validation BLEU {last[1]:.2f} at step {last[0]}", last, watch)
    except _TooLongError:
        return _unfinished("failed", f"took longer than trial_minutes ({sweep.trial_minutes:g})", last, watch)
    if status != 0:
        said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        own = [line for line in lines if not line.startswith("ERROR: ")] or lines
        return _unfinished("failed", "; ".join(said) or (own[-1] if own else f"ended with {status}"), last, watch)
    return _finished(clone, sweep, restored=watch.path is None and not watch.validations())


def write_preset(path: Path, point: Point, purpose: str) -> Path:
    """Write a point as a preset, whose first comment says what it is; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    yaml = YAML()
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    with beside.open("w", encoding="utf-8") as file:
        file.write(f"# {purpose}\n")
        yaml.dump(as_preset(point), file)
    beside.replace(path)
    return path


def drop_checkpoints(clone: Path) -> None:
    """Remove what training keeps to go on from; the point of a trial that has ended is not trained again."""
    for journal in (clone / "scratch").glob("*/journal.jsonl"):
        shutil.rmtree(journal.parent, ignore_errors=True)


def _reproduce(place: Place, lines: list[str], look: Callable[[], None]) -> int:
    # The code of the copy is what DVC hashes there, so it is what runs there.
    surroundings = {**environment(place.root), "PYTHONPATH": str(place.clone / "src")}
    status = 0
    for _ in range(LOCK_TRIES):
        lines.clear()
        command = [sys.executable, "-m", "dvc", "repro", STAGE]
        status = run_logged(
            command,
            log=place.log,
            root=place.clone,
            environment=surroundings,
            tell=lines.append,
            hidden=_HINTS,
            look=look,
        )
        if status == 0 or not any(_LOCKED.search(line) for line in lines):
            break
        time.sleep(LOCK_DELAY)
    return status


def _unfinished(state: str, reason: str, last: tuple[int, float] | None, watch: Watch) -> Result:
    step, bleu = last or (None, None)
    return Result(state, bleu, reason, step, journal_curves(watch.path) if watch.path else [], False)


def _finished(clone: Path, sweep: Sweep, *, restored: bool) -> Result:
    metrics = json.loads((clone / "metrics" / "training.json").read_text(encoding="utf-8"))
    value, curves = metrics.get(sweep.metric), table_curves(clone / "plots" / "training.csv")
    if not isinstance(value, int | float) or not math.isfinite(value):
        reason = f"metrics/training.json has no {sweep.metric} that is a number: {value!r}"
        return Result("failed", None, reason, metrics.get("steps"), curves, restored)
    return Result("complete", float(value), "", metrics.get("steps"), curves, restored)
