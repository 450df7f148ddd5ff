"""The leaderboard: all versions and finished runs of an experiment that were tested on one test set, best first.

Scores come from the runs; nothing is translated or scored again. Only external systems are scored here,
and differences are resampled. Each result is computed once and kept in files (`leaderboard_records`).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from seqloom.errors import RegistryError
from seqloom.evaluation.segments import Segments
from seqloom.evaluation.settings import LEADING, Task
from seqloom.evaluation.significance import compare
from seqloom.tracking.client.names import CHAMPION
from seqloom.tracking.client.store import Store
from seqloom.tracking.registry.comparison import bootstrap_settings
from seqloom.tracking.registry.leaderboard_entries import (
    Entry,
    ExternalSystem,
    read_entries,
    read_segments,
    score_external,
)
from seqloom.tracking.registry.leaderboard_records import (
    StoredDifference,
    SystemResult,
    read_difference,
    read_results,
    texts_hash,
    write_difference,
    write_result,
)

_RESAMPLING = re.compile(r"\bbs:\d+\|seed:\d+\|?")  # affects the interval, not the score
_SHOWN = 16  # digits of a hash in messages


class LeaderboardQuery(NamedTuple):
    """The leaderboard to read."""

    experiment: str | None
    model: str | None  # the registered model; its champion is the reference
    test: str | None = None  # the first digits of the test set's SHA-256; None: the champion's
    here: str | None = None  # used without a champion: the last test set of this folder
    external: Sequence[ExternalSystem] = ()
    keep: bool = False  # keep the external systems on the leaderboard


class Row(NamedTuple):
    """A system on the leaderboard."""

    rank: int | None  # equal scores share a rank; None: not ranked
    result: SystemResult
    entry: Entry | None  # its run in this store; None for an external system or a run of another clone
    difference: StoredDifference | None  # to the reference; None for the reference itself or without translations
    kept: bool = True  # False: an external system that is shown only this time

    @property
    def champion(self) -> bool:
        """Whether the system is the champion of the model."""
        return self.entry is not None and CHAMPION in self.entry.aliases

    @property
    def title(self) -> str:
        """The newest registered version, or the name of the run or external system."""
        return self.entry.versions[0] if self.entry and self.entry.versions else self.result.name

    @property
    def speed(self) -> float | None:
        """Decoding speed in segments per second, or None. The gate may measure it after the result was recorded."""
        measured = self.entry.speed if self.entry else None
        return measured or self.result.segments_per_s


class Board(NamedTuple):
    """The leaderboard of one test set."""

    model: str | None
    test_sha256: str
    task: Task
    rows: Sequence[Row]  # best first
    reference: Row  # the champion, or the best system if there is no champion
    apart: Sequence[Row]  # not ranked: scored by another metric or with another signature
    left_out: Mapping[str, int]  # the number of systems on each other test set
    champion_on: str | None  # the champion's test set if it is not this one
    unscored: int  # finished runs without recorded scores

    @property
    def leading(self) -> str:
        """The metric by which the rows are sorted."""
        return LEADING[self.task]

    @property
    def segments(self) -> int:
        """The number of segments in the test set."""
        return self.reference.result.segments


def leaderboard(store: Store | None, place: Path, query: LeaderboardQuery) -> Board | None:
    """Return the leaderboard after recording the results of new runs, or None if it is empty.

    Args:
        store: None if there is no store; then only recorded results are shown.
        place: the folder of the records.
        query: the leaderboard to read, and external systems to add to it.

    Raises:
        RegistryError: the store refuses, a record was modified, or the name of the test set or of an external system is
            not valid.
        EvaluationError: an external system has the wrong number of lines.
    """
    known = {(result.test_sha256, result.key): result for result in read_results(place)}
    found, unscored = ([], 0) if store is None else read_entries(store, query.experiment, query.model, known.values())
    for entry in found:
        if (entry.result.test_sha256, entry.result.key) not in known:
            write_result(place, entry.result)
    rows = [Row(None, entry.result, entry, None) for entry in found]
    ours = {row.result.key for row in rows}
    rows += [Row(None, each, None, None) for each in known.values() if each.key not in ours and _belongs(each, query)]
    if not rows:
        if query.external:
            raise RegistryError(
                "nothing is on this leaderboard; external systems are scored on the test set of a run, so register a "
                "model first"
            )
        return None
    champion = next((row for row in rows if row.champion), None)
    sizes = Counter(row.result.test_sha256 for row in rows)
    test = _chosen(sizes, query, champion)
    here = [row for row in rows if row.result.test_sha256 == test]
    comparer = _Comparer(store, place, here)
    for system in query.external:
        if (row := _scored(system, here, comparer, query.keep)) is not None:
            here.append(row)
            if row.kept:
                write_result(place, row.result)
    reference = champion if champion in here else max(here, key=lambda row: row.result.leader.score)
    counted = _way(reference.result)
    same = sorted((row for row in here if _way(row.result) == counted), key=_order)
    scores = [row.result.leader.score for row in same]
    ranked = [
        row._replace(rank=scores.index(row.result.leader.score) + 1, difference=comparer.difference(row, reference))
        for row in same
    ]
    return Board(
        model=query.model,
        test_sha256=test,
        task=reference.result.task,
        rows=ranked,
        reference=reference,
        apart=sorted((row for row in here if _way(row.result) != counted), key=_order),
        left_out={each: count for each, count in sizes.items() if each != test},
        champion_on=champion.result.test_sha256 if champion is not None and champion not in here else None,
        unscored=unscored,
    )


class _Comparer:
    """Compares systems on one test set; reads translations when they are needed."""

    def __init__(self, store: Store | None, place: Path, rows: Sequence[Row]) -> None:
        self._store, self._place, self._rows = store, place, rows
        self._texts: dict[str, Segments | None] = {}

    @property
    def test_set(self) -> Segments | None:
        """The test set with the translations of some run, or None if no run logged any."""
        return next((texts for row in self._rows if (texts := self._of_run(row)) is not None), None)

    def difference(self, row: Row, reference: Row) -> StoredDifference | None:
        """Return the recorded or else computed difference to the reference, None without translations."""
        test, ours, theirs = row.result.test_sha256, row.result.key, reference.result.key
        if row is reference:
            return None
        both_kept = row.kept and reference.kept
        if both_kept and (pair := read_difference(self._place, test, ours, theirs)) is not None:
            return pair
        texts = self._segments(row), self._segments(reference)
        if texts[0] is None or texts[1] is None or not _same_test(texts[0], texts[1]):
            return None
        metric = LEADING[row.result.task]
        settings = bootstrap_settings(reference.entry.params if reference.entry else {})
        found = compare(texts[0], texts[1], [metric], settings)[metric]
        low, high, p = round(found.low, 4), round(found.high, 4), round(found.p, 6)
        gain = round(row.result.leader.score - reference.result.leader.score, 4)
        signature = reference.result.leader.signature
        pair = StoredDifference(
            test_sha256=test, ours=ours, theirs=theirs, metric=metric, signature=signature, gain=gain, low=low,
            high=high, p=p,
        )  # fmt: skip
        if both_kept:
            write_difference(self._place, pair)
        return pair

    def _segments(self, row: Row) -> Segments | None:
        if row.result.hypotheses is None:
            return self._of_run(row)
        test = self.test_set
        return None if test is None else test._replace(hypotheses=row.result.hypotheses)

    def _of_run(self, row: Row) -> Segments | None:
        if self._store is None or row.entry is None:
            return None
        if row.result.key not in self._texts:
            self._texts[row.result.key] = read_segments(self._store, row.entry)
        return self._texts[row.result.key]


def _scored(system: ExternalSystem, here: Sequence[Row], comparer: _Comparer, keep: bool) -> Row | None:
    """Return the row of an external system, or None if it is on the leaderboard already."""
    test = comparer.test_set
    if test is None:
        raise RegistryError(
            f"external system {system.name}: no run in this store logged the texts of the test set, which are needed "
            "to score it"
        )
    own = texts_hash(system.hypotheses)
    for row in here:
        same = row.result.kind == "external" and row.result.key == own
        if same and row.title == system.name:
            return None
        if same:
            raise RegistryError(
                f"external system {system.name}: its translations are on the leaderboard already, as {row.title}"
            )
        if row.title == system.name:
            raise RegistryError(f"external system {system.name}: another system on the leaderboard has this name")
    runs = [row for row in here if row.entry is not None]
    like = next((row for row in runs if row.champion), runs[0])
    settings = bootstrap_settings(like.entry.params if like.entry else {})
    return Row(None, score_external(system, test, like.result, settings), None, None, kept=keep)


def _same_test(ours: Segments, theirs: Segments) -> bool:
    return ours[:2] == theirs[:2] and ours.directions == theirs.directions


def _belongs(result: SystemResult, query: LeaderboardQuery) -> bool:
    """Return whether a recorded result whose run is not in this store belongs to this leaderboard."""
    if result.kind == "external":
        return True
    return (result.experiment is not None and result.experiment == query.experiment) or (
        result.model is not None and result.model == query.model
    )


def _chosen(sizes: Mapping[str, int], query: LeaderboardQuery, champion: Row | None) -> str:
    """Return the SHA-256 of the test set to show."""
    if query.test is None:
        if champion is not None:
            return champion.result.test_sha256
        if query.here in sizes:
            return str(query.here)
        return max(sizes, key=lambda test: sizes[test])
    matching = [test for test in sizes if test.startswith(query.test.lower())]
    if len(matching) == 1:
        return matching[0]
    fault = "matches several test sets" if matching else "is not a test set on this leaderboard"
    there = ", ".join(f"{test[:_SHOWN]} ({count})" for test, count in (Counter(sizes)).most_common())
    raise RegistryError(f"{query.test!r} {fault}; valid are (with the number of systems): {there}")


def _way(result: SystemResult) -> tuple[str, str]:
    """Return the metric and signature of a score. Only scores with the same ones can be ranked together."""
    return LEADING[result.task], _RESAMPLING.sub("", result.leader.signature)


def _order(row: Row) -> tuple[float, bool, str]:
    return -row.result.leader.score, not row.champion, row.title
