"""What every format is read into."""

from typing import NamedTuple


class RawPair(NamedTuple):
    """Two texts that mean the same, as the file has them.

    `group` names what a pair must stay together with when the corpus is split: the catalogue that it comes from. It is
    empty where the format knows none (tsv, moses); such a pair stays with those of the same source text.
    """

    source: str
    target: str
    group: str
