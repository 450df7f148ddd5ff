"""The short form of `benchmarks.simulated_month`: five days, on one of which everything is killed."""

from pathlib import Path

import pytest

from benchmarks.simulated_month import SHORT, simulate
from tests.templates import give_prefect_database

pytestmark = [pytest.mark.slow, pytest.mark.drill]


def test_each_day_ends_in_its_state_and_the_run_after_a_kill_completes_it(tmp_path: Path) -> None:
    give_prefect_database(tmp_path / "month" / "clone" / ".prefect")
    figures = simulate(tmp_path / "month", SHORT, seed=1)
    del figures["seconds"]  # depends on the machine
    assert figures == {
        "days": 5, "skipped": 1, "trained": 2, "promoted": 2, "refused": 1, "crashed": 1, "recovered": 1,
        "left_over": 0, "lost": 0, "wrong_days": 0,
    }  # fmt: skip
