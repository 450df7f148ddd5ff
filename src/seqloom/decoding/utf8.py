"""Bytes that a search writes make characters: after each piece that is a byte comes one that UTF-8 allows there.

What is valid is table 3-7 of the Unicode Standard, less what normalised text never holds (`seqloom.text.normalise`):
U+FFFD, which stands for broken bytes, U+FFFE, U+FFFF, and private use, where the tokenizer keeps its symbols.

Shapes: R rows (hypotheses), V vocabulary, t ids so far.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

_SIZES = {2: range(0xC2, 0xE0), 3: range(0xE0, 0xF0), 4: range(0xF0, 0xF5)}  # of a character, by its first byte
_PRIVATE = 0xEE  # U+E000 to U+EFFF and no other character begins with it
_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xEF: (0xA3, 0xBF), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}
_THIRD = {(0xEF, 0xA3): (0xBF, 0xBF), (0xEF, 0xBF): (0x80, 0xBC)}  # U+F8FF is how the vocabulary spells U+2581


class UnfinishedCharacters(NamedTuple):
    """The rows that are within a character, (n,) int64, and what may follow in each: (n, 256), -inf elsewhere."""

    rows: Tensor
    following: Tensor


class Utf8Constraint:
    """The rules of a vocabulary whose ids `first` to `first` + 255 are the bytes 0 to 255."""

    def __init__(self, ids: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.first = ids[0]
        self._device = device

    @property
    def non_leading(self) -> list[int]:
        """The ids that no character begins with; they are never written but within one."""
        begins = {*range(0x80), *(byte for size in _SIZES.values() for byte in size)} - {_PRIVATE}
        return [self.first + byte for byte in range(256) if byte not in begins]

    @cached_property
    def _sizes(self) -> Tensor:
        """(257,): how many bytes a character has that begins with this byte; 0 where none does; 256 is no byte."""
        table = torch.zeros(257, dtype=torch.int64)
        table[:0x80] = 1
        for size, lead_bytes in _SIZES.items():
            table[lead_bytes.start : lead_bytes.stop] = size
        return table.to(self._device)

    @cached_property
    def _allowed(self) -> Tensor:
        """(257, 257, 2): the least and greatest byte that may follow a first byte and a second one (256: none)."""
        table = torch.empty(257, 257, 2, dtype=torch.int64)
        table[..., 0], table[..., 1] = 0x80, 0xBF
        for byte, bounds in _SECOND.items():
            table[byte, 256] = torch.tensor(bounds)
        for (byte, second), bounds in _THIRD.items():
            table[byte, second] = torch.tensor(bounds)
        return table.to(self._device)

    def unfinished(self, log_probabilities: Tensor, ids: Tensor) -> UnfinishedCharacters | None:
        """Return what may follow in the rows (R, V) whose `ids` (R, t) end within a character, or None."""
        if ids.shape[1] == 0:
            return None
        last = self._bytes(ids[:, -3:])  # (R, up to 3)
        if not bool((last[:, -1] < 256).any()):
            return None
        last = torch.nn.functional.pad(last, (3 - last.shape[1], 0), value=256)
        sizes = self._sizes[last] - torch.tensor([3, 2, 1], device=last.device)  # bytes that each would still want
        begins = self._sizes[last] > 1
        follows = (last >= 0x80) & (last < 0xC0)
        in_first = begins[:, 2]
        in_second = begins[:, 1] & follows[:, 2] & (sizes[:, 1] > 0)
        in_third = begins[:, 0] & follows[:, 1] & follows[:, 2] & (sizes[:, 0] > 0)
        nothing = torch.full_like(last[:, 0], 256)
        lead = torch.where(in_first, last[:, 2], torch.where(in_second, last[:, 1], last[:, 0]))
        second = torch.where(in_second, last[:, 2], nothing)
        # Behind the second byte of four the third is free, and so is the fourth.
        rows = (in_first | in_second | in_third).nonzero().squeeze(1)
        if len(rows) == 0:
            return None
        bounds = self._allowed[lead[rows], torch.where(in_third, nothing, second)[rows]]
        free = in_third[rows].unsqueeze(1)
        bounds = torch.where(free, torch.tensor([0x80, 0xBF], device=bounds.device), bounds)
        values = torch.arange(256, device=rows.device)
        outside = (values < bounds[:, :1]) | (values > bounds[:, 1:])
        following = log_probabilities[rows, self.first : self.first + 256].masked_fill(outside, -torch.inf)
        return UnfinishedCharacters(rows, following)

    def enforce(self, log_probabilities: Tensor, unfinished: UnfinishedCharacters) -> None:
        """Leave nothing else to the rows that are within a character, in place."""
        log_probabilities[unfinished.rows] = -torch.inf
        log_probabilities[unfinished.rows, self.first : self.first + 256] = unfinished.following

    def forbid_long(self, log_probabilities: Tensor, room: Tensor) -> None:
        """Write -inf, in place, over the bytes that begin a character for which a row (R,) has no room left."""
        for size, lead_bytes in _SIZES.items():
            columns = log_probabilities[:, self.first + lead_bytes.start : self.first + lead_bytes.stop]
            columns.masked_fill_((room < size).unsqueeze(1), -torch.inf)

    def _bytes(self, ids: Tensor) -> Tensor:
        """The byte of each id, 256 where it is none."""
        values = ids - self.first
        return torch.where((values >= 0) & (values < 256), values, 256)
