"""What the hypotheses of a source share while they are searched: its memory, and most of the targets they have read.

Copying keys and values from row to row whenever a beam is reordered costs as much as reading them. So nothing is
copied: all tokens that hypotheses of a source have read stand side by side, once, and each hypothesis knows which of
them are its visible. Attention looks at all and is told by a mask, with the hypotheses of a source as its positions.

Shapes: A sources, K hypotheses of each, L tokens that those of a source have read, N heads, H width of a head.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]
"""(B, N, S, H) each."""

_DEAD = 0.5  # the share of tokens that no hypothesis needs from which it pays to leave them behind


def chosen_sources(rows: Tensor, sources: int, beams: int) -> Tensor | None:
    """Which source each line of `rows` (n,) or (A, K) reads, (A,) int64, of `sources` that have `beams` rows each.

    None where every source stays where it is.
    """
    first = rows.view(len(rows), -1)[:, 0]
    chosen = first if beams == 1 else first // beams
    same = len(chosen) == sources and torch.equal(chosen, torch.arange(sources, device=rows.device))
    return None if same else chosen


@dataclass(frozen=True)
class KeyValueCache:
    """The keys and values of the target tokens read so far, per decoder layer, and whose they are."""

    layers: tuple[KeysValues, ...]  # (A, N, L, H) each
    visible: Tensor  # (A, K, L) bool

    @classmethod
    def empty(cls, like: tuple[KeysValues, ...]) -> Self:
        """Nothing has been read yet, and each source has one hypothesis; `like` are its layers of another length."""
        key, _ = like[0]
        layers = tuple((k[:, :, :0], v[:, :, :0]) for k, v in like)
        return cls(layers, torch.empty(len(key), 1, 0, dtype=torch.bool, device=key.device))

    def visible_with_newest(self) -> Tensor:
        """(A, K, L + K): whose the tokens are once each hypothesis has read one more, which follow in their order."""
        sources, beams, _ = self.visible.shape
        newest = torch.eye(beams, dtype=torch.bool, device=self.visible.device).expand(sources, -1, -1)
        return torch.cat((self.visible, newest), dim=2)

    def select(self, rows: Tensor, sources: Tensor | None) -> Self:
        """Keep the hypotheses `rows` (A, K), which are of `sources` (A,), see `chosen_sources`."""
        visible = self.visible.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, -1)
        needed = visible.any(dim=1)  # (A, L)
        length = needed.shape[1]
        most = int(needed.sum(dim=1).max()) if length else 0
        if sources is None:
            if most >= (1 - _DEAD) * length:
                return replace(self, visible=visible)
            sources = torch.arange(len(rows), device=rows.device)
        place = needed.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices[:, :most]
        visible = visible.gather(2, place.unsqueeze(1).expand(-1, visible.shape[1], -1))
        key, _ = self.layers[0]
        heads = key.shape[1]
        block = sources.unsqueeze(1) * heads + torch.arange(heads, device=rows.device)  # (A, N)
        index = (block.unsqueeze(2) * length + place.unsqueeze(1)).flatten()

        def pick(x_ANLH: Tensor) -> Tensor:
            return x_ANLH.flatten(0, 2).index_select(0, index).view(len(rows), heads, most, x_ANLH.shape[3])

        return replace(self, layers=tuple((pick(k), pick(v)) for k, v in self.layers), visible=visible)
