"""From raw pairs to three splits: clean, split, keep apart, drop what repeats, check. It knows nothing of formats.

Two passes, with a file between them, because which pairs of test may stay is known only when all of training was
seen. Memory holds keys, never the texts of the corpus.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from seqloom.corpus.cleaning import Cleaner
from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.keys import key_of
from seqloom.corpus.leakage import Leakage, measure_leakage
from seqloom.corpus.settings import PrepareSettings
from seqloom.corpus.splits import Pair, Split, SplitWriter, read_split
from seqloom.corpus.splitting import KEPT, REASONS, Index, split_of
from seqloom.errors import CorpusError
from seqloom.progress import Listener, Progress
from seqloom.text import normalise

_TELL_EVERY = 500  # pairs


class Counts:
    """What was read, dropped and kept, in pairs."""

    def __init__(self, rules: Iterable[str]) -> None:
        self.raw: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter(dict.fromkeys([*rules, *REASONS], 0))
        self.splits: Counter[Split] = Counter(dict.fromkeys(Split, 0))
        self.groups: dict[Split, set[str]] = {split: set() for split in Split}
        self.leakage: dict[Split, Leakage] = {}

    def record(self) -> dict[str, Any]:
        """Return the counts as plain numbers, as metrics/corpus.json holds them."""
        return {
            "raw": dict(self.raw),
            "dropped": dict(self.dropped),
            "kept": self.splits.total(),
            "splits": {split.name: self.splits[split] for split in Split},
            "groups": {split.name: len(self.groups[split]) for split in Split},
            "leakage": {
                split.name: {**found._asdict(), "near_copy_share": round(found.share, 4)}
                for split, found in self.leakage.items()
            },
        }

    def table(self) -> str:
        """Return the counts as a table for people."""
        rows = [*(f"{n:>12,}  {corpus} (raw)" for corpus, n in self.raw.items())]
        rows += [f"{-n:>12,}  {rule}" for rule, n in self.dropped.items() if n]
        rows += [f"{self.splits[split]:>12,}  {split.name}" for split in Split]
        return "\n".join(rows)


def prepare(
    pairs: Iterable[tuple[str, RawPair]], direction: str, settings: PrepareSettings, folder: Path, listen: Listener
) -> Counts:
    """Write train.tsv, valid.tsv and test.tsv into an empty folder.

    Args:
        pairs: (name of the corpus, pair) in the order in which the splits shall have them.
        direction: source and target language, as in `en-de`.
        settings: the cleaning, the splitting and the bound on leakage.
        folder: on success it holds the three files and nothing else.
        listen: is told the pairs of each pass.

    Raises:
        CorpusError: nothing is left, a split is empty, or test has more near-copies in training than
            `max_leakage` allows.
    """
    cleaner, index = Cleaner(settings.clean), Index()
    counts = Counts(rule.name for rule in cleaner.rules)
    passing = folder / "clean.tsv"
    with SplitWriter(passing) as writer:
        for pair in _cleaned(pairs, direction, cleaner, counts, listen):
            split = split_of(pair.source, pair.group, settings.split)
            index.add(split, key_of(pair.source), key_of(pair.target))
            writer.write(pair)
    _distribute(passing, index, settings, folder, counts, listen)
    passing.unlink()
    _check_sizes(counts)
    _check_leakage(settings, folder, counts, listen)
    return counts


def _cleaned(
    pairs: Iterable[tuple[str, RawPair]], direction: str, cleaner: Cleaner, counts: Counts, listen: Listener
) -> Iterator[Pair]:
    read, kept = 0, 0
    for read, (corpus, raw) in enumerate(pairs, 1):
        counts.raw[corpus] += 1
        cleaned = cleaner.clean(raw.source, raw.target)
        if cleaned.dropped is None:
            kept += 1
            yield Pair(cleaned.source, cleaned.target, direction, corpus, normalise(raw.group))
        else:
            counts.dropped[cleaned.dropped] += 1
        if read % _TELL_EVERY == 0:
            listen(Progress("clean pairs", read, None, "pairs", f"{kept:,} kept"))
    listen(Progress("clean pairs", read, read, "pairs", f"{kept:,} kept"))


def _distribute(
    passing: Path, index: Index, settings: PrepareSettings, folder: Path, counts: Counts, listen: Listener
) -> None:
    fates = index.fates(settings.split.apart, settings.clean.drop_duplicates)
    total = len(fates)
    with ExitStack() as stack:
        writers = {split: stack.enter_context(SplitWriter(folder / split.file_name)) for split in Split}
        for position, pair in enumerate(read_split(passing)):
            fate, split = fates[position], index.split(position)
            if fate == KEPT:
                writers[split].write(pair)
                counts.splits[split] += 1
                if pair.group:
                    counts.groups[split].add(pair.group)
            else:
                counts.dropped[REASONS[fate]] += 1
            if position % _TELL_EVERY == 0:
                listen(Progress("split pairs", position, total, "pairs"))
    listen(Progress("split pairs", total, total, "pairs"))


def _check_sizes(counts: Counts) -> None:
    empty = [split.name for split in Split if not counts.splits[split]]
    if not empty:
        return
    rule, most = max(counts.dropped.items(), key=lambda item: item[1])
    if counts.splits.total():
        fault = f"{' and '.join(empty)} got no pair; give prepare.split larger shares or the corpus more groups"
    else:
        fault = "no pair is left"
    blame = f"; the rule {rule!r} dropped most, {most:,} of {counts.raw.total():,}" if most else ""
    raise CorpusError(f"{fault}{blame}\n{counts.table()}")


def _check_leakage(settings: PrepareSettings, folder: Path, counts: Counts, listen: Listener) -> None:
    total = counts.splits[Split.train]

    def tell(done: int) -> None:
        listen(Progress("check leakage", done, total, "pairs"))

    counts.leakage = measure_leakage(folder, settings.near_copy, settings.leakage_sample, tell)
    tell(total)
    found = counts.leakage[Split.test]
    if found.share > settings.max_leakage:
        raise CorpusError(
            f"{found.near_copies:,} of {found.compared:,} test segments ({found.share:.1%}) have a near-copy in "
            f"training, more than prepare.max_leakage allows ({settings.max_leakage:.1%}): the test flatters. "
            "Group what belongs together (split.by: group), or raise the bound knowingly"
        )
