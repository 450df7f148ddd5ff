from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqloom.models.attention_lstm import AttentionLstm
from tests.models import textbook
from tests.records import model_settings

VOCABULARY = 30
SIZES = {"embedding": 6, "hidden": 8, "encoder_layers": 1, "decoder_layers": 2}
LENGTHS = torch.tensor([7, 2, 5, 1])
SCORES = ["additive", "dot", "general"]
both_ways = pytest.mark.parametrize("input_feeding", [False, True])


def build(ties: str = "all", **section: Any) -> AttentionLstm:
    torch.manual_seed(7)
    architecture = model_settings("attention_lstm", 0.0, ties, **SIZES | section).architecture
    model = AttentionLstm(architecture, VOCABULARY, VOCABULARY)  # type: ignore[arg-type]
    for parameter in model.parameters():  # zero biases would hide errors
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def random_ids(*size: int) -> Tensor:
    return torch.randint(4, VOCABULARY, size)


def check_against_the_textbook(model: AttentionLstm) -> None:
    source, target = random_ids(4, 7), random_ids(4, 5)
    hidden, looks = model(source, LENGTHS, target), model.attention(source, LENGTHS, target)
    rows = zip(source.tolist(), LENGTHS.tolist(), target.tolist(), strict=True)
    pairs = [textbook.attention_lstm(model, ids[:length], wanted) for ids, length, wanted in rows]
    expected = torch.stack([vectors for vectors, _ in pairs])
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
    for row, (_, weights) in enumerate(pairs):
        length = int(LENGTHS[row])
        torch.testing.assert_close(looks[row, :, :length], weights, atol=1e-5, rtol=1e-5)
        assert (looks[row, :, length:] == 0).all()
    torch.testing.assert_close(looks.sum(dim=-1), torch.ones(4, 5))

    direction = torch.randn_like(hidden)
    read = [parameter for name, parameter in model.named_parameters() if name != "projection.weight"]
    torch.testing.assert_close(
        torch.autograd.grad((hidden * direction).sum(), read),
        torch.autograd.grad((expected * direction).sum(), read),
        atol=1e-5, rtol=1e-4,
    )  # fmt: skip


@both_ways
@pytest.mark.parametrize("attention", SCORES)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_outputs_and_gradients_equal_the_textbook_version(cell: str, attention: str, input_feeding: bool) -> None:
    check_against_the_textbook(build(cell=cell, attention=attention, input_feeding=input_feeding))


@both_ways
@pytest.mark.parametrize("layers", [(1, 1), (1, 3), (2, 1), (2, 2)])
def test_the_top_decoder_layers_start_from_the_encoder_and_the_others_from_zeros(
    layers: tuple[int, int], input_feeding: bool
) -> None:
    sizes = {"encoder_layers": layers[0], "decoder_layers": layers[1]}
    check_against_the_textbook(build(**sizes, input_feeding=input_feeding))
    check_against_the_textbook(build("none", **sizes, input_feeding=input_feeding, bidirectional=False))
