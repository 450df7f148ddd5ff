from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqloom.models.lstm import Lstm
from tests.models import textbook
from tests.records import model_settings

VOCABULARY = 30
SIZES = {"embedding": 6, "hidden": 8, "layers": 2}
LENGTHS = torch.tensor([7, 2, 5, 1])


def build(ties: str = "all", **section: Any) -> Lstm:
    torch.manual_seed(7)
    architecture = model_settings("lstm", 0.0, ties, **SIZES | section).architecture
    model = Lstm(architecture, VOCABULARY, VOCABULARY)  # type: ignore[arg-type]
    for parameter in model.parameters():  # zero biases would hide errors
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def random_ids(*size: int) -> Tensor:
    return torch.randint(4, VOCABULARY, size)


@pytest.mark.parametrize("ties", ["all", "none"])
@pytest.mark.parametrize("reverse_source", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_outputs_and_gradients_equal_the_textbook_version(
    cell: str, bidirectional: bool, reverse_source: bool, ties: str
) -> None:
    model = build(ties, cell=cell, bidirectional=bidirectional, reverse_source=reverse_source)
    source, target = random_ids(4, 7), random_ids(4, 5)
    hidden = model(source, LENGTHS, target)
    rows = zip(source.tolist(), LENGTHS.tolist(), target.tolist(), strict=True)
    expected = torch.stack([textbook.lstm(model, ids[:length], wanted) for ids, length, wanted in rows])
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)

    direction = torch.randn_like(hidden)
    read = [parameter for name, parameter in model.named_parameters() if name != "projection.weight"]
    torch.testing.assert_close(
        torch.autograd.grad((hidden * direction).sum(), read),
        torch.autograd.grad((expected * direction).sum(), read),
        atol=1e-5, rtol=1e-4,
    )  # fmt: skip
