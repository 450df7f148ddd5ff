"""The recurrent encoder-decoder with attention (Bahdanau et al. 2015, Luong et al. 2015).

At each target position, attention from the decoder's new state h to the encoder's memory gives a context c, and the
attentional vector h~ = tanh(W [c; h]) (Luong et al. 2015, equation 5) predicts the next token. All three score
functions use the new state, as Luong et al. do; Bahdanau et al. use the previous one. So the decoder's inputs do not
depend on attention, the decoder runs over a whole target in one kernel, and attention is computed for all positions at
once. Input feeding gives that up.

Shapes: B batch, S source, T target, E embedding width, H hidden width, R rows (hypotheses), those of A sources.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from seqloom.models.attention import source_mask
from seqloom.models.global_attention import GlobalAttention, build_global_attention
from seqloom.models.kv_cache import chosen_sources
from seqloom.models.recurrent import Decoder, Encoder, Recurrent, Stack, select_rows
from seqloom.models.seq2seq import State
from seqloom.models.settings import AttentionLstmArchitecture


@dataclass(frozen=True)
class AttentionLstmState(State):
    """The states of the decoder's layers, the input that is fed, and the memory that is attended to."""

    layers: Stack
    fed: Tensor  # (R, H): the attentional vector of the previous position, zeros at first
    keys: Tensor  # (A, S, H)
    memory: Tensor  # (A, S, H)
    mask: Tensor | None  # (A, 1, 1, S)

    def select(self, rows: Tensor) -> Self:
        """See `State.select`."""
        flat = rows.flatten()
        sources, beams = len(self.memory), len(self.fed) // len(self.memory)
        state = replace(self, layers=select_rows(self.layers, flat), fed=self.fed.index_select(0, flat))
        chosen = chosen_sources(rows, sources, beams)
        if chosen is None:  # hypotheses only moved within their source, which keeps its memory
            return state
        memory = self.memory.index_select(0, chosen)
        return replace(
            state,
            keys=memory if self.keys is self.memory else self.keys.index_select(0, chosen),
            memory=memory,
            mask=None if self.mask is None else self.mask.index_select(0, chosen),
        )


class AttentionLstm(Recurrent):
    """Encoder and decoder of LSTM or GRU layers with attention between them.

    The last states of the encoder's top layers initialise the decoder's top layers, one each. If the decoder has more
    layers than the encoder, the lowest ones start from zeros. With input feeding, the decoder's first layer also reads
    the attentional vector of the previous position (Luong et al. 2015, section 3.3).
    """

    def __init__(self, architecture: AttentionLstmArchitecture, source_vocab_size: int, target_vocab_size: int) -> None:
        super().__init__(architecture, source_vocab_size, target_vocab_size)
        cell, hidden, dropout = architecture.cell, architecture.hidden, architecture.dropout
        sizes = (cell, architecture.embedding, hidden)
        self.encoder = Encoder(
            *sizes,
            architecture.encoder_layers,
            handed=min(architecture.encoder_layers, architecture.decoder_layers),
            bidirectional=architecture.bidirectional,
            dropout=dropout,
        )
        self.decoder = Decoder(*sizes, architecture.decoder_layers, dropout=dropout)
        self.feed: nn.Linear | None = None
        if architecture.input_feeding:
            gates = 4 if cell == "lstm" else 3
            self.feed = nn.Linear(hidden, gates * hidden, bias=False)
            for gate in self.feed.weight.chunk(gates):
                nn.init.xavier_uniform_(gate)
        self.look: GlobalAttention = build_global_attention(architecture.attention, hidden)
        self.combine = nn.Linear(2 * hidden, hidden, bias=False)
        nn.init.xavier_uniform_(self.combine.weight)

    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.forward`."""
        attentional_BTH, _, _ = self._read(self.target_embedding(target), self.start(source, source_lengths))
        hidden: Tensor = self.narrow(self.dropout(attentional_BTH))
        return hidden

    @torch.no_grad()
    def attention(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.attention`."""
        state = self.start(source, source_lengths)
        _, query_BTH, _ = self._read(self.target_embedding(target), state)
        return self.look.weights(query_BTH, state.keys, state.mask)

    def start(self, source: Tensor, source_lengths: Tensor) -> AttentionLstmState:
        """See `Seq2Seq.start`."""
        mask = source_mask(source_lengths, source.shape[1])
        memory_BSH, layers = self.encoder(self.source_embedding(source), mask)
        zeros = tuple(torch.zeros_like(each) for each in layers[0])
        layers = (zeros,) * (len(self.decoder.layers) - len(layers)) + layers
        fed = torch.zeros_like(memory_BSH[:, 0])
        return AttentionLstmState(layers, fed, self.look.keys(memory_BSH), memory_BSH, mask)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, AttentionLstmState]:
        """See `Seq2Seq.step`."""
        assert isinstance(state, AttentionLstmState)
        attentional_R1H, _, state = self._read(self.target_embedding(token.unsqueeze(1)), state)
        return self.log_probabilities(self.narrow(self.dropout(attentional_R1H.squeeze(1)))), state

    def _read(self, x_RTE: Tensor, state: AttentionLstmState) -> tuple[Tensor, Tensor, AttentionLstmState]:
        """Read T tokens; return attentional vectors (R, T, H), decoder outputs (R, T, H) and the next state."""
        if self.feed is not None:
            return self._read_fed(x_RTE, state, self.feed)
        out_RTH, layers = self.decoder(x_RTE, state.layers)
        attentional_RTH = self._attend(out_RTH, state)
        return attentional_RTH, out_RTH, replace(state, layers=layers)

    def _read_fed(
        self, x_RTE: Tensor, state: AttentionLstmState, feed: nn.Linear
    ) -> tuple[Tensor, Tensor, AttentionLstmState]:
        """Do the same with input feeding, token by token; only the tokens' share of the gates is computed at once."""
        fed, layers = state.fed, state.layers
        vectors, outs = [], []
        for gates_RG in self.decoder.project(x_RTE):
            out_RH, layers = self.decoder.advance(gates_RG + feed(fed), layers)
            fed = self._attend(out_RH.unsqueeze(1), state).squeeze(1)
            vectors.append(fed)
            outs.append(out_RH)
        return torch.stack(vectors, dim=1), torch.stack(outs, dim=1), replace(state, layers=layers, fed=fed)

    def _attend(self, out_RTH: Tensor, state: AttentionLstmState) -> Tensor:
        together = out_RTH.reshape(len(state.memory), -1, out_RTH.shape[2])  # all queries of a source
        context_RTH = self.look(together, state.keys, state.memory, state.mask).view_as(out_RTH)
        attentional: Tensor = self.combine(torch.cat((context_RTH, out_RTH), dim=-1)).tanh()
        return attentional
