"""A fast training loop in plain torch around `nn.LSTM`; a peer for `peer_throughput`.

    python -m benchmarks.torch_lstm_peer FOLDER SHAPE TOKENS_PER_BATCH DROPOUT

FOLDER contains train.en, train.de and vocabulary.txt. The network is attention_lstm of the preset's size without input
feeding: the decoder reads a whole target at once, attention (Luong et al. 2015, "general") is computed for all
positions together, and the output layer is one product per batch. Batches are sorted by length and cut at the token
budget. The encoder reads padding like text, which is wrong for the shorter sources; packed sequences would be correct,
but slower on a CPU (`benchmarks.padding_cost`). There is no validation, log or checkpoint. One line is printed per
update.
"""

import random
import re
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from benchmarks.token_stores import read_pieces
from seqloom.models.settings import ATTENTION_LSTM_PRESETS, Preset

REQUIREMENTS: tuple[str, ...] = ()
_REPORT = re.compile(r"^update \d+: ([\d.]+) target tokens/s$")


def command(folder: Path, shape: Preset, tokens_per_batch: int, dropout: float) -> list[str]:
    """Return the command; it needs no further packages."""
    return ["-m", "benchmarks.torch_lstm_peer", str(folder), shape, str(tokens_per_batch), str(dropout)]


def rate(line: str) -> float | None:
    """Return the target tokens per second, without padding and with EOS, of the update in a line of its output."""
    return float(found[1]) if (found := _REPORT.search(line)) else None


class Network(nn.Module):
    """Encoder, decoder, attention, and an output layer that shares the only table of embeddings."""

    def __init__(self, vocabulary: int, width: int, hidden: int, layers: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        encoder_layers, decoder_layers = layers
        self.encoder = nn.LSTM(width, hidden // 2, encoder_layers, batch_first=True, bidirectional=True)
        self.decoder = nn.LSTM(width, hidden, decoder_layers, batch_first=True)
        self.bridges = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.combine = nn.Linear(2 * hidden, hidden, bias=False)
        self.narrow = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """Return the logits (B, T, V)."""
        memory, last = self.encoder(self.dropout(self.table(source)))
        state = tuple(self._bridged(each, bridge) for each, bridge in zip(last, self.bridges, strict=True))
        state = (state[0].tanh(), state[1])
        query, _ = self.decoder(self.dropout(self.table(target)), state)
        scores = query @ self.key(memory).mT
        padding = torch.arange(source.shape[1]) >= lengths[:, None]
        context = scores.masked_fill(padding[:, None], -torch.inf).softmax(-1) @ memory
        seen = self.combine(torch.cat((context, query), -1)).tanh()
        return F.linear(self.narrow(self.dropout(seen)), self.table.weight)

    def _bridged(self, last: Tensor, bridge: nn.Module) -> Tensor:
        """Return the last states of the top layers, with directions concatenated: (decoder layers, B, H)."""
        layers, batch, half = last.shape
        sides: Tensor = last.view(layers // 2, 2, batch, half).transpose(1, 2).flatten(2)
        bridged: Tensor = bridge(sides[-self.decoder.num_layers :])
        return bridged


def main() -> None:
    """Train until the process is ended."""
    folder, budget, dropout = Path(sys.argv[1]), int(sys.argv[3]), float(sys.argv[4])
    size = {str(shape): size for shape, size in ATTENTION_LSTM_PRESETS.items()}[sys.argv[2]]
    ids, read = read_pieces(folder)
    eos, pad, bos = ids["</s>"], ids["<pad>"], ids["<s>"]
    pairs = [(torch.tensor(source), torch.tensor(target)) for source, target in read]
    pairs.sort(key=lambda pair: max(len(pair[0]), len(pair[1]) + 1))
    batches: list[list[tuple[Tensor, Tensor]]] = [[]]
    for pair in pairs:
        width = max(len(pair[0]), len(pair[1]) + 1)
        if (len(batches[-1]) + 1) * width > budget:
            batches.append([])
        batches[-1].append(pair)

    torch.manual_seed(1)
    layers = size["encoder_layers"], size["decoder_layers"]
    network = Network(len(ids), size["embedding"], size["hidden"], layers, dropout)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.98), fused=True)
    update, last = 0, time.monotonic()
    while True:
        random.Random(update).shuffle(batches)
        for batch in batches:
            source = pad_sequence([source for source, _ in batch], batch_first=True, padding_value=pad)
            lengths = torch.tensor([len(source) for source, _ in batch])
            framed = [F.pad(F.pad(target, (1, 0), value=bos), (0, 1), value=eos) for _, target in batch]
            target = pad_sequence(framed, batch_first=True, padding_value=pad)
            labels = target[:, 1:].masked_fill(target[:, :-1] == eos, pad)
            logits = network(source, lengths, target[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=pad, label_smoothing=0.1)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            update += 1
            now = time.monotonic()
            tokens = int((labels != pad).sum())
            print(f"update {update}: {tokens / (now - last):.1f} target tokens/s", flush=True)
            last = now


if __name__ == "__main__":
    main()
