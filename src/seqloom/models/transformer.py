"""The Transformer: "Attention Is All You Need" (Vaswani et al. 2017), with later variants.

The fixed parts follow section 3 of the paper: an encoder and a decoder of attention and feed-forward sub-layers with
residual connections (3.1 to 3.3), and embeddings scaled by the square root of the width (3.4). The options are in
`TransformerArchitecture`; `positions`, `attention` and `layers` implement them, and this module combines the parts.

Shapes: B batch, S source tokens, T target tokens, D model width, N heads, H width of a head, V vocabulary; in a search
A sources, K hypotheses of each, R = A * K rows.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from seqloom.errors import ModelError
from seqloom.models.attention import additive, source_mask
from seqloom.models.dropout import Dropout
from seqloom.models.kv_cache import KeysValues, KeyValueCache, chosen_sources
from seqloom.models.layers import DecoderLayer, EncoderLayer, build_final_norm
from seqloom.models.positions import Positions, Rotation, build_positions
from seqloom.models.seq2seq import Seq2Seq, State
from seqloom.models.settings import TransformerArchitecture


@dataclass(frozen=True)
class TransformerState(State):
    """The keys and values per decoder layer, of the sources (A, N, S, H) and of the targets so far."""

    memory: tuple[KeysValues, ...]
    mask: Tensor | None  # (A, 1, 1, S), added to the scores
    cache: KeyValueCache
    length: int

    def select(self, rows: Tensor) -> Self:
        """See `State.select`."""
        sources, beams, _ = self.cache.visible.shape
        chosen = chosen_sources(rows, sources, beams)
        cache = self.cache.select(rows.view(len(rows), -1), chosen)
        if chosen is None:  # hypotheses only moved within their source, which keeps its memory
            return replace(self, cache=cache)
        return replace(
            self,
            memory=tuple((key.index_select(0, chosen), value.index_select(0, chosen)) for key, value in self.memory),
            mask=None if self.mask is None else self.mask.index_select(0, chosen),
            cache=cache,
        )


class Transformer(Seq2Seq):
    """Encoder and decoder built from attention and feed-forward layers (Vaswani et al. 2017, section 3.1).

    `tied_embeddings`: "all" shares one matrix between source, target and output (Press and Wolf 2017), "target"
    between target and output, "none" shares nothing.

    Raises:
        ModelError: source and target should share a matrix, but their vocabularies differ.
    """

    def __init__(self, architecture: TransformerArchitecture, source_vocab_size: int, target_vocab_size: int) -> None:
        super().__init__()
        a, width = architecture, architecture.width
        if a.tied_embeddings == "all" and source_vocab_size != target_vocab_size:
            raise ModelError(
                f"tied_embeddings is 'all', which needs one vocabulary for both sides, but they have "
                f"{source_vocab_size} and {target_vocab_size} entries; set tokenizer.joint to true, or tied_embeddings "
                "to target or none"
            )
        self.architecture = a
        self.source_vocab_size = source_vocab_size
        self.target_vocab_size = target_vocab_size
        self.width = width
        self.target_embedding = nn.Embedding(target_vocab_size, width)
        self.source_embedding = (
            self.target_embedding if a.tied_embeddings == "all" else nn.Embedding(source_vocab_size, width)
        )
        self.projection = nn.Linear(width, target_vocab_size, bias=False)
        for table in (self.target_embedding, self.source_embedding, self.projection):
            nn.init.normal_(table.weight, std=width**-0.5)
        if a.tied_embeddings != "none":
            self.projection.weight = self.target_embedding.weight
        self.source_positions = build_positions(a.positions, width, a.heads)
        self.target_positions = build_positions(a.positions, width, a.heads)
        self.dropout = Dropout(a.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(a) for _ in range(a.encoder_layers))
        self.encoder_norm = build_final_norm(a)
        self.decoder = nn.ModuleList(DecoderLayer(a) for _ in range(a.decoder_layers))
        self.decoder_norm = build_final_norm(a)

    @property
    def blocks(self) -> list[nn.Module]:
        """See `Seq2Seq.blocks`."""
        return [*self.encoder, *self.decoder]

    @property
    def output_weight(self) -> Tensor:
        """See `Seq2Seq.output_weight`."""
        return self.projection.weight

    @property
    def output_bias(self) -> Tensor | None:
        """None: there is no bias."""
        return None

    def _embed(self, embedding: nn.Module, positions: Positions, ids_BT: Tensor, first: int = 0) -> Tensor:
        embedded: Tensor = self.dropout(positions.add(embedding(ids_BT) * math.sqrt(self.width), first))
        return embedded

    def encode(self, source: Tensor, mask: Tensor | None) -> Tensor:
        """Map source ids (B, S) to encoder memory (B, S, D)."""
        x_BSD = self._embed(self.source_embedding, self.source_positions, source)
        rotation = self.source_positions.rotation(0, source.shape[1], source.device)
        for layer in self.encoder:
            x_BSD = layer(x_BSD, mask, rotation)
        memory: Tensor = self.encoder_norm(x_BSD)
        return memory

    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.forward`."""
        mask, memory_BSD, x_BTD, rotation = self._read(source, source_lengths, target)
        for layer in self._decoder_layers():
            x_BTD = layer(x_BTD, memory_BSD, mask, rotation)
        hidden: Tensor = self.decoder_norm(x_BTD)
        return hidden

    def start(self, source: Tensor, source_lengths: Tensor) -> TransformerState:
        """See `Seq2Seq.start`."""
        mask = source_mask(source_lengths, source.shape[1])
        memory_BSD = self.encode(source, mask)
        both = (layer.cross_attention.keys_values(memory_BSD) for layer in self._decoder_layers())
        memory = tuple((key.contiguous(), value.contiguous()) for key, value in both)  # read at every step
        scores = None if mask is None else additive(mask, memory_BSD.dtype)
        return TransformerState(memory, scores, KeyValueCache.empty(memory), 0)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, TransformerState]:
        """See `Seq2Seq.step`."""
        assert isinstance(state, TransformerState)
        visible_AKL = state.cache.visible_with_newest()
        x_R1D = self._embed(self.target_embedding, self.target_positions, token.unsqueeze(1), state.length)
        x_AKD = x_R1D.view(*visible_AKL.shape[:2], -1)
        visible = additive(visible_AKL, x_AKD.dtype).unsqueeze(1)
        rotation = self.target_positions.rotation(state.length, 1, token.device)
        seen = []
        for layer, memory, past in zip(self._decoder_layers(), state.memory, state.cache.layers, strict=True):
            x_AKD, after = layer.step(x_AKD, memory, state.mask, rotation, past, visible)
            seen.append(after)
        log_probabilities = self.log_probabilities(self.decoder_norm(x_AKD.flatten(0, 1)))
        return log_probabilities, replace(state, cache=KeyValueCache(tuple(seen), visible_AKL), length=state.length + 1)

    @torch.no_grad()
    def attention(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.attention`: the mean over the heads of the penultimate decoder layer, or of the only one.

        Of all layers, the penultimate one agrees best with word alignments (Garg et al. 2019).
        """
        mask, memory_BSD, x_BTD, rotation = self._read(source, source_lengths, target)
        *before, shown = self._decoder_layers()[: max(1, len(self.decoder) - 1)]
        for layer in before:
            x_BTD = layer(x_BTD, memory_BSD, mask, rotation)
        return shown.cross_weights(x_BTD, memory_BSD, mask, rotation).mean(dim=1)

    def _read(
        self, source: Tensor, source_lengths: Tensor, target: Tensor
    ) -> tuple[Tensor | None, Tensor, Tensor, Rotation]:
        """Return the decoder layers' inputs: mask, encoder memory (B, S, D), embedded target (B, T, D), rotation."""
        mask = source_mask(source_lengths, source.shape[1])
        memory_BSD = self.encode(source, mask)
        x_BTD = self._embed(self.target_embedding, self.target_positions, target)
        return mask, memory_BSD, x_BTD, self.target_positions.rotation(0, target.shape[1], target.device)

    def _decoder_layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]
