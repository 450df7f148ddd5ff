"""The encoder-decoder without attention: "Sequence to Sequence Learning with Neural Networks" (Sutskever et al. 2014).

The encoder reads the source into a fixed number of numbers, the hidden and cell state of each layer, and the decoder
starts from them. It knows no training and no search.

Shapes: B batch, S source, T target, E embedding width, H hidden width, D output width, V vocabulary, L layers, R rows.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from seqloom.models.recurrent import Decoder, Encoder, Hidden, Tables, select_rows
from seqloom.models.seq2seq import Seq2Seq, State
from seqloom.models.settings import LstmArchitecture


@dataclass(frozen=True)
class LstmState(State):
    """What the decoder remembers: hidden state, and cell state of an LSTM, each (L, R, H)."""

    hidden: Hidden

    def select(self, rows: Tensor) -> Self:
        """Return the state of the given rows."""
        return replace(self, hidden=select_rows(self.hidden, rows))


class Lstm(Seq2Seq):
    """Encoder and decoder of LSTM or GRU layers; the last state of each encoder layer starts its twin in the decoder.

    With `reverse_source` each source is read from its last word to its first (Sutskever et al. 2014, section 3.3).
    """

    def __init__(self, architecture: LstmArchitecture, source_vocab_size: int, target_vocab_size: int) -> None:
        super().__init__()
        self.source_vocab_size = source_vocab_size
        self.target_vocab_size = target_vocab_size
        self.reverse_source = architecture.reverse_source
        tables = Tables(architecture, source_vocab_size, target_vocab_size)
        self.source_embedding, self.target_embedding = tables.source, tables.target
        self.reduction, self.projection = tables.reduction, tables.projection
        sizes = {"cell": architecture.cell, "hidden": architecture.hidden, "dropout": architecture.dropout}
        self.encoder = Encoder(
            width=architecture.embedding, layers=architecture.layers, bidirectional=architecture.bidirectional, **sizes
        )
        self.decoder = Decoder(width=architecture.embedding, layers=architecture.layers, **sizes)

    @property
    def output_weight(self) -> Tensor:
        """(V, D)."""
        return self.projection.weight

    @property
    def output_bias(self) -> Tensor | None:
        """There is none."""
        return None

    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.forward`."""
        hidden_BTH, _ = self.decoder(self.target_embedding(target), self._encode(source, source_lengths))
        hidden: Tensor = self.reduction(hidden_BTH)
        return hidden

    def start(self, source: Tensor, source_lengths: Tensor) -> LstmState:
        """See `Seq2Seq.start`."""
        return LstmState(self._encode(source, source_lengths))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, LstmState]:
        """See `Seq2Seq.step`."""
        assert isinstance(state, LstmState)
        hidden_R1H, hidden = self.decoder(self.target_embedding(token.unsqueeze(1)), state.hidden)
        return self.log_probabilities(self.reduction(hidden_R1H.squeeze(1))), LstmState(hidden)

    def _encode(self, source: Tensor, lengths: Tensor) -> Hidden:
        if self.reverse_source:
            position = torch.arange(source.shape[1], device=source.device)
            source = source.gather(1, (lengths.unsqueeze(1) - 1 - position).remainder(source.shape[1]))
        _, hidden = self.encoder(self.source_embedding(source), lengths)
        return hidden
