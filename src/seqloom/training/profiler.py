"""A listener of the engine that profiles some updates with torch's profiler."""

from pathlib import Path
from typing import Self

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from seqloom.training.reports import Report, StepReport

SKIPPED, WARMING, LOOKED_AT = 10, 2, 8  # updates, in this order
ROWS = 40


class Profiler:
    """Writes `trace.json` (for chrome://tracing or Perfetto) and `table.txt` into `folder` after 20 updates.

    It is a context manager and a listener of the engine. Profiled updates take longer than others.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._profile = profile(
            activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * torch.cuda.is_available()],
            schedule=schedule(wait=SKIPPED, warmup=WARMING, active=LOOKED_AT, repeat=1),
            on_trace_ready=self._write,
            record_shapes=True,
        )
        self._profile.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._profile.stop()

    def __call__(self, report: Report) -> None:
        """Advance the profiler at the end of each update."""
        if isinstance(report, StepReport):
            self._profile.step()

    def _write(self, found: profile) -> None:
        found.export_chrome_trace(str(self._folder / "trace.json"))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        table = found.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=ROWS)
        (self._folder / "table.txt").write_text(f"{LOOKED_AT} updates\n\n{table}\n", encoding="utf-8")
