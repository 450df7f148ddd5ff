import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqloom.models.attention import source_mask
from seqloom.models.recurrent import Decoder, Encoder
from seqloom.models.settings import Cell

LENGTHS = torch.tensor([7, 2, 5, 1])
CELLS: list[Cell] = ["lstm", "gru"]


def shaken(module: nn.Module) -> None:
    """Make all weights random; zero biases would hide errors."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_padded_batch_equals_packed_sequences_of_torch(cell: Cell, bidirectional: bool) -> None:
    torch.manual_seed(1)
    size = 4 if bidirectional else 8
    encoder = Encoder(cell, 6, 8, 2, handed=2, bidirectional=bidirectional, dropout=0.0)
    encoder.bridges = nn.ModuleList()  # torch has none
    shaken(encoder)
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    theirs = kind(6, size, num_layers=2, bidirectional=bidirectional, batch_first=True)
    for index, layer in enumerate(encoder.layers):
        for name, parameter in layer.kernel.named_parameters():
            getattr(theirs, name.replace("l0", f"l{index}")).data = parameter.detach()
    x = torch.randn(4, 7, 6)
    packed, last = theirs(pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first=True)

    memory, states = encoder(x, source_mask(LENGTHS, 7))
    real = torch.arange(7) < LENGTHS.unsqueeze(1)
    torch.testing.assert_close(memory[real], expected[real], atol=1e-6, rtol=1e-5)
    for kind_index, theirs_last in enumerate(last if cell == "lstm" else (last,)):
        by_layer = theirs_last.view(2, -1, 4, size).transpose(1, 2).flatten(2)
        ours = torch.stack([hidden[kind_index] for hidden in states])
        torch.testing.assert_close(ours, by_layer, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_single_steps_equal_the_kernel(cell: Cell) -> None:
    torch.manual_seed(3)
    decoder = Decoder(cell, 6, 8, 3, dropout=0.0)
    shaken(decoder)
    x = torch.randn(4, 5, 6)
    states = tuple(tuple(torch.randn(4, 8) for _ in range(2 if cell == "lstm" else 1)) for _ in range(3))
    expected, after = decoder(x, states)
    outs = []
    for gates in decoder.project(x):
        out, states = decoder.advance(gates, states)
        outs.append(out)
    torch.testing.assert_close(torch.stack(outs, dim=1), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(states, after, atol=1e-6, rtol=1e-5)
