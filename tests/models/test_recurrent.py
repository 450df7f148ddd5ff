import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqloom.models.attention import source_mask
from seqloom.models.recurrent import Decoder, Encoder, Layer
from seqloom.models.settings import Cell

LENGTHS = torch.tensor([7, 2, 5, 1])
CELLS: list[Cell] = ["lstm", "gru"]


def shaken(module: nn.Module) -> None:
    """Zero biases would hide a mistake in them."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_padded_batch_gives_what_the_packed_sequences_of_torch_give(cell: Cell, bidirectional: bool) -> None:
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
def test_the_state_outlasts_any_padding_on_either_side(cell: Cell) -> None:
    torch.manual_seed(2)
    layer = Layer(cell, 6, 4, bidirectional=True)
    shaken(layer)
    x = torch.randn(1, 5, 6)
    _, alone = layer.read(x, None)
    rubbish = 100 * torch.randn(1, 500, 6)
    for padded, first in ((torch.cat((x, rubbish), dim=1), 0), (torch.cat((rubbish, x), dim=1), 500)):
        real = torch.zeros(1, 505, dtype=torch.bool)
        real[:, first : first + 5] = True
        _, last = layer.read(padded.requires_grad_(), real)
        torch.testing.assert_close(last, alone, atol=1e-6, rtol=1e-5)
        (gradient,) = torch.autograd.grad(sum(each.sum() for each in last), padded)
        assert (gradient[~real] == 0).all()
        assert (gradient[real] != 0).all()


@pytest.mark.parametrize("cell", CELLS)
def test_one_position_at_a_time_gives_what_the_kernel_gives(cell: Cell) -> None:
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


def test_the_forget_gate_begins_open_and_recurrent_matrices_orthogonal() -> None:
    layer = Layer("lstm", 6, 8)
    weight, recurrent, bias, hidden_bias = layer.kernel.parameters()
    assert (bias + hidden_bias).tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    for gate in recurrent.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=1e-5)
    assert weight.abs().max() <= (6 / (6 + 8)) ** 0.5  # Glorot of one gate
