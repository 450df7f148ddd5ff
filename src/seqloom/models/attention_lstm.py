"""The encoder-decoder that looks back: Bahdanau et al. 2015 and Luong et al. 2015. It knows no training and no search.

Shapes: B batch, S source, T target, E embedding width, H hidden width, D output width, V vocabulary, L layers, R rows.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from seqloom.models.dropout import Dropout
from seqloom.models.recurrent import Decoder, Encoder, Hidden, Tables, select_rows
from seqloom.models.scoring import score_function
from seqloom.models.seq2seq import Seq2Seq, State
from seqloom.models.settings import AttentionLstmArchitecture


@dataclass(frozen=True)
class AttentionLstmState(State):
    """What the decoder remembers, and what it looks at: keys and memory (R, S, H)."""

    hidden: Hidden
    attentional: Tensor  # (R, H), what input feeding feeds
    keys: Tensor
    memory: Tensor
    mask: Tensor  # (R, 1, S)
    origin: Tensor  # (R,) which source each row reads, int64

    def select(self, rows: Tensor) -> Self:
        """Return the state of the given rows."""
        origin = self.origin.index_select(0, rows)
        # A beam that only changes places among the hypotheses of its source reads the same memory as before.
        same = origin.shape == self.origin.shape and torch.equal(origin, self.origin)
        return replace(
            self,
            hidden=select_rows(self.hidden, rows),
            attentional=self.attentional.index_select(0, rows),
            keys=self.keys if same else self.keys.index_select(0, rows),
            memory=self.memory if same else self.memory.index_select(0, rows),
            mask=self.mask if same else self.mask.index_select(0, rows),
            origin=origin,
        )


class AttentionLstm(Seq2Seq):
    """Encoder and decoder of LSTM or GRU layers, an attentional vector h~ = tanh(W [c; h]) (Luong et al., eq. 5)."""

    def __init__(self, architecture: AttentionLstmArchitecture, source_vocab_size: int, target_vocab_size: int) -> None:
        super().__init__()
        self.source_vocab_size = source_vocab_size
        self.target_vocab_size = target_vocab_size
        self.input_feeding = architecture.input_feeding
        tables = Tables(architecture, source_vocab_size, target_vocab_size)
        self.source_embedding, self.target_embedding = tables.source, tables.target
        self.reduction, self.projection = tables.reduction, tables.projection
        hidden = architecture.hidden
        sizes = {"cell": architecture.cell, "hidden": hidden, "dropout": architecture.dropout}
        self.encoder = Encoder(
            width=architecture.embedding,
            layers=architecture.encoder_layers,
            bidirectional=architecture.bidirectional,
            **sizes,
        )
        fed = hidden if architecture.input_feeding else 0
        self.decoder = Decoder(width=architecture.embedding + fed, layers=architecture.decoder_layers, **sizes)
        self.score = score_function(architecture.attention, hidden)
        self.combination = nn.Linear(2 * hidden, hidden, bias=False)
        nn.init.xavier_uniform_(self.combination.weight)
        self.dropout = Dropout(architecture.dropout)

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
        hidden: Tensor = self.reduction(self._read(source, source_lengths, target)[0])
        return hidden

    def attention(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.attention`."""
        return self._read(source, source_lengths, target)[1]

    def start(self, source: Tensor, source_lengths: Tensor) -> AttentionLstmState:
        """See `Seq2Seq.start`."""
        memory, encoded = self.encoder(self.source_embedding(source), source_lengths)
        layers = len(self.decoder.layers)
        hidden = tuple(each[-layers:] for each in encoded)
        if (missing := layers - len(hidden[0])) > 0:
            hidden = tuple(torch.cat((each.new_zeros(missing, *each.shape[1:]), each)) for each in hidden)
        positions = torch.arange(source.shape[1], device=source.device)
        mask = (positions < source_lengths.unsqueeze(1)).unsqueeze(1)
        origin = torch.arange(len(source), device=source.device)
        return AttentionLstmState(hidden, torch.zeros_like(memory[:, 0]), self.score.keys(memory), memory, mask, origin)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, AttentionLstmState]:
        """See `Seq2Seq.step`."""
        assert isinstance(state, AttentionLstmState)
        attentional, _, state = self._advance(self.target_embedding(token.unsqueeze(1)), state)
        return self.log_probabilities(self.reduction(attentional.squeeze(1))), state

    def _read(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Attentional vectors (B, T, H) and weights (B, T, S) of a whole target."""
        state = self.start(source, source_lengths)
        x_BTE = self.target_embedding(target)
        if not self.input_feeding:
            attentional, weights, _ = self._advance(x_BTE, state)
            return attentional, weights
        vectors, looks = [], []
        for position in range(target.shape[1]):
            attentional, weights, state = self._advance(x_BTE[:, position : position + 1], state)
            vectors.append(attentional)
            looks.append(weights)
        return torch.cat(vectors, dim=1), torch.cat(looks, dim=1)

    def _advance(self, x_RTE: Tensor, state: AttentionLstmState) -> tuple[Tensor, Tensor, AttentionLstmState]:
        if self.input_feeding:
            x_RTE = torch.cat((x_RTE, state.attentional.unsqueeze(1)), dim=-1)
        out_RTH, hidden = self.decoder(x_RTE, state.hidden)
        scores = self.score(out_RTH, state.keys).float().masked_fill(~state.mask, -torch.inf)
        weights = scores.softmax(dim=-1)
        context = weights.to(state.memory.dtype) @ state.memory
        attentional = self.combination(torch.cat((context, out_RTH), dim=-1)).tanh()
        attentional = self.dropout(attentional)
        return attentional, weights, replace(state, hidden=hidden, attentional=attentional[:, -1])
