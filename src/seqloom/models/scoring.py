"""How well a target position fits a source position: the score functions of attention.

Shapes: B batch, S source, T target, H width of queries and memory.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Score(nn.Module, ABC):
    """A score function. What depends on the source alone is made once, by `keys`."""

    @abstractmethod
    def keys(self, memory_BSH: Tensor) -> Tensor:
        """(B, S, H), made once per source."""

    @abstractmethod
    def forward(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """Scores (B, T, S)."""


class Dot(Score):
    """h_t . h_s (Luong et al. 2015, equation 8)."""

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """The memory itself."""
        return memory_BSH

    def forward(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """Scores (B, T, S)."""
        return query_BTH @ key_BSH.mT


class General(Dot):
    """h_t . W h_s (Luong et al. 2015, equation 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width, bias=False)
        nn.init.xavier_uniform_(self.key.weight)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """W h_s."""
        keys: Tensor = self.key(memory_BSH)
        return keys


class Additive(Score):
    """v . tanh(W h_t + U h_s) (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.vector = nn.Parameter(torch.empty(width).uniform_(-(width**-0.5), width**-0.5))
        for layer in (self.query, self.key):
            nn.init.xavier_uniform_(layer.weight)

    def keys(self, memory_BSH: Tensor) -> Tensor:
        """U h_s."""
        keys: Tensor = self.key(memory_BSH)
        return keys

    def forward(self, query_BTH: Tensor, key_BSH: Tensor) -> Tensor:
        """Scores (B, T, S)."""
        return (self.query(query_BTH).unsqueeze(2) + key_BSH.unsqueeze(1)).tanh() @ self.vector


def score_function(name: str, width: int) -> Score:
    """The score function of a name: additive, dot or general."""
    match name:
        case "additive":
            return Additive(width)
        case "general":
            return General(width)
        case _:
            return Dot()
