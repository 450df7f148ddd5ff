"""A search constraint: a target contains each slot exactly as often as its source, with pairs of tags nested.

A slot is a symbol for a placeholder (`seqloom.tokenization.tokenizer`). The constraint is computed from the ids written
so far, so it holds no state when a beam is reordered. The time per step is linear in the length.

The constraint records the positions at which it allowed nothing but slots. The model would have ended the target there,
so it did not choose a place for those slots; `placeholders` places them by attention instead.

Sources without slots cost nothing: only the M sources that have some, and their rows, are looked at.

Shapes: A sources, K hypotheses of each, M sources with slots, R = M * K rows of those, N slots, V vocabulary, t ids so
far.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Self

import torch
from torch import Tensor

from seqloom.tokenization.tags import NO_PARTNER, name_of, partners


class RequiredSlots(NamedTuple):
    """The slots that a source's target needs: their counts, and for an opening tag the slot that closes it, else -1."""

    counts: tuple[int, ...] = ()
    closers: tuple[int, ...] = ()

    @classmethod
    def of(cls, placeholders: Sequence[str], slots: Sequence[str]) -> Self:
        """Return the slots needed for a source with `placeholders`; `slots` are the distinct ones that have a slot."""
        place = {placeholder: slot for slot, placeholder in enumerate(slots)}
        counts, closers = [0] * len(slots), [NO_PARTNER] * len(slots)
        pairs = partners(placeholders)
        for placeholder, partner in zip(placeholders, pairs, strict=True):
            if (slot := place.get(placeholder)) is not None:
                counts[slot] += 1
                if partner != NO_PARTNER and name_of(placeholder)[1]:
                    closers[slot] = place.get(placeholders[partner], NO_PARTNER)
        return cls(tuple(counts), tuple(closers))

    @property
    def total(self) -> int:
        """The number of slots needed, counting repeats."""
        return sum(self.counts)


class MissingSlots(NamedTuple):
    """The slots that the rows still lack before their next token."""

    rows: Tensor  # (R,): the rows whose sources have slots, among all A * K
    allowed: Tensor  # (R, N): log-probabilities of the slots that may come next, -inf for the others
    total: Tensor  # (R,): the number of missing slots
    ending: Tensor  # (R,): whether EOS is the most likely next token


