"""What the recurrent networks share: stacks of LSTM or GRU layers, the bridge between them, and the tables of words.

Dropout lies on every connection that is not recurrent (Zaremba et al. 2014).

Shapes: B batch, S source, T target, E embedding width, H hidden width, D output width, L layers, R rows (hypotheses).
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqloom.models.dropout import Dropout
from seqloom.models.settings import AttentionLstmArchitecture, Cell, LstmArchitecture

Hidden = tuple[Tensor, ...]
"""The state of a stack: (hidden,) of a GRU, (hidden, cell) of an LSTM, each (L, R, H)."""


def select_rows(hidden: Hidden, rows: Tensor) -> Hidden:
    """The state of the given rows (int64), in that order."""
    return tuple(each.index_select(1, rows) for each in hidden)


def _layer(cell: Cell, width: int, hidden: int, bidirectional: bool = False) -> nn.LSTM | nn.GRU:
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    layer = kind(width, hidden, batch_first=True, bidirectional=bidirectional)
    for name, parameter in layer.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
            if cell == "lstm" and name.startswith("bias_ih"):
                nn.init.ones_(parameter[hidden : 2 * hidden])  # the forget gate (Jozefowicz et al. 2015)
            continue
        for gate in parameter.chunk(4 if cell == "lstm" else 3):
            (nn.init.xavier_uniform_ if name.startswith("weight_ih") else nn.init.orthogonal_)(gate)
    return layer


class Tables:
    """The embeddings and the output layer, tied as the architecture says."""

    def __init__(
        self, architecture: LstmArchitecture | AttentionLstmArchitecture, source_vocab_size: int, target_vocab_size: int
    ) -> None:
        width, hidden = architecture.embedding, architecture.hidden
        tied = architecture.tied_embeddings != "none"
        self.target = nn.Embedding(target_vocab_size, width)
        shared = architecture.tied_embeddings == "all"
        self.source = self.target if shared else nn.Embedding(source_vocab_size, width)
        self.reduction: nn.Module = nn.Linear(hidden, width, bias=False) if tied and hidden != width else nn.Identity()
        self.projection = nn.Linear(width if tied else hidden, target_vocab_size, bias=False)
        for table in (self.target, self.source, self.projection):
            nn.init.normal_(table.weight, std=table.weight.shape[1] ** -0.5)
        if tied:
            self.projection.weight = self.target.weight


class Encoder(nn.Module):
    """Reads a whole source. Each direction of a bidirectional one has half of the width."""

    def __init__(
        self, *, cell: Cell, width: int, hidden: int, layers: int, bidirectional: bool, dropout: float
    ) -> None:
        super().__init__()
        size = hidden // 2 if bidirectional else hidden
        self.layers = nn.ModuleList(
            _layer(cell, hidden if index else width, size, bidirectional) for index in range(layers)
        )
        kinds = 2 if cell == "lstm" else 1
        self.bridges = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers * kinds if bidirectional else 0))
        self.dropout = Dropout(dropout)

    def forward(self, x_BSE: Tensor, lengths: Tensor) -> tuple[Tensor, Hidden]:
        """Memory (B, S, H), and the last state of each layer."""
        states: list[list[Tensor]] = []
        x_BSH, host = x_BSE, lengths.cpu()
        for layer in self.layers:
            packed = pack_padded_sequence(self.dropout(x_BSH), host, batch_first=True, enforce_sorted=False)
            out, last = layer(packed)
            x_BSH, _ = pad_packed_sequence(out, batch_first=True, total_length=x_BSE.shape[1])
            states.append([last] if isinstance(last, Tensor) else list(last))
        return x_BSH, self._bridge(states)

    def _bridge(self, states: list[list[Tensor]]) -> Hidden:
        kinds: list[list[Tensor]] = [[] for _ in states[0]]
        for index, layer in enumerate(states):
            for kind, last in enumerate(layer):
                joint = last.transpose(0, 1).flatten(1)  # (B, H)
                if self.bridges:
                    joint = self.bridges[index * len(layer) + kind](joint)
                    joint = joint if kind else joint.tanh()
                kinds[kind].append(joint)
        return tuple(torch.stack(each) for each in kinds)


class Decoder(nn.Module):
    """A stack that goes on from a given state, over any number of positions."""

    def __init__(self, *, cell: Cell, width: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_layer(cell, hidden if index else width, hidden) for index in range(layers))
        self.dropout = Dropout(dropout)

    def forward(self, x_RTE: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        """Outputs (R, T, H) of the last layer and the state after the last position."""
        kinds: list[list[Tensor]] = [[] for _ in hidden]
        x_RTH = x_RTE
        for index, layer in enumerate(self.layers):
            first = tuple(each[index : index + 1].contiguous() for each in hidden)
            x_RTH, last = layer(self.dropout(x_RTH), first if len(first) > 1 else first[0])
            for kind, each in zip(kinds, (last,) if isinstance(last, Tensor) else last, strict=True):
                kind.append(each)
        return self.dropout(x_RTH), tuple(torch.cat(each) for each in kinds)
