"""Draw attention weights as a heat map of source against target pieces (Bahdanau et al. 2015, figure 3)."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from seqloom.errors import EvaluationError

_CELL, _LABELS, _DPI = 0.28, 1.6, 150  # inches per piece, inches for the labels, dots per inch
_MOST_PIECES = 200  # per axis; a larger image would take megabytes and be unreadable


def draw_heat_map(
    weights: Sequence[Sequence[float]], source_pieces: Sequence[str], target_pieces: Sequence[str], path: Path
) -> None:
    """Write a PNG with the source from left to right and the target from top to bottom; larger weights are darker.

    `weights` is (T, S), with values from 0 to 1. The file is written atomically.

    Raises:
        EvaluationError: matplotlib is not installed, or the source or the target has too many pieces.
    """
    if max(len(source_pieces), len(target_pieces)) > _MOST_PIECES:
        raise EvaluationError(
            f"the sentence has {len(source_pieces)} source and {len(target_pieces)} target pieces; at most "
            f"{_MOST_PIECES} of each can be drawn"
        )
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EvaluationError("drawing attention needs matplotlib: pip install 'seqloom[pipeline]'") from error
    size = (_LABELS + _CELL * len(source_pieces), _LABELS + _CELL * len(target_pieces))
    figure = Figure(figsize=size, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
    # matplotlib reads text between dollar signs as a formula.
    axes.set_xticks(range(len(source_pieces)), [_plain(piece) for piece in source_pieces], rotation=90)
    axes.set_yticks(range(len(target_pieces)), [_plain(piece) for piece in target_pieces])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8)
    beside = path.with_name(f".{path.name}.part")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")  # boxes are drawn instead
            with beside.open("wb") as file:
                canvas.print_figure(file, format="png", dpi=_DPI, metadata={"Software": None})
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _plain(piece: str) -> str:
    return piece.replace("$", r"\$")
