"""`seqloom leaderboard`: rank all versions and runs that were tested on the same test set."""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqloom.cli.model_names import PARAMS, add_model, default_model
from seqloom.files import write_text
from seqloom.places import LEADERBOARD
from seqloom.table import table

if TYPE_CHECKING:
    from seqloom.tracking.client.store import Store
    from seqloom.tracking.registry.leaderboard import Board, Row

NAME = "leaderboard"
HELP = "rank all versions and runs on one test set, with significance, speed, size and cost"
DESCRIPTION = """\
Rank every version and finished run that was tested on the same test set by its leading score (BLEU for translation),
with 95% intervals and a paired bootstrap test (Koehn 2004) against the champion. Recorded translations are used;
nothing is translated again. Results are stored in reports/leaderboard, in files that never change: commit them to share
the leaderboard with your team.
"""
EPILOG = """\
examples:
  seqloom leaderboard --html leaderboard.html
  seqloom leaderboard --external "system=other.txt"         other.txt: a translation of the test set, one per line
  seqloom leaderboard --external "system=other.txt" --keep  the same, and keep it on the leaderboard

To get the source texts for another system: tail -n +2 data/corpus/test.tsv | cut -f1
"""
_ALPHA = 0.05
_COLUMNS = 80
_SHORTEST = 12  # names are never shortened below this length
_HASH = 16  # digits shown
_JOULES_PER_WATT_HOUR = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments of the command."""
    add_model(parser)
    parser.add_argument("--experiment", metavar="NAME", help="default: register.experiment of params.yaml")
    parser.add_argument("--test", metavar="HASH", help="the first digits of the test set's SHA-256")
    parser.add_argument("--external", metavar="NAME=FILE", action="append", default=[], help="add another system")
    parser.add_argument("--keep", action="store_true", help="keep the external systems on the leaderboard")
    parser.add_argument("--wide", action="store_true", help="also show all metrics, parameters, energy and device")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the leaderboard as an HTML page")
    parser.add_argument("--json", action="store_true", help="print JSON: the leaderboard as one object")


def run(options: argparse.Namespace) -> None:
    """Print the leaderboard, and write the page if requested."""
    if options.keep and not options.external:
        options.usage_error("--keep needs --external NAME=FILE")
    from seqloom.tracking.client.store import NothingRegisteredError, connect
    from seqloom.tracking.registry.leaderboard import LeaderboardQuery, leaderboard
    from seqloom.tracking.registry.leaderboard_entries import read_external

    experiment, model = _subject(options)
    external = [read_external(named) for named in options.external]
    query = LeaderboardQuery(experiment, model, options.test, _last_test_set(), external, options.keep)
    store: Store | None = None
    try:
        store = connect(Path.cwd(), create=False)
        empty_message = f"no finished run with scores in experiment {experiment!r} of {store.shown}"
    except NothingRegisteredError as error:
        if external:
            raise
        empty_message = str(error)
    board = leaderboard(store, LEADERBOARD, query)
    if options.json:
        print(json.dumps(_record(board), indent=2, ensure_ascii=False))
    else:
        print(empty_message if board is None else "\n".join(_lines(board, wide=options.wide)))
    if board is not None and options.html is not None:
        from seqloom.tracking.registry.leaderboard_page import page

        write_text(options.html, page(board))
        if not options.json:
            print(f"\n{options.html}")


def _subject(options: argparse.Namespace) -> tuple[str | None, str | None]:
    """Return the experiment and the model, from params.yaml unless they are given."""
    if options.model is None and (options.experiment is None or PARAMS.exists()):
        model = default_model()
    else:
        model = options.model
    if options.experiment is not None or not PARAMS.exists():
        return options.experiment, model
    from seqloom.params import load_purpose

    return load_purpose(PARAMS).register_.experiment, model


def _last_test_set() -> str | None:
    from seqloom.places import EVALUATION_METRICS

    try:
        return str(json.loads(EVALUATION_METRICS.read_text(encoding="utf-8"))["test_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lines(board: "Board", *, wide: bool) -> Iterator[str]:
    from seqloom.evaluation.settings import TITLES

    title = TITLES[board.leading]
    yield (
        f"{board.model or 'leaderboard'}, test set {board.test_sha256[:_HASH]} ({board.segments:,} segments), "
        f"{title} [95% interval]"
    )
    yield ""
    cells = _wide if wide else _narrow
    rows = [cells(board, row) for row in (None, *board.rows)]
    yield from table(rows if wide else _fitted(rows), right=_right(rows[0]))
    if board.apart:
        yield ""
        yield "not ranked, because another metric or other metric settings were used:"
        yield from table([(_system(board, row), _score(row), row.result.leader.signature) for row in board.apart])
    yield ""
    yield from _notes(board)


def _notes(board: "Board") -> Iterator[str]:
    who = _system(board, board.reference)
    if any(row.difference for row in board.rows):
        yield f"gain and p: compared with {who}; paired bootstrap, * is p < {_ALPHA}"
    if not board.reference.champion:
        if board.champion_on is None:
            yield f"{board.model or 'the model'} has no champion"
        else:
            yield f"the champion was tested on another test set: --test {board.champion_on[:_HASH]}"
    yield board.reference.result.leader.signature
    if board.left_out:
        others = ", ".join(f"{test[:_HASH]} ({count})" for test, count in board.left_out.items())
        yield f"not shown, other test sets (number of systems): {others}; choose one with --test"
    if board.unscored:
        yield f"not shown, finished runs without recorded scores: {board.unscored:,}"


def _narrow(board: "Board", row: "Row | None") -> tuple[str, ...]:
    """Return the cells of a row that fit into 80 columns, or the headings if `row` is None."""
    from seqloom.evaluation.settings import TITLES

    if row is None:
        return ("#", "system", TITLES[board.leading], "gain", "p", "seg/s", "MB", "train s")
    return (
        str(row.rank),
        _system(board, row),
        _score(row),
        *_difference(row),
        _speed(row),
        _size(row),
        _cost(row, "seconds"),
    )


def _wide(board: "Board", row: "Row | None") -> tuple[str, ...]:
    from seqloom.evaluation.settings import METRICS, TITLES

    others = [name for name in METRICS[board.task] if name != board.leading]
    if row is None:
        extra = ("gain [95%]", "params", "tokens/s", "GPU s", "Wh", "device")
        return (*_narrow(board, None), *(TITLES[name] for name in others), *extra)
    result, pair = row.result, row.difference
    energy = [joules for name, joules in result.costs.items() if name.startswith("joules.")]
    scores = [f"{result.scores[name].score:.1f}" if name in result.scores else "-" for name in others]
    return (
        *_narrow(board, row),
        *scores,
        "-" if pair is None else f"[{pair.low:+.2f}, {pair.high:+.2f}]",
        "-" if result.parameters is None else f"{result.parameters:,}",
        "-" if result.training_tokens_per_s is None else f"{result.training_tokens_per_s:,.0f}",
        _cost(row, "gpu_seconds"),
        f"{sum(energy) / _JOULES_PER_WATT_HOUR:,.2f}" if energy else "-",
        result.device or "-",
    )


def _right(heads: tuple[str, ...]) -> list[int]:
    return [index for index, head in enumerate(heads) if index > 2 and head != "device"]


def _system(board: "Board", row: "Row") -> str:
    title = row.title
    if board.model and title.startswith(f"{board.model}/") and row.entry is not None:
        title = f"version {title.removeprefix(f'{board.model}/')}"
    if row.champion:
        title += " @champion"
    return f"{title} (external)" if row.result.kind == "external" else title


def _fitted(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Shorten names in the middle, so that the table is at most 80 columns wide."""
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    most = max(_SHORTEST, _COLUMNS - (sum(widths) - widths[1]))
    return [
        (row[0], row[1] if len(row[1]) <= most else f"{row[1][: most - 11]}…{row[1][-10:]}", *row[2:]) for row in rows
    ]


