"""What corpora consist of before they are cleaned."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from seqloom.corpus.reading import LeftOut, RawPair
from seqloom.corpus.splits import Split
from seqloom.languages import Direction
from seqloom.text import Forms

Change = Callable[[str, Forms], str]
"""Changes the source of a synthetic pair: picklable, and its `repr` says what it does."""


class CorpusItem(NamedTuple):
    """A pair as read, with its direction; `split` is the split that the corpus provides, if any."""

    direction: Direction
    split: Split | None
    pair: RawPair | LeftOut


class RawCorpus(NamedTuple):
    """A corpus to read. `identity` is a hash of everything that its items depend on.

    The pairs of a corpus that is `training_only` are dropped if one of their texts is in valid or test. `change` is for
    pairs of which a model wrote one side: they are cleaned and compared with others as they are, and their sources are
    changed at the end.
    """

    name: str
    identity: str
    read: Callable[[], Iterator[CorpusItem]]
    training_only: bool = False
    change: Change | None = None
