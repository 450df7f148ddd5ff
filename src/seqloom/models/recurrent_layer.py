"""A layer of recurrent cells that reads padded batches without packing them.

At padding, an extra input saturates the gates of each cell so that it keeps its state. After the padding, the state is
that of the last real token; a direction that reads the padding first is still at its initial zeros. So the fused kernel
can run over the whole padded batch, and lengths need not be copied from a GPU to its host. On a CPU, an LSTM over
batches of 1,024 tokens, sorted by length, took 1.01 times as long as without padding, and 1.06 times when packed; with
4,096 tokens 1.07 and 1.76 (docs/RESULTS.md). Large batches of very different lengths can be faster packed.

Shapes: B batch, S source, T target, E width of the inputs, C width of a cell's state, H = C, or 2C in two directions,
G gates of a cell together (4C in an LSTM, 3C in a GRU), R rows (hypotheses).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqloom.models.settings import Cell

Hidden = tuple[Tensor, ...]
"""The state of a layer: hidden and cell state of an LSTM, hidden state of a GRU; each (R, C)."""

_SHUT = 1e4  # added to a gate by the extra input: its sigmoid becomes 1, or 0 if negative
_HOLD = {"lstm": (-_SHUT, _SHUT, 0.0, 0.0), "gru": (0.0, _SHUT, 0.0)}  # input, forget, cell, output; reset, update, new


class RecurrentLayer(nn.Module):
    """A layer of LSTM (Hochreiter and Schmidhuber 1997) or GRU cells, in one or in both directions.

    The GRU's reset gate is applied after the recurrent matrix, as in cuDNN and torch; Cho et al. 2014 apply it before.
    Input matrices are initialised by Glorot, gate by gate, recurrent ones are orthogonal, biases are zero except for
    the forget gate's, which is one (Jozefowicz et al. 2015).
    """

    hold: Tensor  # (G, 1), added to the gates at padding

    def __init__(self, cell: Cell, width: int, size: int, bidirectional: bool = False) -> None:
        super().__init__()
        self.cell = cell
        self.size = size
        self.kernel = (nn.LSTM if cell == "lstm" else nn.GRU)(width, size, bidirectional=bidirectional)
        column = torch.tensor(_HOLD[cell]).repeat_interleave(size).unsqueeze(1)
        self.register_buffer("hold", column, persistent=False)
        for name, parameter in self.kernel.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
                if cell == "lstm" and name.startswith("bias_ih"):
                    nn.init.ones_(parameter[size : 2 * size])
            else:
                for gate in parameter.chunk(4 if cell == "lstm" else 3):
                    (nn.init.xavier_uniform_ if name.startswith("weight_ih") else nn.init.orthogonal_)(gate)

    def read(self, x_BSE: Tensor, real_BS: Tensor | None) -> tuple[Tensor, Hidden]:
        """Read whole sources from a state of zeros; return outputs (B, S, H) and the last state (B, H).

        Both directions are concatenated. Padding may be on either side; outputs at padding are undefined.
        """
        weights: tuple[Tensor, ...] = tuple(self.kernel.parameters())
        if real_BS is not None:
            x_BSE = torch.cat((x_BSE, (~real_BS).unsqueeze(-1).to(x_BSE.dtype)), dim=-1)
            weights = self._holding(weights)
        zeros = x_BSE.new_zeros(2 if self.kernel.bidirectional else 1, len(x_BSE), self.size)
        out_BSH, last = self._run(x_BSE, (zeros,) * (2 if self.cell == "lstm" else 1), weights)
        hidden, *cell = (each.transpose(0, 1).flatten(1) for each in last)
        return out_BSH, (hidden if real_BS is None else self._last_outputs(out_BSH, real_BS), *cell)

    def forward(self, x_RTE: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        """Continue from a state in one direction; return outputs (R, T, C) and the state after the last position."""
        if x_RTE.shape[1] == 1:
            last = self._step(x_RTE.squeeze(1), hidden)
            return last[0].unsqueeze(1), last
        first = tuple(each.unsqueeze(0) for each in hidden)
        out_RTC, last = self._run(x_RTE, first, tuple(self.kernel.parameters()))
        return out_RTC, tuple(each.squeeze(0) for each in last)

    def project(self, x_TRE: Tensor) -> Tensor:
        """Return the inputs' share of the gates, (T, R, G), at any number of positions, for `advance`."""
        weight, _, bias, hidden_bias = self.kernel.parameters()
        # The reset gate of a GRU scales the recurrent term including its bias; an LSTM adds both biases.
        return F.linear(x_TRE, weight, bias + hidden_bias if self.cell == "lstm" else bias)

    def advance(self, gates_RG: Tensor, hidden: Hidden) -> Hidden:
        """Return the state after one position, given the inputs' share of the gates."""
        _, weight, _, bias = self.kernel.parameters()
        past = hidden[0]
        if self.cell == "lstm":
            entry, forget, new, out = torch.addmm(gates_RG, past, weight.t()).chunk(4, dim=1)
            kept = forget.sigmoid() * hidden[1] + entry.sigmoid() * new.tanh()
            return out.sigmoid() * kept.tanh(), kept
        reset_x, update_x, new_x = gates_RG.chunk(3, dim=1)
        reset_h, update_h, new_h = F.linear(past, weight, bias).chunk(3, dim=1)
        new = (new_x + (reset_x + reset_h).sigmoid() * new_h).tanh()
        return (new + (update_x + update_h).sigmoid() * (past - new),)

    def _step(self, x_RE: Tensor, hidden: Hidden) -> Hidden:
        """Return the state after one position, with the kernel for single positions.

        With few rows, the kernel for sequences takes three times as long, and more when the number of rows is new.
        """
        weights = tuple(self.kernel.parameters())
        x_RE, *past = (each.to(weights[0].dtype) for each in (x_RE, *hidden))
        with torch.autocast("cpu", enabled=False):  # as in _run
            if self.cell == "lstm":
                return torch.lstm_cell(x_RE, past, *weights)
            return (torch.gru_cell(x_RE, past[0], *weights),)

    def _run(self, x_BSE: Tensor, hidden: Hidden, weights: tuple[Tensor, ...]) -> tuple[Tensor, Hidden]:
        biases, layers, dropout, batch_first = True, 1, 0.0, True
        how = (biases, layers, dropout, self.training, self.kernel.bidirectional, batch_first)
        dtype = weights[0].dtype
        x_BSE, hidden = x_BSE.to(dtype), tuple(each.to(dtype) for each in hidden)
        with torch.autocast("cpu", enabled=False):  # most CPUs have no bf16 LSTM, and oneDNN fails
            if self.cell == "lstm":
                out, *last = torch.lstm(x_BSE, hidden, weights, *how)
            else:
                out, *last = torch.gru(x_BSE, hidden[0], weights, *how)
        return out, tuple(last)

    def _last_outputs(self, out_BSH: Tensor, real_BS: Tensor) -> Tensor:
        """Return the outputs (B, H) at each direction's last real token, since an LSTM holds only its cell state."""
        ranks = torch.arange(1, real_BS.shape[1] + 1, device=real_BS.device)
        ends = [(real_BS * each).argmax(dim=1) for each in (ranks, ranks.flip(0))]  # the last one, the first one
        rows = torch.arange(len(out_BSH), device=out_BSH.device)
        directions = out_BSH.split_with_sizes([self.size] * (out_BSH.shape[2] // self.size), dim=2)
        return torch.cat([out[rows, end] for out, end in zip(directions, ends, strict=False)], dim=1)

    def _holding(self, weights: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the weights with one more column, for the input that is one at padding."""
        widened = list(weights)
        widened[::4] = [torch.cat((each, self.hold), dim=1) for each in weights[::4]]
        # Views of one block of memory, all matrices before all biases: cuDNN would copy any other layout.
        order = sorted(range(len(widened)), key=lambda index: index % 4 > 1)
        memory = torch.cat([widened[index].flatten() for index in order])
        pieces = torch.split_with_sizes(memory, [widened[index].numel() for index in order])
        placed = dict(zip(order, pieces, strict=True))
        return tuple(placed[index].view_as(each) for index, each in enumerate(widened))
