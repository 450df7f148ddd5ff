"""The result of a sweep: a table on the screen and as an artifact, and best.yaml."""

from collections.abc import Sequence
from pathlib import Path

from prefect.artifacts import create_table_artifact

from pipelines.sweeping.space import Sweep
from pipelines.sweeping.study import Trial
from pipelines.sweeping.trial import write_preset
from seqloom.table import table


def write_artifact(folder: Path, sweep: Sweep, trials: Sequence[Trial], best: Trial | None) -> Path | None:
    """Store and print a table of the trials, the best first; write the best as a preset and return its path."""
    rows = [_row(sweep, trial) for trial in sorted(trials, key=_rank)]
    create_table_artifact(key=f"sweep-{sweep.name}", table=rows)
    print(f"\nSweep {sweep.name}: {len(trials)} trials")
    for line in _table(rows):
        print(f"  {line}")
    if best is None:
        return None
    purpose = f"The best of {len(trials)} trials of the sweep {sweep.name}: {sweep.metric} {best.value:.2f}"
    path = write_preset(folder / "best.yaml", {**sweep.fixed, **best.point}, purpose)
    print(
        f"\nNext\n  .venv/bin/seqloom preset {_shown(path)}   params.yaml with the best settings\n"
        "  make run   makes the rest from it; DVC has that training already",
        flush=True,
    )
    return path


def _rank(trial: Trial) -> tuple[int, float, int]:
    order = {"complete": 0, "pruned": 1}.get(trial.state, 2)
    return order, -(trial.value or 0.0), trial.number


def _row(sweep: Sweep, trial: Trial) -> dict[str, str]:
    value = "" if trial.value is None else f"{trial.value:.2f}"
    point = {name: _text(trial.point[name]) for name in sweep.space}
    return {"trial": str(trial.number), "state": trial.state, sweep.metric: value, **point, "why": trial.reason}


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "null" if value is None else str(value)


def _table(rows: Sequence[dict[str, str]]) -> list[str]:
    return table([list(rows[0]), *(list(row.values()) for row in rows)]) if rows else []


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
