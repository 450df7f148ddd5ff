"""A search constraint: a target contains each slot exactly as often as its source, with pairs of tags nested.

A slot is a symbol for a placeholder (`seqloom.tokenization.tokenizer`). The constraint is computed from the ids written
so far, so it holds no state when a beam is reordered. The time per step is linear in the length.

The constraint records the positions at which it allowed nothing but slots. The model would have ended the target there,
so it did not choose a place for those slots; `placeholders` places them by attention instead.

Shapes: A sources, R rows (hypotheses, the same number per source), N slots, V vocabulary, t ids so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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

    allowed: Tensor  # (R, N): log-probabilities of the slots that may come next, -inf for the others
    total: Tensor  # (R,): the number of missing slots
    ending: Tensor  # (R,): whether EOS is the most likely next token


@dataclass(frozen=True)
class SlotConstraint:
    """The required slots of the A active sources; `first` is the id of slot 0."""

    first: int
    counts: Tensor  # (A, N) int64
    closers: Tensor  # (A, N + 1) int64: the slot that closes each opening slot, -1 for the others
    sources: Tensor  # (A,) int64: the index of each source in its batch
    forced: set[tuple[int, tuple[int, ...]]]  # (source, ids) after which only slots were allowed; `select` shares it

    @classmethod
    def build(cls, ids: Sequence[int], required: Sequence[RequiredSlots], device: torch.device | str) -> Self | None:
        """Return the constraint of a batch, or None if no source has a slot; `ids` are the ids of all slots."""
        if not any(each.total for each in required):
            return None
        width = len(ids)
        counts = [[*each.counts, *[0] * (width - len(each.counts))] for each in required]
        closers = [[*each.closers, *[NO_PARTNER] * (width + 1 - len(each.closers))] for each in required]
        return cls(
            ids[0],
            torch.tensor(counts, device=device),
            torch.tensor(closers, device=device),
            torch.arange(len(required), device=device),
            set(),
        )

    def select(self, sources: Tensor) -> Self:
        """Return the constraint of the given sources (int64 indices, repeats allowed), in that order."""
        return replace(self, counts=self.counts[sources], closers=self.closers[sources], sources=self.sources[sources])

    def missing(self, log_probabilities: Tensor, ids: Tensor, eos: int) -> MissingSlots:
        """Return the slots that each row lacks; `log_probabilities` (R, V) are of the token after `ids` (R, t)."""
        width, times = self.counts.shape[1], len(ids) // len(self.counts)
        slots = ids - self.first
        slots = torch.where((slots >= 0) & (slots < width), slots, width)
        written = torch.zeros(len(ids), width + 1, dtype=torch.int64, device=ids.device)
        written.scatter_add_(1, slots, torch.ones_like(slots))
        left = (self.counts.repeat_interleave(times, 0) - written[:, :width]).clamp_(min=0)
        may = left > 0
        fits = may & self._nested(slots, times)
        # Only a prefix can have tags that cannot be nested.
        fits = torch.where(fits.any(dim=1, keepdim=True), fits, may)
        allowed = log_probabilities[:, self.first : self.first + width].masked_fill(~fits, -torch.inf)
        ending = log_probabilities[:, eos] >= log_probabilities.amax(dim=1)
        return MissingSlots(allowed, left.sum(dim=1), ending)

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
        """Restrict the log-probabilities after `ids`, in place; `room` (R,) is the number of ids a row may still add.

        A row that lacks slots must not end. If EOS is its most likely token, or its missing slots fill the remaining
        room, only slots are allowed.
        """
        owing = missing.total > 0
        now = owing & (missing.ending | (room <= missing.total))
        log_probabilities.masked_fill_(now.unsqueeze(1), -torch.inf)
        log_probabilities[:, eos].masked_fill_(owing, -torch.inf)
        log_probabilities[:, self.first : self.first + missing.allowed.shape[1]] = missing.allowed
        times = len(ids) // len(self.counts)
        for row in now.nonzero().flatten().tolist():
            self.forced.add((int(self.sources[row // times]), tuple(ids[row].tolist())))

    def before_forced(self, source: int, ids: Sequence[int], start: int) -> int:
        """Return the index in a target's `ids` of the first forced slot from `start` on; len(ids) if there is none."""
        slots = range(self.first, self.first + self.counts.shape[1])
        for at in range(start, len(ids)):
            if ids[at] in slots and (source, tuple(ids[:at])) in self.forced:
                return at
        return len(ids)
