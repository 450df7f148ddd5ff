"""Which slots a target still owes its source: each as often as the source has it, pairs of tags properly nested.

A slot is a symbol that stands for a placeholder (`seqloom.tokenization.tokenizer`). Everything is found in the ids that
are written, so that hypotheses may change places. Time per step grows with the length as that of attention does.

Shapes: A sources, R rows (hypotheses, as many of each source), N slots, V vocabulary, t ids so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from seqloom.tokenization.tags import NO_PARTNER, name_of, partners


class RequiredSlots(NamedTuple):
    """The slots of one source: how often each is due, and for an opening tag the slot of what closes it (or -1)."""

    counts: tuple[int, ...] = ()
    closers: tuple[int, ...] = ()

    @classmethod
    def of(cls, placeholders: Sequence[str], slots: Sequence[str]) -> Self:
        """Return the budget of a source that holds `placeholders`, of which the distinct ones, `slots`, have a slot."""
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
        """How many slots are missing."""
        return sum(self.counts)


class MissingSlots(NamedTuple):
    """What the rows owe before their next token."""

    allowed: Tensor  # (R, N): what the model says of the slots that may come now; -inf of others
    total: Tensor  # (R,) how many are not there yet
    ending: Tensor  # (R,) whether the model would rather end than write anything else


@dataclass(frozen=True)
class SlotConstraint:
    """The budgets of the A active sources; `first` is the id of slot 0."""

    first: int
    counts: Tensor  # (A, N) int64
    closers: Tensor  # (A, N + 1) int64: the slot that closes what this one opens, -1 where there is none

    @classmethod
    def build(cls, ids: Sequence[int], required: Sequence[RequiredSlots], device: torch.device | str) -> Self | None:
        """Return the budgets of a batch, or None where no source has a slot; `ids` are those of all slots."""
        if not any(each.total for each in required):
            return None
        width = len(ids)
        counts = [[*each.counts, *[0] * (width - len(each.counts))] for each in required]
        closers = [[*each.closers, *[NO_PARTNER] * (width + 1 - len(each.closers))] for each in required]
        return cls(ids[0], torch.tensor(counts, device=device), torch.tensor(closers, device=device))

    def select(self, sources: Tensor) -> Self:
        """Keep the given sources, int64 indices, repeats allowed, in that order."""
        return replace(self, counts=self.counts[sources], closers=self.closers[sources])

    def missing(self, log_probabilities: Tensor, ids: Tensor, eos: int) -> MissingSlots:
        """Return what is due in each row, from what the model says, (R, V), of what comes behind `ids` (R, t)."""
        width, times = self.counts.shape[1], len(ids) // len(self.counts)
        slots = ids - self.first
        slots = torch.where((slots >= 0) & (slots < width), slots, width)
        written = torch.zeros(len(ids), width + 1, dtype=torch.int64, device=ids.device)
        written.scatter_add_(1, slots, torch.ones_like(slots))
        left = (self.counts.repeat_interleave(times, 0) - written[:, :width]).clamp_(min=0)
        may = left > 0
        fits = may & self._nested(slots, times)
        fits = torch.where(fits.any(dim=1, keepdim=True), fits, may)  # only a prefix leaves tags that cannot be nested
        said = log_probabilities[:, self.first : self.first + width].masked_fill(~fits, -torch.inf)
        ending = log_probabilities[:, eos] >= log_probabilities.amax(dim=1)
        return MissingSlots(said, left.sum(dim=1), ending)

    def _nested(self, slots: Tensor, times: int) -> Tensor:
        """Where a slot, (R, N), closes the tag opened last, or nothing; `slots` (R, t) are written, N is none."""
        width = self.counts.shape[1]
        closers = self.closers.repeat_interleave(times, 0)  # (R, N + 1)
        closes = torch.zeros(len(slots), width + 2, dtype=torch.bool, device=slots.device)
        closes.scatter_(1, torch.where(closers == NO_PARTNER, width + 1, closers), True)
        if slots.shape[1] == 0:
            return ~closes[:, :width]
        opening = closers.gather(1, slots)  # (R, t): what closes the tag that is opened here
        opens = opening != NO_PARTNER
        depth = (opens.long() - closes.gather(1, slots).long()).cumsum(dim=1)
        # The last tag whose depth is that of the end is still open, all behind it are closed again.
        at = torch.arange(slots.shape[1], device=slots.device)
        innermost = torch.where(opens & (depth == depth[:, -1:]), at, -1).amax(dim=1, keepdim=True)
        top = torch.where(innermost >= 0, opening.gather(1, innermost.clamp(min=0)), width)
        top = torch.where(depth[:, -1:] > 0, top, width)
        return ~closes[:, :width] | (torch.arange(width, device=slots.device) == top)

    def enforce(self, log_probabilities: Tensor, missing: MissingSlots, room: Tensor, eos: int) -> None:
        """Let each row write the slots that are due, in place; `room` (R,) is how many ids it may still have.

        A row that owes slots does not end; where it would, or where they take all the room that is left, it writes
        nothing but them.
        """
        owing = missing.total > 0
        now = owing & (missing.ending | (room <= missing.total))
        log_probabilities.masked_fill_(now.unsqueeze(1), -torch.inf)
        log_probabilities[:, eos].masked_fill_(owing, -torch.inf)
        log_probabilities[:, self.first : self.first + missing.allowed.shape[1]] = missing.allowed