@dataclass(frozen=True)
class SlotConstraint:
    """The required slots of the A active sources, of which M have any; `first` is the id of slot 0."""

    first: int
    place: Tensor  # (A,) int64: the row of each active source in `counts`, -1 if it has no slot
    counts: Tensor  # (M, N) int64
    closers: Tensor  # (M, N + 1) int64: the slot that closes each opening slot, -1 for the others
    sources: Tensor  # (M,) int64: the index of each source in its batch
    forced: set[tuple[int, tuple[int, ...]]]  # (source, ids) after which only slots were allowed; `select` shares it

    @classmethod
    def build(cls, ids: Sequence[int], required: Sequence[RequiredSlots], device: torch.device | str) -> Self | None:
        """Return the constraint of a batch, or None if no source has a slot; `ids` are the ids of all slots."""
        having = [source for source, each in enumerate(required) if each.total]
        if not having:
            return None
        width = len(ids)
        counts = [[*each.counts, *[0] * (width - len(each.counts))] for each in required if each.total]
        closers = [[*each.closers, *[NO_PARTNER] * (width + 1 - len(each.closers))] for each in required if each.total]
        rows = {source: row for row, source in enumerate(having)}
        return cls(
            ids[0],
            torch.tensor([rows.get(source, -1) for source in range(len(required))], device=device),
            torch.tensor(counts, device=device),
            torch.tensor(closers, device=device),
            torch.tensor(having, device=device),
            set(),
        )

    @property
    def totals(self) -> Tensor:
        """The number of slots that each active source needs, (A,) int64."""
        return torch.where(self.place < 0, 0, self.counts.sum(dim=1)[self.place])

    def select(self, sources: Tensor) -> Self | None:
        """Return the constraint of the given sources (int64 indices, repeats allowed), in that order.

        It is None if none of them has a slot.
        """
        place = self.place[sources]
        having = (place >= 0).nonzero().squeeze(1)
        if len(having) == 0:
            return None
        rows = place[having]
        return replace(
            self,
            place=torch.full_like(place, -1).index_put_((having,), torch.arange(len(having), device=place.device)),
            counts=self.counts[rows],
            closers=self.closers[rows],
            sources=self.sources[rows],
        )

    @cached_property
    def _having(self) -> Tensor:
        return (self.place >= 0).nonzero().squeeze(1)

    @cached_property
    def _has_pairs(self) -> bool:
        return bool((self.closers != NO_PARTNER).any())

    def missing(self, log_probabilities: Tensor, ids: Tensor, eos: int) -> MissingSlots:
        """Return the slots that the rows lack.

        `log_probabilities` (A * K, V) are those of the token after `ids` (A * K, t).
        """
        width, times = self.counts.shape[1], len(ids) // len(self.place)
        rows = (self._having.unsqueeze(1) * times + torch.arange(times, device=ids.device)).flatten()
        log_probabilities = log_probabilities.index_select(0, rows)
        slots = ids.index_select(0, rows) - self.first
        slots = torch.where((slots >= 0) & (slots < width), slots, width)
        written = torch.zeros(len(rows), width + 1, dtype=torch.int64, device=ids.device)
        written.scatter_add_(1, slots, torch.ones_like(slots))
        left = (self.counts.repeat_interleave(times, 0) - written[:, :width]).clamp_(min=0)
        may = left > 0
        fits = may
        if self._has_pairs:
            fits = may & self._nested(slots, times)
            # Only a prefix can have tags that cannot be nested.
            fits = torch.where(fits.any(dim=1, keepdim=True), fits, may)
        allowed = log_probabilities[:, self.first : self.first + width].masked_fill(~fits, -torch.inf)
        ending = log_probabilities[:, eos] >= log_probabilities.amax(dim=1)
        return MissingSlots(rows, allowed, left.sum(dim=1), ending)

    def _nested(self, slots: Tensor, times: int) -> Tensor:
        """Return whether each slot may come next, (R, N): it closes the innermost open tag, or is no closing tag.

        `slots` (R, t) are the slots written so far; N stands for an id that is not a slot.
        """
        width = self.counts.shape[1]
        closers = self.closers.repeat_interleave(times, 0)  # (R, N + 1)
        closes = torch.zeros(len(slots), width + 2, dtype=torch.bool, device=slots.device)
        closes.scatter_(1, torch.where(closers == NO_PARTNER, width + 1, closers), True)
        if slots.shape[1] == 0:
            return ~closes[:, :width]
        opening = closers.gather(1, slots)  # (R, t): the slot that closes the tag opened here
        opens = opening != NO_PARTNER
        depth = (opens.long() - closes.gather(1, slots).long()).cumsum(dim=1)
        # The last opening tag at the final depth is still open; all opened after it are closed.
        at = torch.arange(slots.shape[1], device=slots.device)
        innermost = torch.where(opens & (depth == depth[:, -1:]), at, 0).amax(dim=1, keepdim=True)
        top = torch.where(depth[:, -1:] > 0, opening.gather(1, innermost), width)
        return ~closes[:, :width] | (torch.arange(width, device=slots.device) == top)

    def enforce(self, log_probabilities: Tensor, ids: Tensor, missing: MissingSlots, room: Tensor, eos: int) -> None:
        """Restrict the log-probabilities after `ids`, in place; `room` (A * K,) is how many ids a row may still add.

        A row that lacks slots must not end. If EOS is its most likely token, or its missing slots fill the remaining
        room, only slots are allowed.
        """
        rows, allowed, total, ending = missing
        owing = total > 0
        forced = rows[owing & (ending | (room[rows] <= total))]
        log_probabilities.index_fill_(0, forced, -torch.inf)
        log_probabilities[rows, eos] = log_probabilities[rows, eos].masked_fill(owing, -torch.inf)
        log_probabilities[:, self.first : self.first + allowed.shape[1]].index_copy_(0, rows, allowed)
        times = len(ids) // len(self.place)
        for row in forced.tolist():
            self.forced.add((int(self.sources[self.place[row // times]]), tuple(ids[row].tolist())))

    def before_forced(self, source: int, ids: Sequence[int], start: int) -> int:
        """Return the index in a target's `ids` of the first forced slot from `start` on; len(ids) if there is none."""
        slots = range(self.first, self.first + self.counts.shape[1])
        for at in range(start, len(ids)):
            if ids[at] in slots and (source, tuple(ids[:at])) in self.forced:
                return at
        return len(ids)
