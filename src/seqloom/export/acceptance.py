"""Check finished hypotheses of a search without constraints against the constraints of ours.

A hypothesis passes if `Constraints.apply` would have allowed each of its tokens and its end; only positions that no
rule can concern are left out. So the rules exist only once, and what passes here obeys them as strictly as what our own
search finds. The best path of a greedy search without constraints that passes is the best path with them: what they
remove was not the best token anywhere.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from seqloom.decoding.constraints import Constraints


class Written(NamedTuple):
    """A hypothesis that ends with EOS: the index of its source, and its ids without EOS."""

    source: int
    ids: list[int]


def accepted(written: Sequence[Written], constraints: Constraints, vocabulary: int) -> list[bool]:
    """Return for each hypothesis whether it obeys the constraints; `vocabulary` is the number of target ids."""
    plain = _PlainRule(constraints)
    doubts = [plain.doubts(each) for each in written]
    passes = [found is not None for found in doubts]
    doubtful = {index: found for index, found in enumerate(doubts) if found}
    replayed = _replay([written[index] for index in doubtful], list(doubtful.values()), constraints, vocabulary)
    for index, result in zip(doubtful, replayed, strict=True):
        passes[index] = result
    return passes


class _PlainRule:
    """Decides about most hypotheses and positions from lengths and ids, which is much faster than to replay them."""

    def __init__(self, constraints: Constraints) -> None:
        symbols = constraints.symbols
        self._least, self._most = constraints.min_lengths.tolist(), constraints.max_lengths.tolist()
        self._never = {symbols.pad, symbols.bos, symbols.eos, *constraints.banned}
        self._bytes = range(0)
        if constraints.utf8 is not None:
            self._bytes = range(constraints.utf8.first, constraints.utf8.first + 256)
        self._needs_replay = [bool(constraints.no_repeat_ngram)] * len(self._most)
        if constraints.prefixes.shape[1]:
            forced = (constraints.prefixes >= 0).any(dim=1).tolist()
            self._needs_replay = [a or b for a, b in zip(self._needs_replay, forced, strict=True)]
        self._slots = [0] * len(self._most) if constraints.slots is None else constraints.slots.totals.tolist()

    def doubts(self, each: Written) -> Collection[int] | None:
        """Return the positions of tokens that may break a rule, or None if one certainly does.

        Other tokens than slots may only be refused if the slots that are still missing fill the room that is left.
        """
        source, ids = each
        slots, most = self._slots[source], self._most[source]
        if not self._least[source] <= len(ids) <= most:
            return None
        if self._needs_replay[source] or any(id_ in self._bytes for id_ in ids) or (slots and len(ids) + slots > most):
            return range(len(ids) + 1)
        special = [position for position, id_ in enumerate(ids) if id_ in self._never]
        if not slots:
            return None if special else ()
        return [*special, len(ids)]


def _replay(
    written: Sequence[Written], positions: Sequence[Collection[int]], constraints: Constraints, vocabulary: int
) -> list[bool]:
    """Apply the constraints before the tokens of each hypothesis that are at its positions, as a search does."""
    if not written:
        return []
    if constraints.slots is not None:  # what is forced here was not forced in the search that wrote the hypotheses
        constraints = replace(constraints, slots=replace(constraints.slots, forced=set()))
    longest = max(len(each.ids) for each in written)
    sources = torch.tensor([each.source for each in written])
    ids = torch.full((len(written), longest + 1), constraints.symbols.eos)
    for row, each in zip(ids, written, strict=True):
        row[: len(each.ids)] = torch.tensor(each.ids, dtype=torch.int64)
    passes = torch.ones(len(written), dtype=torch.bool)
    for position in sorted({position for each in positions for position in each}):
        here = torch.tensor([position in each for each in positions])
        rows = (here & passes).nonzero().squeeze(1)
        if not len(rows):
            continue
        passes[rows] = _allowed(constraints.select(sources[rows]), ids[rows], position, vocabulary)
    return [bool(each) for each in passes.tolist()]


def _allowed(constraints: Constraints, ids: Tensor, position: int, vocabulary: int) -> Tensor:
    """Return for each row of `ids` (R, t) whether its token at `position` may follow those before it, (R,) bool."""
    token = ids[:, position : position + 1]
    scores = torch.full((len(ids), vocabulary), -1.0).scatter_(1, token, 0.0)  # its own token is the most likely
    allowed: Tensor = constraints.apply(scores, ids[:, :position]).gather(1, token).squeeze(1) > -torch.inf
    return allowed
