"""What Hugging Face's `generate` is told about lengths, and what it gives back. Knows ids alone.

It bounds the targets of a batch as one; here every source has bounds of its own.

Shapes: B batch, K beams, R = B * K rows, T ids read so far, V vocabulary.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from seqloom.symbols import Symbols


class Generated(NamedTuple):
    """A target that `Pretrained.generate` found: its ids, without BOS and EOS, and their log-probability with EOS."""

    ids: list[int]
    log_probability: float


class Limits:
    """No PAD and no BOS, no EOS too early, and nothing but EOS at the end, row by row.

    `least` and `most` (B,) are the bounds of a target's ids, without BOS and EOS.
    """

    def __init__(self, symbols: Symbols, least: Tensor, most: Tensor, beam: int) -> None:
        self._eos = symbols.eos
        self._banned = sorted({symbols.pad, symbols.bos} - {symbols.eos})
        self._least, self._most = least.repeat_interleave(beam), most.repeat_interleave(beam)

    def __call__(self, read_RT: Tensor, scores_RV: Tensor) -> Tensor:
        """Scores of the next id, given what was read."""
        written = read_RT.shape[1] - 1
        ends = scores_RV[:, self._eos].masked_fill(self._least.to(scores_RV.device) > written, -torch.inf)
        at_limit = (self._most.to(scores_RV.device) <= written).unsqueeze(1)
        scores = scores_RV.masked_fill(at_limit, -torch.inf)
        scores[:, self._banned] = -torch.inf
        scores[:, self._eos] = torch.where(at_limit.squeeze(1), scores_RV[:, self._eos], ends)
        return scores
