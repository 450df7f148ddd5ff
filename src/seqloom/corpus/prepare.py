"""From raw pairs to three splits: clean, split, remove overlaps and duplicates, check.

This takes two passes with a temporary file in between, because overlaps can be found only after all pairs were read.
Only keys are held in memory, never the texts of the corpus.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.corpus.cleaning import Cleaner, untouched
from seqloom.corpus.examples import Example, Examples
from seqloom.corpus.keys import key_of, languages_of
from seqloom.corpus.leakage import Leakage, measure_leakage
from seqloom.corpus.reading import LeftOut, RawPair
from seqloom.corpus.settings import PrepareSettings
from seqloom.corpus.splits import Pair, Split, SplitWriter, read_split
from seqloom.corpus.splitting import KEPT, REASONS, TextIndex, pivots, split_of
from seqloom.corpus.statistics import Statistics, measure
from seqloom.errors import CorpusError
from seqloom.languages import Direction
from seqloom.progress import Listener, Progress
from seqloom.text import STANDARD_FORMS, Forms, normalise

_REPORT_EVERY = 500  # pairs
_HELD_OUT = (Split.valid, Split.test)


class CorpusItem(NamedTuple):
    """A pair as read, with its corpus and direction; `split` is the split that the corpus provides, if any."""

    corpus: str
    direction: Direction
    split: Split | None
    pair: RawPair | LeftOut


class Counts:
    """Numbers of pairs read, dropped and kept."""

    def __init__(self, rules: Iterable[str], directions: Iterable[str]) -> None:
        self.raw: Counter[str] = Counter()
        self.left_out: dict[str, Counter[str]] = {}  # texts that did not become pairs, by corpus and reason
        self.examples = Examples()
        self.dropped: Counter[str] = Counter(dict.fromkeys([*rules, *REASONS[:-1]], 0))
        self.directions: dict[str, Counter[Split]] = {each: Counter(dict.fromkeys(Split, 0)) for each in directions}
        self.groups: dict[Split, set[str]] = {split: set() for split in Split}
        self.leakage: dict[Split, Leakage] = {}
        self.statistics: Statistics | None = None

    @property
    def splits(self) -> Counter[Split]:
        """Pairs in each split, over all directions."""
        return Counter({split: sum(counts[split] for counts in self.directions.values()) for split in Split})

    def record(self) -> dict[str, Any]:
        """Return the counts as in metrics/corpus.json; several directions are also listed separately."""
        each = {name: {s.name: counts[s] for s in Split} for name, counts in self.directions.items()}
        return {
            "raw": dict(self.raw),
            **({"left_out": {name: dict(found) for name, found in self.left_out.items()}} if self.left_out else {}),
            "dropped": dict(self.dropped),
            "kept": self.splits.total(),
            "splits": {split.name: self.splits[split] for split in Split},
            **({"directions": each} if len(each) > 1 else {}),
            "groups": {split.name: len(self.groups[split]) for split in Split},
            "leakage": {
                split.name: {**found._asdict(), "near_copy_share": round(found.share, 4)}
                for split, found in self.leakage.items()
            },
            **(self.statistics.record() if self.statistics else {}),
        }

    def table(self) -> str:
        """Return the counts as a plain-text table."""
        rows = [*(f"{n:>12,}  {corpus} (raw)" for corpus, n in self.raw.items())]
        rows += [f"{n:>12,}  {name}: {each}" for name, found in self.left_out.items() for each, n in found.items()]
        rows += [f"{-n:>12,}  {rule}" for rule, n in self.dropped.items() if n]
        rows += [f"{self.splits[split]:>12,}  {split.name}" for split in Split]
        if len(self.directions) > 1:
            rows += [f"{c[split]:>12,}  {split.name} {name}" for name, c in self.directions.items() for split in Split]
        return "\n".join(rows)


def prepare(
    items: Iterable[CorpusItem],
    directions: Sequence[Direction],
    settings: PrepareSettings,
    folder: Path,
    listen: Listener,
    forms: Forms = STANDARD_FORMS,
) -> Counts:
    """Write train.tsv, valid.tsv and test.tsv into an empty folder.

    Args:
        items: the pairs, in the order in which they are written.
        directions: the directions of the pairs; each must have pairs in every split.
        settings: cleaning, splitting and the limit on leakage.
        folder: on success it contains only the three files.
        listen: receives the progress of each pass.
        forms: defines the placeholders for cleaning.

    Raises:
        CorpusError: a split is empty, or the share of test segments with near-copies in training exceeds `max_leakage`.
    """
    cleaner, index, deciding = Cleaner(settings.clean, forms), TextIndex(), pivots(directions)
    numbers = {direction: number for number, direction in enumerate(directions)}
    counts = Counts((rule.name for rule in cleaner.rules), map(str, directions))
    passing = folder / "clean.tsv"
    with SplitWriter(passing) as writer:
        for direction, given, pair in _cleaned(items, cleaner, counts, listen):
            split = given if given is not None else split_of(pair[deciding[direction]], pair.group, settings.split)
            source, target = languages_of(direction)
            keys = key_of(pair.source, source), key_of(pair.target, target)
            index.add(split, *keys, direction=numbers[direction], given=given is not None)
            writer.write(pair)
    _distribute(passing, index, settings, folder, counts, listen)
    passing.unlink()
    _check_sizes(counts)
    _check_leakage(directions, settings, folder, counts, listen)
    total = counts.splits[Split.train]
    counts.statistics = measure(
        folder, directions, lambda done: listen(Progress("describe pairs", done, total, "pairs"))
    )
    listen(Progress("describe pairs", total, total, "pairs"))
    return counts


def _cleaned(
    items: Iterable[CorpusItem], cleaner: Cleaner, counts: Counts, listen: Listener
) -> Iterator[tuple[Direction, Split | None, Pair]]:
    read, kept = 0, 0
    for corpus, direction, split, raw in items:
        if isinstance(raw, LeftOut):
            counts.left_out.setdefault(corpus, Counter())[raw.reason] += 1
            counts.examples.add(corpus, raw.reason, Example(raw.place, raw.text, ""))
            continue
        read += 1
        counts.raw[corpus] += 1
        # A corpus's own valid and test splits are benchmarks: normalise them, never filter them.
        cleaned = (untouched if split in _HELD_OUT else cleaner.clean)(raw.source, raw.target)
        if cleaned.dropped is None:
            kept += 1
            pair = Pair(cleaned.source, cleaned.target, str(direction), corpus, normalise(raw.group))
            yield direction, split, pair
        else:
            counts.dropped[cleaned.dropped] += 1
            counts.examples.add(corpus, cleaned.dropped, Example(raw.group, raw.source, raw.target))
        if read % _REPORT_EVERY == 0:
            listen(Progress("clean pairs", read, None, "pairs", f"{kept:,} kept"))
    listen(Progress("clean pairs", read, read, "pairs", f"{kept:,} kept"))


def _distribute(
    passing: Path, index: TextIndex, settings: PrepareSettings, folder: Path, counts: Counts, listen: Listener
) -> None:
    reasons = index.drop_reasons(settings.split.apart, settings.clean.drop_duplicates)
    total = len(reasons)
    with ExitStack() as stack:
        writers = {split: stack.enter_context(SplitWriter(folder / split.file_name)) for split in Split}
        for position, pair in enumerate(read_split(passing)):
            reason, split = reasons[position], index.split(position)
            if reason == KEPT:
                writers[split].write(pair)
                counts.directions[pair.direction][split] += 1
                if pair.group:
                    counts.groups[split].add(pair.group)
            else:
                counts.dropped[REASONS[reason]] += 1
                counts.examples.add(pair.corpus, REASONS[reason], Example(pair.group, pair.source, pair.target))
            if position % _REPORT_EVERY == 0:
                listen(Progress("split pairs", position, total, "pairs"))
    listen(Progress("split pairs", total, total, "pairs"))


def _check_sizes(counts: Counts) -> None:
    of = {name: f" of {name}" if len(counts.directions) > 1 else "" for name in counts.directions}
    empty = [
        f"{split.name}{of[name]}" for name, each in counts.directions.items() for split in Split if not each[split]
    ]
    if not empty:
        return
    rule, most = max(counts.dropped.items(), key=lambda item: item[1])
    if counts.splits.total():
        fault = f"{' and '.join(empty)} got no pairs; increase the shares in prepare.split, or add groups to the corpus"
    else:
        fault = "no pairs are left"
    blame = f"; the rule {rule!r} dropped the most: {most:,} of {counts.raw.total():,}" if most else ""
    raise CorpusError(f"{fault}{blame}\n{counts.table()}")


def _check_leakage(
    directions: Sequence[Direction], settings: PrepareSettings, folder: Path, counts: Counts, listen: Listener
) -> None:
    total = counts.splits[Split.train]

    def report(done: int) -> None:
        listen(Progress("check leakage", done, total, "pairs"))

    counts.leakage = measure_leakage(folder, directions, settings.near_copy, settings.leakage_sample, report)
    report(total)
    found = counts.leakage[Split.test]
    if found.share > settings.max_leakage:
        raise CorpusError(
            f"{found.near_copies:,} of {found.compared:,} test segments ({found.share:.1%}) have a near-copy in "
            f"training, more than prepare.max_leakage allows ({settings.max_leakage:.1%}), so test scores would be "
            "too high. Keep related texts together (split.by: group), or raise the limit"
        )