def _score(row: "Row") -> str:
    score = row.result.leader
    return f"{score.score:.1f} [{score.low:.1f}, {score.high:.1f}]"


def _difference(row: "Row") -> tuple[str, str]:
    pair = row.difference
    return ("-", "- ") if pair is None else (f"{pair.gain:+.2f}", f"{pair.p:.3f}{'*' if pair.p < _ALPHA else ' '}")


def _speed(row: "Row") -> str:
    return "-" if row.speed is None else f"{row.speed:.0f}" if row.speed >= 100 else f"{row.speed:.1f}"


def _size(row: "Row") -> str:
    size = row.result.size_bytes
    return "-" if size is None else f"{size / 1e6:.0f}" if size >= 1e8 else f"{size / 1e6:.1f}"


def _cost(row: "Row", name: str) -> str:
    cost = row.result.costs.get(name)
    return "-" if cost is None else f"{cost:,.0f}"


def _record(board: "Board | None") -> dict[str, Any]:
    """Return the leaderboard as plain data."""
    if board is None:
        return {"rows": []}
    return {
        "model": board.model,
        "test_sha256": board.test_sha256,
        "task": board.task,
        "leading": board.leading,
        "segments": board.segments,
        "signature": board.reference.result.leader.signature,
        "against": board.reference.title,
        "champion": board.reference.title if board.reference.champion else None,
        "rows": [_row_record(row) for row in board.rows],
        "apart": [_row_record(row) for row in board.apart],
        "left_out": dict(board.left_out),
        "unscored": board.unscored,
    }


def _row_record(row: "Row") -> dict[str, Any]:
    entry = row.entry
    return {
        "rank": row.rank,
        "system": row.title,
        "champion": row.champion,
        "run_id": entry.run_id if entry else None,
        "versions": list(entry.versions) if entry else [],
        "aliases": list(entry.aliases) if entry else [],
        "kept": row.kept,
        "difference": None if row.difference is None else row.difference.model_dump(mode="json"),
        **row.result.model_dump(mode="json", exclude={"hypotheses", "format"}),
        "segments_per_s": row.speed,
    }
