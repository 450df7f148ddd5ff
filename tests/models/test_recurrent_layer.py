import pytest
import torch
from torch import nn

from seqloom.models.recurrent_layer import RecurrentLayer
from seqloom.models.settings import Cell


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_padding_on_either_side_does_not_change_the_state(cell: Cell) -> None:
    torch.manual_seed(2)
    layer = RecurrentLayer(cell, 6, 4, bidirectional=True)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
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


def test_the_forget_gate_is_initially_open_and_recurrent_matrices_are_orthogonal() -> None:
    layer = RecurrentLayer("lstm", 6, 8)
    weight, recurrent, bias, hidden_bias = layer.kernel.parameters()
    assert (bias + hidden_bias).tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    for gate in recurrent.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), atol=1e-5, rtol=1e-5)
    assert weight.abs().max() <= (6 / (6 + 8)) ** 0.5  # Glorot of one gate
