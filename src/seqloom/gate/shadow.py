"""What shadows on a server showed: how a version translates real requests beside the one that served.

A server writes reports/shadow/NAME/NUMBER.json. It has one comparison for each server and each version that served; the
newest `MOST` are kept. It has counts only, no texts.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from seqloom.files import write_json

MOST = 50
_FORMAT = 1


class Comparison(NamedTuple):
    """A shadow beside a version that served."""

    id: str
    served: str  # the version that served, such as `seqloom-en-de/3`
    shadow: str  # the other version
    began: str  # ISO 8601, UTC
    ended: str
    requests: int = 0
    failed: int = 0  # requests that the shadow did not answer
    texts: int = 0
    different: int = 0  # texts that the shadow translates differently
    chrf: float = 0.0  # sum over all texts of the chrF (0 to 100) between both; 100 for equal ones
    served_seconds: float = 0.0  # of all requests together
    shadow_seconds: float = 0.0
    served_flags: Mapping[str, int] = {}
    shadow_flags: Mapping[str, int] = {}


def read_comparisons(folder: Path, label: str) -> list[Comparison]:
    """Return the comparisons of a version such as `seqloom-en-de/7`, oldest first; none if there is no valid file."""
    try:
        content = json.loads(_file(folder, label).read_text(encoding="utf-8"))
        return [Comparison(**each) for each in content["comparisons"]] if content["format"] == _FORMAT else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def store_comparison(folder: Path, comparison: Comparison) -> None:
    """Add a comparison to the file of its shadow, or replace the one with its id. Raises `OSError`."""
    file = _file(folder, comparison.shadow)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed; another server may write the file
        others = [each for each in read_comparisons(folder, comparison.shadow) if each.id != comparison.id]
        kept = [each._asdict() for each in [*others, comparison][-MOST:]]
        write_json(file, {"format": _FORMAT, "comparisons": kept})
    finally:
        os.close(lock)


def explain_shadow(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a sentence for each version that served beside the shadow."""
    return [_explain([each for each in comparisons if each.served == served]) for served in _served(comparisons)]


def _served(comparisons: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(each.served for each in comparisons if each.texts))


def _explain(comparisons: Sequence[Comparison]) -> str:
    requests, texts = sum(each.requests for each in comparisons), sum(each.texts for each in comparisons)
    different, failed = sum(each.different for each in comparisons), sum(each.failed for each in comparisons)
    chrf = sum(each.chrf for each in comparisons) / texts
    served, shadow = (sum(each) for each in zip(*map(_seconds, comparisons), strict=True))
    flagged = sum(sum(each.shadow_flags.values()) for each in comparisons) / texts
    before = sum(sum(each.served_flags.values()) for each in comparisons) / texts
    failures = f"; {failed:,} failed" if failed else ""
    return (
        f"as a shadow of {comparisons[0].served} on {requests:,} requests{failures}: {different / texts:.1%} of "
        f"{texts:,} texts differ, chrF {chrf:.1f} between both, {shadow / max(served, 1e-9):.2f} times the time, "
        f"{flagged:.3f} flags per text instead of {before:.3f}"
    )


def _seconds(comparison: Comparison) -> tuple[float, float]:
    return comparison.served_seconds, comparison.shadow_seconds


def _file(folder: Path, label: str) -> Path:
    name, _, number = label.rpartition("/")
    return folder / name / f"{number}.json"
