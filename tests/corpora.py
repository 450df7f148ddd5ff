"""Corpora in memory, prepared as prepare_corpus does, and by a plain implementation to compare with."""

import random
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

from seqloom.corpus.cleaning import Cleaner, untouched
from seqloom.corpus.keys import key_of, languages_of
from seqloom.corpus.prepare import Counts, Means, RawCorpus, prepare
from seqloom.corpus.preparing import items as package
from seqloom.corpus.preparing.means import Sizes
from seqloom.corpus.reading import LeftOut, RawPair
from seqloom.corpus.settings import PrepareSettings
from seqloom.corpus.splits import Pair, Split, read_split
from seqloom.corpus.splitting import pivots, split_of
from seqloom.languages import Direction
from seqloom.progress import Listener, ignore
from seqloom.sharding.local import LocalLauncher
from seqloom.text import normalise

STANDARD = Sizes()


class CorpusItem(NamedTuple):
    """An item with the name of its corpus."""

    corpus: str
    direction: Direction
    split: Split | None
    pair: RawPair | LeftOut


def corpora_of(items: Iterable[CorpusItem]) -> list[RawCorpus]:
    """Return the corpora that consist of these items, in order."""
    runs = [(name, list(run)) for name, run in groupby(items, lambda item: item.corpus)] or [("none", [])]
    return [
        RawCorpus(name, str(run), partial(map, package.CorpusItem._make, [item[1:] for item in run]))
        for name, run in runs
    ]


def prepare_items(
    items: Iterable[CorpusItem],
    directions: Sequence[Direction],
    settings: PrepareSettings,
    folder: Path,
    listen: Listener = ignore,
    sizes: Sizes = STANDARD,
    workers: int = 1,
) -> Counts:
    """Write the splits of some items into a new folder."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        means = Means(LocalLauncher(workers), Path(scratch), listen, sizes)
        return prepare(corpora_of(items), directions, settings, folder, means)


class Plain(NamedTuple):
    """What a plain implementation finds: the pairs of each split, and how many pairs were dropped for which reason."""

    splits: dict[Split, list[Pair]]
    dropped: Counter[str]


class _Ranked(NamedTuple):
    pair: Pair
    split: Split
    given: bool
    keys: tuple[int, int]

    @property
    def rank(self) -> int:
        order = [(Split.test, True), (Split.valid, True), (Split.train, False), (Split.valid, False)]
        entry = self.split, self.given and self.split is not Split.train
        return order.index(entry) if entry in order else len(order)


def plainly(items: Iterable[CorpusItem], directions: Sequence[Direction], settings: PrepareSettings) -> Plain:
    """Clean and split items by comparing every pair with every other one."""
    dropped: Counter[str] = Counter()
    ranked = _ranked(items, directions, settings, dropped)
    splits: dict[Split, list[Pair]] = {split: [] for split in Split}
    left = []
    for one in ranked:
        reason = _shared(one, ranked, settings.split.apart)
        if reason is None:
            left.append(one)
        else:
            dropped[reason] += 1
    for position, one in enumerate(left):
        if _is_duplicate(position, left, settings.clean.drop_duplicates):
            dropped["duplicate"] += 1
        else:
            splits[one.split].append(one.pair)
    return Plain(splits, dropped)


def _ranked(
    items: Iterable[CorpusItem], directions: Sequence[Direction], settings: PrepareSettings, dropped: Counter[str]
) -> list[_Ranked]:
    cleaner, sides, ranked = Cleaner(settings.clean), pivots(directions), []
    for corpus, direction, given, raw in items:
        if isinstance(raw, LeftOut):
            continue
        clean = untouched if given in (Split.valid, Split.test) else cleaner.clean
        source, target, reason = clean(raw.source, raw.target)
        if reason is not None:
            dropped[reason] += 1
            continue
        pair = Pair(source, target, str(direction), corpus, normalise(raw.group))
        split = split_of(pair[sides[direction]], pair.group, settings.split) if given is None else given
        one, other = languages_of(direction)
        ranked.append(_Ranked(pair, split, given is not None, (key_of(source, one), key_of(target, other))))
    return ranked


def _shared(one: _Ranked, every: Sequence[_Ranked], apart: str) -> str | None:
    """The reason to drop a pair because of a text in another split, or None."""
    above = [each for each in every if each.rank < one.rank and each.split is not one.split]
    chosen = (0,) if apart == "source" else (0, 1)
    mine, theirs = ((0, 1), chosen) if one.split is Split.train else (chosen, (0, 1))
    for side in mine:
        if any(each.keys[other] == one.keys[side] for each in above for other in theirs):
            if one.split is Split.train or one.given:
                return "text_of_given_split"
            return ("source_in_earlier_split", "target_in_earlier_split")[side]
    return None


def _is_duplicate(position: int, left: Sequence[_Ranked], mode: str) -> bool:
    one = left[position]
    if mode == "no" or (one.given and one.split is not Split.train):
        return False

    def same(other: _Ranked) -> bool:
        keys = other.keys == one.keys if mode == "pair" else other.keys[0] == one.keys[0]
        return keys and other.pair.direction == one.pair.direction

    benchmarks = (each for each in left if each.given and each.split is not Split.train)
    return any(map(same, benchmarks)) or any(map(same, left[:position]))


WORDS = ["the", "red", "blue", "door", "window", "opens", "slowly", "quickly", "house", "garden", "light", "garage"]


def generated(pairs, groups, seed=1, length=6):
    draw = random.Random(seed)
    for number in range(pairs):
        words = [draw.choice(WORDS) for _ in range(length)]
        yield (
            "c",
            RawPair(f"{' '.join(words)} x{number:x}z", f"{' '.join(words[::-1])} y{number:x}z", f"g{number % groups}"),
        )


def written(folder):
    return {split: list(read_split(folder / split.file_name)) for split in Split}


EN_DE, DE_EN, EN_FR = Direction("en", "de"), Direction("de", "en"), Direction("en", "fr")


def in_every(directions, pairs, groups=40, split=None):
    """One text in several languages, as in a catalogue: `word` in language `xx` is `word.xx`."""
    draw = random.Random(7)
    texts = [[f"{draw.choice(WORDS)}{number:x}z" for _ in range(5)] for number in range(pairs)]
    for direction in directions:
        for number, words in enumerate(texts):
            source, target = (" ".join(f"{word}.{language}" for word in words) for language in direction)
            yield CorpusItem("c", direction, split, RawPair(source, target, f"g{number % groups}" if groups else ""))


small = st.sampled_from([f"{word} {n}" for word in "abcdef" for n in range(2)])
multi = st.lists(
    st.builds(
        CorpusItem,
        corpus=st.just("c"),
        direction=st.sampled_from([EN_DE, DE_EN, EN_FR]),
        split=st.sampled_from([None, None, None, *Split]),
        pair=st.builds(RawPair, source=small, target=small, group=st.sampled_from(["", *"qrst"])),
    ),
    max_size=40,
)
