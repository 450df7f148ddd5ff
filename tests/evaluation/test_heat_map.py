import sys
from pathlib import Path

import pytest

from seqloom.errors import EvaluationError
from seqloom.evaluation.heat_map import draw_heat_map

WEIGHTS = [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]


def darkest(path: Path) -> tuple[int, int, int, int]:
    """Return the bounds of the darkest blue in an image: first and last column, first and last row."""
    from matplotlib.image import imread

    red, green, blue = (imread(path)[:, :, channel] for channel in range(3))
    rows, columns = ((red < 0.05) & (green < 0.25) & (blue > 0.35)).nonzero()
    return int(columns.min()), int(columns.max()), int(rows.min()), int(rows.max())


def test_the_darkest_cell_is_the_largest_weight(tmp_path: Path) -> None:
    draw_heat_map(WEIGHTS, ["▁a", "$b$", "字"], ["▁x", "</s>"], tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    left, right, top, bottom = darkest(tmp_path / "out.png")
    assert 30 < right - left < 120  # one cell
    assert abs((right - left) - (bottom - top)) <= 2  # the cell is square
    draw_heat_map([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]], ["▁a", "$b$", "字"], ["▁x", "</s>"], tmp_path / "right.png")
    assert darkest(tmp_path / "right.png")[0] > right  # the next column
    draw_heat_map([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]], ["▁a", "$b$", "字"], ["▁x", "</s>"], tmp_path / "below.png")
    assert darkest(tmp_path / "below.png")[2] > bottom  # the next row


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_heat_map(WEIGHTS, ["a", "b", "c"], ["x", "y"], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_too_many_pieces_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="201 source and 1 target pieces"):
        draw_heat_map([[0.0] * 201], ["a"] * 201, ["x"], tmp_path / "out.png")


def test_without_matplotlib_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(EvaluationError, match=r"pip install 'seqloom\[pipeline\]'"):
        draw_heat_map(WEIGHTS, ["a", "b", "c"], ["x", "y"], tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    place = tmp_path / "out.png"
    place.mkdir()
    with pytest.raises(IsADirectoryError):
        draw_heat_map(WEIGHTS, ["a", "b", "c"], ["x", "y"], place)
    assert list(tmp_path.iterdir()) == [place]
