"""A search constraint: byte pieces form valid UTF-8.

Valid are the byte sequences of table 3-7 of the Unicode Standard, except characters that normalised text never contains
(`seqloom.text.normalise`): U+FFFD, which marks broken bytes, U+FFFE, U+FFFF, and the private use area, which the
tokenizer uses for symbols.

Shapes: R rows (hypotheses), V vocabulary, t ids so far.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

_SIZES = {2: range(0xC2, 0xE0), 3: range(0xE0, 0xF0), 4: range(0xF0, 0xF5)}  # lead bytes by the size of the character
_LEAD = range(0xC2, 0xF5)  # all lead bytes
_PRIVATE = 0xEE  # the lead byte of U+E000 to U+EFFF only
_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xEF: (0xA3, 0xBF), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}
_THIRD = {(0xEF, 0xA3): (0xBF, 0xBF), (0xEF, 0xBF): (0x80, 0xBC)}  # U+F8FF is how the vocabulary spells U+2581


class UnfinishedCharacters(NamedTuple):
    """The rows that end inside a character, (n,) int64, and the log-probabilities (n, 256) of their next byte."""

    rows: Tensor
    following: Tensor


class Utf8Constraint:
    """The constraint for a vocabulary whose ids `first` to `first` + 255 are the bytes 0 to 255."""

    def __init__(self, ids: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.first = ids[0]
        self._device = device

    @property
    def non_leading(self) -> list[int]:
        """The ids of bytes that no character begins with; they are allowed only inside a character."""
        begins = {*range(0x80), *(byte for size in _SIZES.values() for byte in size)} - {_PRIVATE}
        return [self.first + byte for byte in range(256) if byte not in begins]

    @cached_property
    def _sizes(self) -> Tensor:
        """The size (257,) of the characters of several bytes that start with each byte, else 0; 256 is "not a byte"."""
        table = torch.zeros(257, dtype=torch.int64)
        for size, lead_bytes in _SIZES.items():
            table[lead_bytes.start : lead_bytes.stop] = size
        return table.to(self._device)

    @cached_property
    def _allowed(self) -> Tensor:
        """The smallest and largest byte, (257, 257, 2), that may follow a first and a second byte (256: no second)."""
        table = torch.empty(257, 257, 2, dtype=torch.int64)
        table[..., 0], table[..., 1] = 0x80, 0xBF
        for byte, bounds in _SECOND.items():
            table[byte, 256] = torch.tensor(bounds)
        for (byte, second), bounds in _THIRD.items():
            table[byte, second] = torch.tensor(bounds)
        return table.to(self._device)

    def unfinished(self, log_probabilities: Tensor, ids: Tensor) -> UnfinishedCharacters | None:
        """Return the allowed next bytes of the rows (R, V) whose `ids` (R, t) end inside a character, or None."""
        if ids.shape[1] == 0:
            return None
        last = self._bytes(ids[:, -3:])  # (R, up to 3)
        if not bool((last[:, -1] < 256).any()):
            return None
        last = torch.nn.functional.pad(last, (3 - last.shape[1], 0), value=256)
        sizes = self._sizes[last] - torch.tensor([3, 2, 1], device=last.device)  # bytes still missing after each
        begins = self._sizes[last] > 0
        follows = (last >= 0x80) & (last < 0xC0)
        in_first = begins[:, 2]
        in_second = begins[:, 1] & follows[:, 2] & (sizes[:, 1] > 0)
        in_third = begins[:, 0] & follows[:, 1] & follows[:, 2] & (sizes[:, 0] > 0)
        nothing = torch.full_like(last[:, 0], 256)
        lead = torch.where(in_first, last[:, 2], torch.where(in_second, last[:, 1], last[:, 0]))
        second = torch.where(in_second, last[:, 2], nothing)
        # After the second of four bytes, any continuation byte is valid.
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
        """Allow only the next bytes in the rows that end inside a character, in place."""
        log_probabilities[unfinished.rows] = -torch.inf
        log_probabilities[unfinished.rows, self.first : self.first + 256] = unfinished.following

    def forbid_long(self, log_probabilities: Tensor, room: Tensor) -> None:
        """Write -inf, in place, over lead bytes of characters that do not fit into a row's remaining `room` (R,)."""
        sizes = self._sizes[_LEAD.start : _LEAD.stop]
        columns = log_probabilities[:, self.first + _LEAD.start : self.first + _LEAD.stop]
        columns.masked_fill_(room.unsqueeze(1) < sizes, -torch.inf)

    def _bytes(self, ids: Tensor) -> Tensor:
        """Return the byte of each id, or 256 if it is not a byte."""
        values = ids - self.first
        return torch.where((values >= 0) & (values < 256), values, 256)
