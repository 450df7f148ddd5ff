"""Encode pairs as token ids, and count what is kept."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from seqloom.corpus.splits import Pair
from seqloom.errors import CorpusError
from seqloom.languages import Direction
from seqloom.tokenization.tokenizer import Tokenizer

SIDES = ("source", "target")


@dataclass
class Counts:
    """Counts of pairs by direction, and of the tokens of the kept ones by side."""

    kept: Counter[str] = field(default_factory=Counter)
    too_long: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, stored: dict[str, dict[str, int]]) -> Self:
        """Return the counts whose `vars` were stored as JSON."""
        return cls(**{name: Counter(each) for name, each in stored.items()})

    def add(self, other: "Counts") -> None:
        """Add the counts of other pairs."""
        for name, each in vars(self).items():
            each.update(getattr(other, name))

    def record(self, directions: Sequence[str], left_out: int) -> dict[str, Any]:
        """Return the entry of a split in counts.json; `left_out` is the number of pairs that were not read."""
        pairs = self.kept.total()
        record: dict[str, Any] = {"pairs": pairs, "too_long": self.too_long.total()}
        if left_out:
            record["left_out"] = left_out
        for side in SIDES:
            tokens = self.tokens[side]
            record[side] = {
                "tokens": tokens,
                "tokens_per_segment": round(tokens / pairs, 3),
                "unknown_share": round(self.unknown[side] / tokens, 6),
            }
        if len(directions) > 1:
            record["directions"] = {
                name: {"pairs": self.kept[name], "too_long": self.too_long[name]} for name in directions
            }
        return record


class Encoder:
    """Encodes pairs with a tokenizer, and leaves out those with more than `max_length` tokens on a side."""

    def __init__(self, tokenizer: Tokenizer, directions: Sequence[Direction], max_length: int) -> None:
        self.tokenizer, self._max_length = tokenizer, max_length
        self._directions = {str(direction): (number, direction) for number, direction in enumerate(directions)}

    def encode(self, pairs: Iterable[Pair], counts: Counts, path: Path) -> Iterator[tuple[list[int], list[int], int]]:
        """Yield the ids of both sides and the number of the direction of each pair that is kept, and count.

        Raises:
            CorpusError: a pair, from `path`, has a direction that params.yaml does not list.
        """
        unk = self.tokenizer.symbols.unk
        for pair in pairs:
            if (known := self._directions.get(pair.direction)) is None:
                raise CorpusError(
                    f"{path}: has {pair.direction}, which is not a direction of languages; run prepare_corpus again"
                )
            number, direction = known
            source, slots = self.tokenizer.encode_source(pair.source, direction.target)
            target = self.tokenizer.encode_target(pair.target, slots, direction.target)
            if max(len(source), len(target)) > self._max_length:
                counts.too_long[pair.direction] += 1
                continue
            counts.kept[pair.direction] += 1
            for side, ids in zip(SIDES, (source, target), strict=True):
                counts.tokens[side] += len(ids)
                counts.unknown[side] += ids.count(unk)
            yield source, target, number
