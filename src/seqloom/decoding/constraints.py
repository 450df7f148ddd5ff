"""What may be written next, said in the log-probabilities before a search ranks them; each search uses it alike.

The rules, the strongest first:

1. A forced token is the only one there: those of a target prefix, and EOS once a hypothesis has its maximal length. A
   prefix longer than that is written whole.
2. PAD, BOS and `banned` ids are never written. (If EOS shares its id with PAD or BOS, that id stays allowed.)
3. Bytes make characters: after the first byte of one come those that complete it (`octets`).
4. Each slot comes exactly as often as its source has it, tags properly nested (`budgets`): none comes more often, and a
   hypothesis that lacks one does not end. Where the model would end, or where the missing ones take up all that is left
   of the maximal length, only they may come.
5. No n-gram of ids comes twice (Paulus et al. 2018, arXiv 1705.04304, section 2.5). The prefix counts as written.
6. A hypothesis does not end before its minimal length, unless nothing else is left for it to write: then it ends early.

A token that is allowed keeps the log-probability that the model gives it, a forced one too: nothing is renormalised, so
that a score is the true score of its ids. Where no rule bites, the cost is that of writing a few columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from seqloom.decoding.required_slots import RequiredSlots, SlotConstraint
from seqloom.decoding.utf8 import Utf8Constraint
from seqloom.symbols import Symbols
from seqloom.tokenization.tokenizer import NonTextIds

_FREE = -1  # in place of a forced token: there is none


@dataclass(frozen=True)
class Constraints:
    """The rules of the A active sources. Lengths count ids, the prefix too, and not the EOS."""

    symbols: Symbols
    min_lengths: Tensor  # (A,) int64
    max_lengths: Tensor  # (A,) int64, at least the length of the prefix; where the minimum is above it, it rules
    prefixes: Tensor  # (A, P) int64, -1 behind the end of each
    no_repeat_ngram: int  # 0 is off
    banned: tuple[int, ...] = ()
    slots: SlotConstraint | None = None  # None where no source has a slot
    utf8: Utf8Constraint | None = None  # None where no id is a byte

    @classmethod
    def build(
        cls,
        symbols: Symbols,
        max_lengths: Tensor,
        *,
        min_lengths: Tensor | None = None,
        prefixes: Sequence[Sequence[int]] | None = None,
        no_repeat_ngram: int = 0,
    ) -> Self:
        """Put the rules together: `max_lengths` and `min_lengths` (A,) int64, `prefixes` as plain ids, one per source.

        Raises:
            ValueError: there is not one prefix per source.
        """
        sources, device = len(max_lengths), max_lengths.device
        if prefixes is None:
            prefixes = [()] * sources
        if len(prefixes) != sources:
            raise ValueError(f"{len(prefixes)} prefixes for {sources} sources; there must be one for each")
        longest = max(map(len, prefixes), default=0)
        padded = [[*prefix, *[_FREE] * (longest - len(prefix))] for prefix in prefixes]
        lengths = torch.tensor([len(prefix) for prefix in prefixes], dtype=torch.int64, device=device)
        return cls(
            symbols,
            torch.zeros_like(max_lengths) if min_lengths is None else min_lengths,
            torch.maximum(max_lengths, lengths),
            torch.tensor(padded, dtype=torch.int64, device=device).view(sources, longest),
            no_repeat_ngram,
        )

    def extended(self, ids: NonTextIds, required: Sequence[RequiredSlots]) -> Self:
        """Return these rules with those for the `special` ids of a tokenizer; `budgets` has one per source."""
        device = self.max_lengths.device
        return replace(
            self,
            banned=(*ids.slots, *ids.never_generated),
            slots=SlotConstraint.build(ids.slots, required, device),
            utf8=Utf8Constraint(ids.byte_ids, device) if ids.byte_ids else None,
        )

    @cached_property
    def longest(self) -> int:
        """The most ids that a hypothesis of any source may have."""
        return int(self.max_lengths.max())

    @cached_property
    def _first_limit(self) -> int:
        return int(self.max_lengths.min())  # before this position no hypothesis is forced to end

    @cached_property
    def _last_minimum(self) -> int:
        return int(self.min_lengths.max())  # from this position on every hypothesis may end

    @cached_property
    def _never(self) -> Tensor:
        non_leading = () if self.utf8 is None else self.utf8.non_leading
        never = {self.symbols.pad, self.symbols.bos, *self.banned, *non_leading} - {self.symbols.eos}
        return torch.tensor(sorted(never), dtype=torch.int64, device=self.max_lengths.device)

    def select(self, sources: Tensor) -> Self:
        """Keep the given sources, int64 indices, repeats allowed, in that order."""
        return replace(
            self,
            min_lengths=self.min_lengths[sources],
            max_lengths=self.max_lengths[sources],
            prefixes=self.prefixes[sources],
            slots=None if self.slots is None else self.slots.select(sources),
        )

    def apply(self, log_probabilities: Tensor, ids: Tensor) -> Tensor:
        """Write -inf wherever a token is not allowed, in place, and return the tensor.

        `log_probabilities` (A * K, V) are of what comes behind `ids` (A * K, t): K rows per source, in their order.
        """
        position = ids.shape[1]
        rows, token = self._forced(position, len(ids))
        kept = log_probabilities[rows, token]
        missing = None if self.slots is None else self.slots.missing(log_probabilities, ids, self.symbols.eos)
        unfinished = None if self.utf8 is None else self.utf8.unfinished(log_probabilities, ids)
        if self._never.numel():
            log_probabilities.index_fill_(1, self._never, -torch.inf)
        if self.no_repeat_ngram:
            _forbid_repeats(log_probabilities, ids, self.no_repeat_ngram)
        if position < self._last_minimum:
            early = self._per_row(self.min_lengths > position, len(ids))
            _forbid_end(log_probabilities, early, self.symbols.eos)
        if missing is not None or self._is_near_the_end(position):
            room = self._per_row(self.max_lengths - position, len(ids))
            if self.utf8 is not None:
                self.utf8.forbid_long(log_probabilities, room if missing is None else room - missing.total)
            if missing is not None and self.slots is not None:
                self.slots.enforce(log_probabilities, missing, room, self.symbols.eos)
        if unfinished is not None and self.utf8 is not None:
            self.utf8.enforce(log_probabilities, unfinished)
        log_probabilities.index_fill_(0, rows, -torch.inf)[rows, token] = kept
        return log_probabilities

    def _is_near_the_end(self, position: int) -> bool:
        """Whether a character of several bytes might not fit into a hypothesis any more."""
        return self.utf8 is not None and position + 4 > self._first_limit

    def _forced(self, position: int, rows: int) -> tuple[Tensor, Tensor]:
        """The rows that have only one token to go on with, and that token of each: (n,) int64 both."""
        has_prefix = position < self.prefixes.shape[1]
        if not has_prefix and position < self._first_limit:
            return self._never[:0], self._never[:0]
        forced = torch.where(self.max_lengths <= position, self.symbols.eos, _FREE)
        if has_prefix:
            forced = torch.where(self.prefixes[:, position] == _FREE, forced, self.prefixes[:, position])
        forced = self._per_row(forced, rows)
        bound = (forced != _FREE).nonzero().squeeze(1)
        return bound, forced[bound]

    def _per_row(self, of_sources: Tensor, rows: int) -> Tensor:
        return of_sources.repeat_interleave(rows // len(of_sources))


def _forbid_repeats(log_probabilities: Tensor, ids: Tensor, size: int) -> None:
    """Write -inf where a token would complete an n-gram of `size` that `ids` (rows, t) hold already."""
    length = ids.shape[1]
    if length < size:
        return
    seen = ids.unfold(1, size, 1)  # (rows, t - size + 1, size): all n-grams so far
    begun = ids[:, length - size + 1 :].unsqueeze(1)  # (rows, 1, size - 1): what a new one begins with
    repeats = (seen[..., :-1] == begun).all(dim=2)
    last = seen[..., -1]
    log_probabilities.scatter_reduce_(
        1, last, torch.where(repeats, -torch.inf, torch.inf).to(log_probabilities.dtype), "amin"
    )


def _forbid_end(log_probabilities: Tensor, early: Tensor, eos: int) -> None:
    """Write -inf over EOS in the rows that are too `early` (rows,), but for those that can only end."""
    end = log_probabilities[:, eos].clone()
    log_probabilities[:, eos].masked_fill_(early, -torch.inf)
    stuck = log_probabilities.amax(dim=1) == -torch.inf
    log_probabilities[:, eos] = torch.where(stuck, end, log_probabilities[:, eos])
