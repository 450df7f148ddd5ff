"""The key-value cache of a Transformer decoder, shared by the hypotheses of a source.

Copying keys and values whenever a beam is reordered costs as much as reading them. Instead, the cache holds each token
that any hypothesis of a source has read only once, and a mask records which tokens belong to which hypothesis.
Attention treats the hypotheses of a source as query positions under this mask.

Shapes: A sources, K hypotheses of each, L cached tokens of a source, N heads, H width of a head.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]
"""(B, N, S, H) each."""

_DEAD = 0.5  # the share of unused tokens above which compacting the cache pays off


def chosen_sources(rows: Tensor, sources: int, beams: int) -> Tensor | None:
    """Return the source that each line of `rows`, (n,) or (A, K), belongs to, (A,) int64; None if none moves.

    There are `sources` sources with `beams` rows each.
    """
    first = rows.view(len(rows), -1)[:, 0]
    chosen = first if beams == 1 else first // beams
    same = len(chosen) == sources and torch.equal(chosen, torch.arange(sources, device=rows.device))
    return None if same else chosen


@dataclass(frozen=True)
class KeyValueCache:
    """The keys and values of the target tokens read so far, per decoder layer, and which hypotheses they belong to."""

    layers: tuple[KeysValues, ...]  # (A, N, L, H) each
    visible: Tensor  # (A, K, L) bool

    @classmethod
    def empty(cls, like: tuple[KeysValues, ...]) -> Self:
        """Return an empty cache with one hypothesis per source; `like` has its layers, of any length."""
        key, _ = like[0]
        layers = tuple((k[:, :, :0], v[:, :, :0]) for k, v in like)
        return cls(layers, torch.empty(len(key), 1, 0, dtype=torch.bool, device=key.device))

    def visible_with_newest(self) -> Tensor:
        """Return the mask (A, K, L + K) after each hypothesis has read one more token; those are the last K."""
        sources, beams, _ = self.visible.shape
        newest = torch.eye(beams, dtype=torch.bool, device=self.visible.device).expand(sources, -1, -1)
        return torch.cat((self.visible, newest), dim=2)

    def select(self, rows: Tensor, sources: Tensor | None) -> Self:
        """Keep the hypotheses `rows` (A, K) of `sources` (A,), which come from `chosen_sources`."""
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
