"""Runs one trial: writes its point into params.yaml of the sweep's clone, and lets DVC train the model there.

The result is the validation BLEU. The caller decides at each validation whether to stop the trial.
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

from pipelines.cli_client import use_preset
from pipelines.environment import environment
from pipelines.errors import CommandError
from pipelines.supervision.logged_command import run_logged
from pipelines.sweeping.curves import CurvePoint, JournalReader, journal_curves, table_curves
from pipelines.sweeping.space import Point, Sweep, as_preset
from seqloom.files import replacing
from seqloom.places import TRAINING_METRICS, TRAINING_PLOT

STAGE = "train_model"
LOCK_DELAY, LOCK_TRIES = 5.0, 60
_LOCKED = re.compile(r"Unable to acquire lock|is busy, it is being blocked by")
_HINTS = re.compile(
    r"|To track the changes with git, run:|\tgit add .*|To enable auto staging.*|\tdvc config .*|Use `dvc push` .*"
)

ShouldPrune = Callable[[int, float], bool]


class Result(NamedTuple):
    """The end of a trial: complete with a value, pruned, or failed with a reason."""

    state: str
    value: float | None
    reason: str
    steps: int | None
    curves: list[CurvePoint]
    restored: bool  # from DVC's cache, without training


class _PrunedError(Exception):
    pass


class _TooLongError(Exception):
    pass


class Place(NamedTuple):
    """Where trials run."""

    root: Path  # the clone that the sweep was started in: the next flow there ends the orphans of a killed sweep
    clone: Path
    log: Path


def run_trial(place: Place, sweep: Sweep, point: Point, should_prune: ShouldPrune) -> Result:
    """Train the point. When this returns or raises, all of its processes have ended."""
    clone = place.clone
    shutil.copyfile(clone.with_name("params.yaml"), clone / "params.yaml")
    try:
        preset = write_preset(clone / "scratch" / "trial.yaml", {**sweep.fixed, **point}, f"A trial of {sweep.name}")
        use_preset(clone, preset.relative_to(clone))
    except CommandError as error:
        return Result("failed", None, str(error), None, [], False)
    journal, lines, began = JournalReader(clone / "scratch"), list[str](), time.monotonic()
    last: tuple[int, float] | None = None

    def poll() -> None:
        nonlocal last
        for step, bleu in journal.validations():
            last = step, bleu
            if should_prune(step, bleu):
                raise _PrunedError
        if sweep.trial_minutes is not None and time.monotonic() - began > sweep.trial_minutes * 60:
            raise _TooLongError

    try:
        status = _reproduce(place, lines, poll)
    except _PrunedError:
        assert last is not None
        return _unfinished("pruned", f"validation BLEU {last[1]:.2f} at step {last[0]}", last, journal)
    except _TooLongError:
        return _unfinished("failed", f"took longer than trial_minutes ({sweep.trial_minutes:g})", last, journal)
    if status != 0:
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        own = [line for line in lines if not line.startswith("ERROR: ")] or lines
        return _unfinished("failed", "; ".join(errors) or (own[-1] if own else f"ended with {status}"), last, journal)
    return _finished(clone, sweep, restored=journal.path is None and not journal.validations())


def write_preset(path: Path, point: Point, purpose: str) -> Path:
    """Write a point as a preset, with `purpose` as its first comment."""
    yaml = YAML()
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    with replacing(path) as beside, beside.open("w", encoding="utf-8") as file:
        file.write(f"# {purpose}\n")
        yaml.dump(as_preset(point), file)
    return path


def drop_checkpoints(clone: Path) -> None:
    """Remove the checkpoints: the point of a trial that has ended is not trained again."""
    for journal in (clone / "scratch").glob("*/journal.jsonl"):
        shutil.rmtree(journal.parent, ignore_errors=True)


def _reproduce(place: Place, lines: list[str], poll: Callable[[], None]) -> int:
    # DVC hashes the code of the copy, so that code runs.
    variables = {**environment(place.root), "PYTHONPATH": str(place.clone / "src")}
    status = 0
    for _ in range(LOCK_TRIES):
        lines.clear()
        command = [sys.executable, "-m", "dvc", "repro", STAGE]
        status = run_logged(
            command,
            log=place.log,
            root=place.clone,
            environment=variables,
            on_line=lines.append,
            hidden=_HINTS,
            poll=poll,
        )
        if status == 0 or not any(_LOCKED.search(line) for line in lines):
            break
        time.sleep(LOCK_DELAY)
    return status


def _unfinished(state: str, reason: str, last: tuple[int, float] | None, journal: JournalReader) -> Result:
    step, bleu = last or (None, None)
    return Result(state, bleu, reason, step, journal_curves(journal.path) if journal.path else [], False)


def _finished(clone: Path, sweep: Sweep, *, restored: bool) -> Result:
    metrics = json.loads((clone / TRAINING_METRICS).read_text(encoding="utf-8"))
    value, curves = metrics.get(sweep.metric), table_curves(clone / TRAINING_PLOT)
    if not isinstance(value, int | float) or not math.isfinite(value):
        reason = f"{TRAINING_METRICS}: {sweep.metric} must be a number, not {value!r}"
        return Result("failed", None, reason, metrics.get("steps"), curves, restored)
    return Result("complete", float(value), "", metrics.get("steps"), curves, restored)
