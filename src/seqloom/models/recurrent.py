"""The parts that the recurrent networks share: encoder, bridge, decoder, embeddings and output layer.

Dropout is applied to the non-recurrent connections only (Zaremba et al. 2014).

Shapes: B batch, S source, T target, E embedding width, H hidden width, G gates of a cell together, V vocabulary, D
output width, R rows (hypotheses).
"""

from torch import Tensor, nn

from seqloom.models.dropout import Dropout
from seqloom.models.recurrent_layer import Hidden, RecurrentLayer
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import Cell, RecurrentArchitecture

Stack = tuple[Hidden, ...]
"""The states of several layers, lowest first."""


def select_rows(states: Stack, rows: Tensor) -> Stack:
    """Return the given rows (int64) of each state, in that order."""
    return tuple(tuple(each.index_select(0, rows) for each in hidden) for hidden in states)


class Bridge(nn.Module):
    """Maps the concatenated last states of both directions of an encoder layer to a state of the decoder.

    The hidden state is tanh(W [forwards; backwards] + b), as Cho et al. 2014 and Bahdanau et al. 2015 (appendix A.2.2)
    compute the decoder's initial state. The cell state of an LSTM has its own linear layer, without the tanh, because a
    cell state is not bounded.
    """

    def __init__(self, cell: Cell, hidden: int) -> None:
        super().__init__()
        linears = [nn.Linear(hidden, hidden) for _ in range(2 if cell == "lstm" else 1)]
        for linear in linears:
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.linears = nn.ModuleList(linears)

    def forward(self, last: Hidden) -> Hidden:
        """Map each (R, H) tensor to (R, H)."""
        hidden, *cell = (linear(each) for linear, each in zip(self.linears, last, strict=True))
        return hidden.tanh(), *cell


class Encoder(nn.Module):
    """A stack of layers that reads a whole source. In a bidirectional one, each direction has half of the width H.

    The last states of its `handed` top layers initialise the decoder.
    """

    def __init__(
        self, cell: Cell, width: int, hidden: int, layers: int, *, handed: int, bidirectional: bool, dropout: float
    ) -> None:
        super().__init__()
        size = hidden // 2 if bidirectional else hidden
        self.layers = nn.ModuleList(
            RecurrentLayer(cell, hidden if i else width, size, bidirectional) for i in range(layers)
        )
        self.handed = handed
        self.bridges = nn.ModuleList(Bridge(cell, hidden) for _ in range(handed if bidirectional else 0))
        self.dropout = Dropout(dropout)

    def forward(self, x_BSE: Tensor, mask: Tensor | None, *, backwards: bool = False) -> tuple[Tensor, Stack]:
        """Return the memory (B, S, H) and the states for the decoder, from embeddings and the mask of `source_mask`.

        With `backwards`, each source is read from its last token to its first, and the memory is in that order.
        """
        real_BS = None if mask is None else mask.flatten(1)
        if backwards:
            x_BSE = x_BSE.flip(1)
            real_BS = None if real_BS is None else real_BS.flip(1)
        states: list[Hidden] = []
        for layer in _layers(self.layers):
            x_BSE, last = layer.read(self.dropout(x_BSE), real_BS)
            states.append(last)
        states = states[-self.handed :]
        if self.bridges:
            states = [bridge(last) for bridge, last in zip(self.bridges, states, strict=True)]
        return x_BSE, tuple(states)


class Decoder(nn.Module):
    """A stack of layers that continues from a given state, over any number of positions."""

    def __init__(self, cell: Cell, width: int, hidden: int, layers: int, *, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(RecurrentLayer(cell, hidden if i else width, hidden) for i in range(layers))
        self.dropout = Dropout(dropout)

    def forward(self, x_RTE: Tensor, states: Stack) -> tuple[Tensor, Stack]:
        """Return the outputs (R, T, H) of the last layer, and the states after the last position."""
        after = []
        for layer, hidden in zip(self.layers, states, strict=True):
            x_RTE, last = layer(self.dropout(x_RTE), hidden)
            after.append(last)
        return x_RTE, tuple(after)

    def project(self, x_RTE: Tensor) -> tuple[Tensor, ...]:
        """Return the inputs' share of the first layer's gates, (R, G) per position, for `advance`."""
        return _layers(self.layers)[0].project(self.dropout(x_RTE).transpose(0, 1)).unbind(0)

    def advance(self, gates_RG: Tensor, states: Stack) -> tuple[Tensor, Stack]:
        """Advance by one position; return the output (R, H) of the last layer, and the new states."""
        after: list[Hidden] = []
        for layer, hidden in zip(_layers(self.layers), states, strict=True):
            if after:
                gates_RG = layer.project(self.dropout(after[-1][0]))
            after.append(layer.advance(gates_RG, hidden))
        return after[-1][0], tuple(after)


def _layers(stack: nn.ModuleList) -> list[RecurrentLayer]:
    return [layer for layer in stack if isinstance(layer, RecurrentLayer)]


class Recurrent(Seq2Seq):
    """Base class of the recurrent networks: embeddings, dropout and output layer.

    `tied_embeddings`: "all" shares one matrix between source, target and output (Press and Wolf 2017), "target"
    between target and output, "none" shares nothing. If the output layer shares a matrix whose width differs from the
    decoder's, a linear layer maps between them.
    """

    def __init__(self, architecture: RecurrentArchitecture, source_vocab_size: int, target_vocab_size: int) -> None:
        super().__init__()
        self.source_vocab_size = source_vocab_size
        self.target_vocab_size = target_vocab_size
        width, hidden, ties = architecture.embedding, architecture.hidden, architecture.tied_embeddings
        self.target_embedding = nn.Embedding(target_vocab_size, width)
        self.source_embedding = self.target_embedding if ties == "all" else nn.Embedding(source_vocab_size, width)
        self.projection = nn.Linear(hidden if ties == "none" else width, target_vocab_size, bias=False)
        for table in (self.target_embedding, self.source_embedding, self.projection):
            nn.init.normal_(table.weight, std=table.weight.shape[1] ** -0.5)
        if ties != "none":
            self.projection.weight = self.target_embedding.weight
        self.narrow: nn.Module = nn.Identity()
        if ties != "none" and hidden != width:
            self.narrow = nn.Linear(hidden, width, bias=False)
            nn.init.xavier_uniform_(self.narrow.weight)
        self.dropout = Dropout(architecture.dropout)

    @property
    def output_weight(self) -> Tensor:
        """See `Seq2Seq.output_weight`."""
        return self.projection.weight

    @property
    def output_bias(self) -> Tensor | None:
        """None: there is no bias (as in Luong et al. 2015, equation 6)."""
        return None
