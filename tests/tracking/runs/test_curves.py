import json
from pathlib import Path

import pytest

from seqloom.errors import RegistryError
from seqloom.tracking.runs.curves import Point, read_curves

TABLE = "step,epoch,loss,valid_bleu\n2,0,5.5,\n4,1,4.5,12.25\n"


def journal(path: Path, steps: list[int]) -> Path:
    records = [{"kind": "step", "step": step, "tokens": 10 * step, "seconds": 2.0} for step in steps]
    records.append({"kind": "validation", "step": steps[-1], "seconds": 9.0})
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"kind": "st')
    return path


def test_every_cell_becomes_a_point(tmp_path: Path) -> None:
    table = tmp_path / "training.csv"
    table.write_text(TABLE)
    assert read_curves(table, None) == [
        Point("train/loss", 2, 5.5, 0.0), Point("train/loss", 4, 4.5, 0.0), Point("valid/bleu", 4, 12.25, 0.0)
    ]  # fmt: skip


@pytest.mark.parametrize("steps", [[1, 2, 3, 4], [1, 2, 3, 2, 3, 4]], ids=["undisturbed", "cut off and resumed"])
def test_the_journal_adds_time_and_speed(tmp_path: Path, steps: list[int]) -> None:
    table = tmp_path / "training.csv"
    table.write_text(TABLE)
    points = read_curves(table, journal(tmp_path / "journal.jsonl", steps))
    assert [point for point in points if point.metric == "train/tokens_per_s"] == [
        Point("train/tokens_per_s", 2, (10 + 20) / 4, 4.0), Point("train/tokens_per_s", 4, (30 + 40) / 4, 8.0)
    ]  # fmt: skip
    assert [point.seconds for point in points if point.metric == "train/loss"] == [4.0, 8.0]


def test_a_broken_journal_adds_nothing(tmp_path: Path) -> None:
    table, journal = tmp_path / "training.csv", tmp_path / "journal.jsonl"
    table.write_text(TABLE)
    journal.write_bytes(b'\xff\n[1]\n{"kind": "step"}\n{"kind": "step", "step": "x", "seconds": 1, "tokens": 1}\n')
    assert read_curves(table, journal) == read_curves(table, None) == read_curves(table, tmp_path / "none.jsonl")


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n", "step,loss\n1,high\n", "step,loss\nx,1\n", "step\n1,2\n"])
def test_an_invalid_table_is_named_in_the_error(tmp_path: Path, content: str | None) -> None:
    table = tmp_path / "training.csv"
    if content is not None:
        table.write_text(content)
    with pytest.raises(RegistryError, match=r"training\.csv.*dvc repro train_model"):
        read_curves(table, None)
