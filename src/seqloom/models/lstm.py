"""The encoder-decoder without attention: "Sequence to Sequence Learning with Neural Networks" (Sutskever et al. 2014).

The encoder reduces the source to a vector of fixed size, the last state of each layer, from which the decoder starts.

Shapes: B batch, S source, T target, H hidden width, R rows (hypotheses).
"""

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from seqloom.models.attention import source_mask
from seqloom.models.recurrent import Decoder, Encoder, Recurrent, Stack, select_rows
from seqloom.models.seq2seq import State
from seqloom.models.settings import LstmArchitecture


@dataclass(frozen=True)
class LstmState(State):
    """The state of each layer of the decoder."""

    layers: Stack

    def select(self, rows: Tensor) -> Self:
        """See `State.select`."""
        return replace(self, layers=select_rows(self.layers, rows.flatten()))


class Lstm(Recurrent):
    """Encoder and decoder of LSTM or GRU layers. Each encoder layer initialises the corresponding decoder layer.

    With `reverse_source` each source is read from its last token to its first (Sutskever et al. 2014, section 3.3).
    """

    def __init__(self, architecture: LstmArchitecture, source_vocab_size: int, target_vocab_size: int) -> None:
        super().__init__(architecture, source_vocab_size, target_vocab_size)
        self.reverse_source = architecture.reverse_source
        layers, dropout = architecture.layers, architecture.dropout
        sizes = (architecture.cell, architecture.embedding, architecture.hidden, layers)
        self.encoder = Encoder(*sizes, handed=layers, bidirectional=architecture.bidirectional, dropout=dropout)
        self.decoder = Decoder(*sizes, dropout=dropout)

    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.forward`."""
        state = self.start(source, source_lengths)
        out_BTH, _ = self.decoder(self.target_embedding(target), state.layers)
        hidden: Tensor = self.narrow(self.dropout(out_BTH))
        return hidden

    def start(self, source: Tensor, source_lengths: Tensor) -> LstmState:
        """See `Seq2Seq.start`."""
        mask = source_mask(source_lengths, source.shape[1])
        _, layers = self.encoder(self.source_embedding(source), mask, backwards=self.reverse_source)
        return LstmState(layers)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, LstmState]:
        """See `Seq2Seq.step`."""
        assert isinstance(state, LstmState)
        out_R1H, layers = self.decoder(self.target_embedding(token.unsqueeze(1)), state.layers)
        return self.log_probabilities(self.narrow(self.dropout(out_R1H.squeeze(1)))), LstmState(layers)
