"""Constraints on the next token, which every search applies to the log-probabilities before ranking them.

The rules, strongest first:

1. A forced token is the only choice: the tokens of a target prefix, and EOS at the maximal length. A prefix longer than
   the maximal length is written in full.
2. PAD, BOS and `banned` ids are never allowed. (If EOS shares its id with PAD or BOS, that id stays allowed.)
3. Byte pieces form valid characters: the first byte of a character is followed by the bytes that complete it (`utf8`).
4. Each slot occurs exactly as often as in the source, with tags nested (`required_slots`). A hypothesis that lacks a
   slot must not end. If the model prefers EOS, or the missing slots fill the remaining length, only those slots are
   allowed.
5. No n-gram of ids is repeated (Paulus et al. 2018, arXiv 1705.04304, section 2.5). The prefix counts as written.
6. A hypothesis does not end before its minimal length, unless no other token is allowed.

An allowed token keeps its log-probability, also if it is forced: nothing is renormalised, so that a score is the true
score of its ids. If no rule applies, the only cost is to overwrite a few columns.
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

_FREE = -1  # no token is forced


@dataclass(frozen=True)
class Constraints:
    """The constraints of the A active sources. Lengths count ids, including the prefix but not EOS."""

    symbols: Symbols
    min_lengths: Tensor  # (A,) int64
    max_lengths: Tensor  # (A,) int64, at least the length of the prefix; takes precedence over min_lengths
    prefixes: Tensor  # (A, P) int64, padded with -1
    no_repeat_ngram: int  # 0 is off
    banned: tuple[int, ...] = ()
    slots: SlotConstraint | None = None  # None if no source has a slot
    utf8: Utf8Constraint | None = None  # None if the vocabulary has no bytes

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
        """Return constraints from `max_lengths` and `min_lengths` (A,) int64, and a prefix of ids per source.

        Raises:
            ValueError: the number of prefixes is not the number of sources.
        """
        sources, device = len(max_lengths), max_lengths.device
        if prefixes is None:
            prefixes = [()] * sources
        if len(prefixes) != sources:
            raise ValueError(f"{len(prefixes)} prefixes for {sources} sources; each source needs one")
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
        """Return these constraints with the rules for a tokenizer's non-text `ids`; `required` is given per source."""
        device = self.max_lengths.device
        return replace(
            self,
            banned=(*ids.slots, *ids.never_generated),
            slots=SlotConstraint.build(ids.slots, required, device),
            utf8=Utf8Constraint(ids.byte_ids, device) if ids.byte_ids else None,
        )

    @cached_property
    def longest(self) -> int:
        """The largest number of ids that any hypothesis may have."""
        return int(self.max_lengths.max())

    @cached_property
    def _first_limit(self) -> int:
        return int(self.max_lengths.min())  # no hypothesis is forced to end before this position

    @cached_property
    def _last_minimum(self) -> int:
        return int(self.min_lengths.max())  # every hypothesis may end from this position on

    @cached_property
    def _never(self) -> Tensor:
        non_leading = () if self.utf8 is None else self.utf8.non_leading
        never = {self.symbols.pad, self.symbols.bos, *self.banned, *non_leading} - {self.symbols.eos}
        return torch.tensor(sorted(never), dtype=torch.int64, device=self.max_lengths.device)

    def select(self, sources: Tensor) -> Self:
        """Return the constraints of the given sources (int64 indices, repeats allowed), in that order."""
        return replace(
            self,
            min_lengths=self.min_lengths[sources],
            max_lengths=self.max_lengths[sources],
            prefixes=self.prefixes[sources],
            slots=None if self.slots is None else self.slots.select(sources),
        )

    def apply(self, log_probabilities: Tensor, ids: Tensor) -> Tensor:
        """Write -inf over tokens that are not allowed, in place, and return the tensor.

        `log_probabilities` (A * K, V) belong to the token after `ids` (A * K, t), with K consecutive rows per source.
        """
        position = ids.shape[1]
        rows, token = self._forced(position, len(ids))
        kept = log_probabilities[rows, token]
        missing = None if self.slots is None else self.slots.missing(log_probabilities, ids, self.symbols.eos)
        unfinished = None if self.utf8 is None else self.utf8.unfinished(log_probabilities, ids)
        log_probabilities.index_fill_(1, self._never, -torch.inf)
        if self.no_repeat_ngram:
            _forbid_repeats(log_probabilities, ids, self.no_repeat_ngram)
        if position < self._last_minimum:
            early = self._per_row(self.min_lengths > position, len(ids))
            _forbid_end(log_probabilities, early, self.symbols.eos)
        if missing is not None or self._is_near_the_end(position):
            room = self._per_row(self.max_lengths - position, len(ids))
            if self.utf8 is not None:
                free = room if missing is None else room.index_add(0, missing.rows, -missing.total)
                self.utf8.forbid_long(log_probabilities, free)
            if missing is not None and self.slots is not None:
                self.slots.enforce(log_probabilities, ids, missing, room, self.symbols.eos)
        if unfinished is not None and self.utf8 is not None:
            self.utf8.enforce(log_probabilities, unfinished)
        log_probabilities.index_fill_(0, rows, -torch.inf)[rows, token] = kept
        return log_probabilities

    def _is_near_the_end(self, position: int) -> bool:
        """Whether a character of several bytes might no longer fit into a hypothesis."""
        return self.utf8 is not None and position + 4 > self._first_limit

    def _forced(self, position: int, rows: int) -> tuple[Tensor, Tensor]:
        """Return the rows with a forced token, and those tokens, both (n,) int64."""
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
    """Write -inf over tokens that would complete an n-gram of `size` which `ids` (rows, t) already contain."""
    length = ids.shape[1]
    if length < size:
        return
    seen = ids.unfold(1, size, 1)  # (rows, t - size + 1, size): all n-grams so far
    begun = ids[:, length - size + 1 :].unsqueeze(1)  # (rows, 1, size - 1): the start of the next n-gram
    repeats = (seen[..., :-1] == begun).all(dim=2)
    last = seen[..., -1]
    log_probabilities.scatter_reduce_(
        1, last, torch.where(repeats, -torch.inf, torch.inf).to(log_probabilities.dtype), "amin"
    )


def _forbid_end(log_probabilities: Tensor, early: Tensor, eos: int) -> None:
    """Write -inf over EOS in the rows that are too `early` (rows,), except in those that can only end."""
    end = log_probabilities[:, eos].clone()
    log_probabilities[:, eos].masked_fill_(early, -torch.inf)
    stuck = log_probabilities.amax(dim=1) == -torch.inf
    log_probabilities[:, eos] = torch.where(stuck, end, log_probabilities[:, eos])
