import pytest
import torch

from seqloom.models.catalogue import build_model
from seqloom.models.depth import copy_layers, spread
from seqloom.models.transformer import Transformer
from tests.records import model_settings

SIZES = {"width": 16, "feed_forward": 16, "heads": 2}


def network(encoder: int, decoder: int, seed: int = 0, **changes: object) -> Transformer:
    torch.manual_seed(seed)
    settings = model_settings(encoder_layers=encoder, decoder_layers=decoder, **SIZES | changes)
    model = build_model(settings.architecture, 20, 20).eval()
    assert isinstance(model, Transformer)
    return model


def outputs(model: Transformer) -> torch.Tensor:
    source, lengths = torch.tensor([[4, 5, 6, 7], [8, 9, 0, 0]]), torch.tensor([4, 2])
    with torch.inference_mode():
        return model(source, lengths, torch.tensor([[1, 10, 11], [1, 12, 13]]))


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [(6, 6, [0, 1, 2, 3, 4, 5]), (6, 1, [0]), (6, 2, [0, 5]), (6, 3, [0, 2, 5]), (3, 6, [0, 1, 2])],
)
def test_layers_are_taken_from_the_first_to_the_last(there: int, wanted: int, chosen: list[int]) -> None:
    assert spread(there, wanted) == chosen


@pytest.mark.parametrize("activation", ["relu", "swiglu"])
def test_additional_layers_do_not_change_what_a_network_computes(activation: str) -> None:
    teacher, student = network(2, 1, activation=activation), network(4, 3, seed=1, activation=activation)
    assert not torch.allclose(outputs(teacher), outputs(student), atol=0.1)
    copy_layers(teacher, student)
    torch.testing.assert_close(outputs(student), outputs(teacher))


def test_fewer_layers_are_those_of_the_teacher() -> None:
    teacher, student = network(3, 2), network(2, 1, seed=1)
    copy_layers(teacher, student)
    for ours, theirs in ((student.encoder[1], teacher.encoder[2]), (student.decoder[0], teacher.decoder[0])):
        wanted = theirs.state_dict()
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in ours.state_dict().items())
    assert torch.equal(student.target_embedding.weight, teacher.target_embedding.weight)
    assert torch.equal(student.decoder_norm.weight, teacher.decoder_norm.weight)


def test_the_new_layers_learn() -> None:
    teacher, student = network(1, 1), network(2, 1, seed=1)
    copy_layers(teacher, student)
    student(torch.tensor([[4, 5]]), torch.tensor([2]), torch.tensor([[1, 10]])).square().sum().backward()
    gradient = student.encoder[1].feed_forward[-1].weight.grad  # type: ignore[union-attr,index]
    assert gradient.abs().sum() > 0
