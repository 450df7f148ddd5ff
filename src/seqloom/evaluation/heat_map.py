"""A picture of attention: which source positions each target position looked at (Bahdanau et al. 2015, figure 3).

It knows weights and how pieces are written: no model and no tokenizer.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

from seqloom.errors import EvaluationError
from seqloom.files import replacing

_CELL, _LABELS, _DPI = 0.28, 1.6, 150  # inches a piece, inches for the names of pieces, dots an inch
_MOST_PIECES = 200  # of a side: a larger picture would be megabytes and could not be read


def draw_heat_map(
    weights: Sequence[Sequence[float]], source_pieces: Sequence[str], target_pieces: Sequence[str], path: Path
) -> None:
    """Write a PNG with the source from left to right and the target from top to bottom; darker is more.

    `weights` is (T, S), each row from 0 to 1. The file appears when it is whole.

    Raises:
        EvaluationError: matplotlib is not installed, or a side has too many pieces to be drawn.
    """
    if max(len(source_pieces), len(target_pieces)) > _MOST_PIECES:
        raise EvaluationError(
            f"the sentence has {len(source_pieces)} source and {len(target_pieces)} target pieces; a picture has room "
            f"for {_MOST_PIECES} a side"
        )
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EvaluationError("to draw attention install matplotlib: pip install 'seqloom[pipeline]'") from error
    size = (_LABELS + _CELL * len(source_pieces), _LABELS + _CELL * len(target_pieces))
    figure = Figure(figsize=size, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(weights, cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
    # A dollar sign would begin a formula.
    axes.set_xticks(range(len(source_pieces)), [_plain(piece) for piece in source_pieces], rotation=90)
    axes.set_yticks(range(len(target_pieces)), [_plain(piece) for piece in target_pieces])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8)
    with warnings.catch_warnings(), replacing(path) as beside, beside.open("wb") as file:
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a script that the font lacks: boxes in its place
        canvas.print_figure(file, format="png", dpi=_DPI, metadata={"Software": None})


def _plain(piece: str) -> str:
    return piece.replace("$", r"\$")
