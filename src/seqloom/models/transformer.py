"""The Transformer: "Attention Is All You Need" (Vaswani et al. 2017), with layer normalisation before each sub-layer.

Pre-norm (Xiong et al. 2020) trains without the fragile warm-up of the original. Everything else follows section 3 of
the paper: scaled dot-product attention (3.2.1), multiple heads (3.2.2), position-wise feed-forward layers (3.3, ReLU),
embeddings scaled by the square root of the width (3.4), sinusoidal positions (3.5). It knows no training and no search.

Shapes: B batch, S source, T target, D model width, N heads, H width of a head, F feed-forward, V vocabulary, R rows
(hypotheses), P target tokens read so far.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqloom.models.dropout import Dropout
from seqloom.models.seq2seq import Seq2Seq, State
from seqloom.models.settings import TransformerArchitecture


def sinusoidal_positions(first: int, count: int, width: int, like: Tensor) -> Tensor:
    """Positions `first .. first + count - 1` as (count, D) (Vaswani et al. 2017, section 3.5), for any length."""
    position = torch.arange(first, first + count, dtype=torch.float32, device=like.device).unsqueeze(1)
    step = torch.arange(0, width, 2, dtype=torch.float32, device=like.device)
    angle = position * torch.exp(step * (-math.log(10_000.0) / width))
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).to(like.dtype)


def source_mask(lengths: Tensor, width: int) -> Tensor | None:
    """(B, 1, 1, S), true where a source token stands; None where a batch on the CPU has no padding at all."""
    # Asking whether there is padding would make a GPU wait for its host; there the mask is always given.
    if lengths.device.type == "cpu" and int(lengths.min()) == width:
        return None
    return (torch.arange(width, device=lengths.device) < lengths.unsqueeze(1))[:, None, None, :]


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, section 3.2). Heads have H = D / N numbers."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        # Glorot as if query, key and value were apart: the joint matrix would draw from a narrower range.
        nn.init.xavier_uniform_(self.query.weight)
        for matrix in self.key_value.weight.chunk(2):
            nn.init.xavier_uniform_(matrix)
        nn.init.xavier_uniform_(self.output.weight)
        for layer in (self.query, self.key_value, self.output):
            nn.init.zeros_(layer.bias)

    def _split(self, x_BTD: Tensor) -> Tensor:
        batch, length, width = x_BTD.shape
        return x_BTD.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def keys_values(self, x_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, N, S, H) of the positions that can be looked at."""
        key_BSD, value_BSD = self.key_value(x_BSD).chunk(2, dim=-1)
        return self._split(key_BSD), self._split(value_BSD)

    def forward(
        self, x_BTD: Tensor, key_BNSH: Tensor, value_BNSH: Tensor, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Look from each position of `x_BTD` at keys that `mask` allows, or with `causal` at those up to its own."""
        seen_BNTH = F.scaled_dot_product_attention(
            self._split(self.query(x_BTD)), key_BNSH, value_BNSH, attn_mask=mask, is_causal=causal
        )
        attended: Tensor = self.output(seen_BNTH.transpose(1, 2).flatten(2))
        return attended


class FeedForward(nn.Sequential):
    """Two linear layers with a ReLU between them, the same at every position (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        first, second = nn.Linear(width, inner), nn.Linear(inner, width)
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        super().__init__(first, nn.ReLU(), Dropout(dropout), second)


class EncoderLayer(nn.Module):
    """Self-attention over the source, then feed-forward; each around a residual connection."""

    def __init__(self, architecture: TransformerArchitecture) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(architecture.width)
        self.attention = Attention(architecture.width, architecture.heads)
        self.feed_forward_norm = nn.LayerNorm(architecture.width)
        self.feed_forward = FeedForward(architecture.width, architecture.feed_forward, architecture.dropout)
        self.dropout = Dropout(architecture.dropout)

    def forward(self, x_BSD: Tensor, mask: Tensor | None) -> Tensor:
        """(B, S, D) to (B, S, D)."""
        normed = self.attention_norm(x_BSD)
        x_BSD = x_BSD + self.dropout(self.attention(normed, *self.attention.keys_values(normed), mask))
        out: Tensor = x_BSD + self.dropout(self.feed_forward(self.feed_forward_norm(x_BSD)))
        return out


class DecoderLayer(nn.Module):
    """Causal self-attention over the target, attention over the source, feed-forward."""

    def __init__(self, architecture: TransformerArchitecture) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(architecture.width)
        self.self_attention = Attention(architecture.width, architecture.heads)
        self.cross_norm = nn.LayerNorm(architecture.width)
        self.cross_attention = Attention(architecture.width, architecture.heads)
        self.feed_forward_norm = nn.LayerNorm(architecture.width)
        self.feed_forward = FeedForward(architecture.width, architecture.feed_forward, architecture.dropout)
        self.dropout = Dropout(architecture.dropout)

    def forward(
        self,
        x_BTD: Tensor,
        memory: tuple[Tensor, Tensor],
        mask: Tensor | None,
        past: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, D) to (B, T, D), and the keys and values of all target positions so far.

        Without `past` the whole target is read at once, causally; with it `x_BTD` is the one newest position.
        """
        normed = self.self_norm(x_BTD)
        key, value = self.self_attention.keys_values(normed)
        if past is not None:
            key, value = torch.cat((past[0], key), dim=2), torch.cat((past[1], value), dim=2)
        attended = self.self_attention(normed, key, value, causal=past is None)
        x_BTD = x_BTD + self.dropout(attended)
        x_BTD = x_BTD + self.dropout(self.cross_attention(self.cross_norm(x_BTD), *memory, mask))
        x_BTD = x_BTD + self.dropout(self.feed_forward(self.feed_forward_norm(x_BTD)))
        return x_BTD, (key, value)


@dataclass(frozen=True)
class TransformerState(State):
    """Keys and values per decoder layer: of the source (R, N, S, H) and of the target so far (R, N, P, H)."""

    memory: tuple[tuple[Tensor, Tensor], ...]
    mask: Tensor | None
    past: tuple[tuple[Tensor, Tensor], ...] | None
    length: int
    origin: Tensor  # (R,) which source each row reads, int64

    def select(self, rows: Tensor) -> Self:
        """Return the state of the given rows."""
        origin = self.origin.index_select(0, rows)
        # A beam that only changes places among the hypotheses of its source reads the same memory as before.
        same = origin.shape == self.origin.shape and torch.equal(origin, self.origin)

        def pick(layers: tuple[tuple[Tensor, Tensor], ...]) -> tuple[tuple[Tensor, Tensor], ...]:
            return tuple((key.index_select(0, rows), value.index_select(0, rows)) for key, value in layers)

        return replace(
            self,
            memory=self.memory if same else pick(self.memory),
            mask=self.mask if same or self.mask is None else self.mask.index_select(0, rows),
            past=None if self.past is None else pick(self.past),
            origin=origin,
        )


class Transformer(Seq2Seq):
    """Encoder and decoder of attention alone.

    `tied_embeddings`: "all" shares one matrix between source, target and output (Press and Wolf 2017), "target"
    between target and output, "none" shares nothing.
    """

    def __init__(
        self,
        architecture: TransformerArchitecture,
        source_vocab_size: int,
        target_vocab_size: int,
    ) -> None:
        super().__init__()
        self.source_vocab_size = source_vocab_size
        self.target_vocab_size = target_vocab_size
        self.width = architecture.width
        self.target_embedding = nn.Embedding(target_vocab_size, architecture.width)
        self.source_embedding = (
            self.target_embedding
            if architecture.tied_embeddings == "all"
            else nn.Embedding(source_vocab_size, architecture.width)
        )
        self.projection = nn.Linear(architecture.width, target_vocab_size, bias=False)
        for table in (self.target_embedding, self.source_embedding, self.projection):
            nn.init.normal_(table.weight, std=architecture.width**-0.5)
        if architecture.tied_embeddings != "none":
            self.projection.weight = self.target_embedding.weight
        self.dropout = Dropout(architecture.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(architecture) for _ in range(architecture.encoder_layers))
        self.encoder_norm = nn.LayerNorm(architecture.width)
        self.decoder = nn.ModuleList(DecoderLayer(architecture) for _ in range(architecture.decoder_layers))
        self.decoder_norm = nn.LayerNorm(architecture.width)

    @property
    def output_weight(self) -> Tensor:
        """(V, D)."""
        return self.projection.weight

    @property
    def output_bias(self) -> Tensor | None:
        """There is none."""
        return None

    def _embed(self, embedding: nn.Module, ids_BT: Tensor, first: int = 0) -> Tensor:
        x_BTD = embedding(ids_BT) * math.sqrt(self.width)
        embedded: Tensor = self.dropout(x_BTD + sinusoidal_positions(first, ids_BT.shape[1], self.width, x_BTD))
        return embedded

    def encode(self, source: Tensor, mask: Tensor | None) -> Tensor:
        """Source ids (B, S) to encoder memory (B, S, D)."""
        x_BSD = self._embed(self.source_embedding, source)
        for layer in self.encoder:
            x_BSD = layer(x_BSD, mask)
        memory: Tensor = self.encoder_norm(x_BSD)
        return memory

    def forward(self, source: Tensor, source_lengths: Tensor, target: Tensor) -> Tensor:
        """See `Seq2Seq.forward`."""
        mask = source_mask(source_lengths, source.shape[1])
        memory_BSD = self.encode(source, mask)
        x_BTD = self._embed(self.target_embedding, target)
        for layer in self._decoder_layers():
            x_BTD, _ = layer(x_BTD, layer.cross_attention.keys_values(memory_BSD), mask)
        hidden: Tensor = self.decoder_norm(x_BTD)
        return hidden

    def start(self, source: Tensor, source_lengths: Tensor) -> TransformerState:
        """See `Seq2Seq.start`."""
        mask = source_mask(source_lengths, source.shape[1])
        memory_BSD = self.encode(source, mask)
        memory = tuple(layer.cross_attention.keys_values(memory_BSD) for layer in self._decoder_layers())
        return TransformerState(memory, mask, None, 0, torch.arange(len(source), device=source.device))

    def step(self, token: Tensor, state: State) -> tuple[Tensor, TransformerState]:
        """See `Seq2Seq.step`."""
        assert isinstance(state, TransformerState)
        x_R1D = self._embed(self.target_embedding, token.unsqueeze(1), first=state.length)
        past = []
        for index, layer in enumerate(self._decoder_layers()):
            x_R1D, seen = layer(x_R1D, state.memory[index], state.mask, state.past[index] if state.past else None)
            past.append(seen)
        log_probabilities = self.log_probabilities(self.decoder_norm(x_R1D.squeeze(1)))
        return log_probabilities, replace(state, past=tuple(past), length=state.length + 1)

    def _decoder_layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]
