"""What corpora consist of before they are cleaned."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from seqloom.corpus.reading import LeftOut, RawPair
from seqloom.corpus.splits import Split
from seqloom.languages import Direction


class CorpusItem(NamedTuple):
    """A pair as read, with its corpus and direction; `split` is the split that the corpus provides, if any."""

    corpus: str
    direction: Direction
    split: Split | None
    pair: RawPair | LeftOut


class RawCorpus(NamedTuple):
    """A corpus to read. `identity` is a hash of everything that its items depend on."""

    name: str
    identity: str
    read: Callable[[], Iterator[CorpusItem]]
