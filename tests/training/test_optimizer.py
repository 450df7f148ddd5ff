import subprocess
import sys

import pytest
import torch
from torch import nn

from seqloom.models.catalogue import build_model
from seqloom.models.transformer import Transformer
from seqloom.training.optimizer import Muon, build_optimizers, orthogonalised
from seqloom.training.settings import TrainSettings
from tests.records import model_settings


def test_orthogonalised_keeps_singular_vectors_and_equalises_singular_values() -> None:
    torch.manual_seed(1)
    for shape in ((3, 8, 8), (2, 4, 9), (2, 9, 4)):
        given = torch.randn(*shape)
        found = orthogonalised(given)
        u, _, vh = torch.linalg.svd(given, full_matrices=False)
        values = torch.linalg.diagonal(u.mT @ found @ vh.mT)
        assert values.min() > 0.3
        assert values.max() < 1.3
        off = u.mT @ found @ vh.mT - torch.diag_embed(values)
        assert off.abs().max() < 1e-3


@pytest.mark.parametrize("shape", [(2, 16, 16), (1, 8, 32), (3, 40, 12), (2, 12, 30)])
@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-6, 0.0])
def test_orthogonalised_is_the_newton_schulz_iteration(shape: tuple[int, ...], smallest: float) -> None:
    torch.manual_seed(4)
    u, values, vh = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values[..., values.shape[-1] // 2 :] *= smallest
    given = u @ torch.diag_embed(values) @ vh
    x = (given / given.norm(dim=(1, 2), keepdim=True)).double()
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    torch.testing.assert_close(orthogonalised(given).double(), x, atol=1e-3, rtol=0)


def test_orthogonalised_zeros_stay_zeros() -> None:
    assert not orthogonalised(torch.zeros(2, 3, 4)).any()


def test_the_first_update_of_muon_is_that_of_the_paper() -> None:
    torch.manual_seed(2)
    weight = nn.Parameter(torch.randn(6, 4))
    before = weight.detach().clone()
    weight.grad = torch.randn(6, 4)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    momentum = 0.05 * weight.grad
    looked_ahead = 0.05 * weight.grad + 0.95 * momentum
    expected = before * (1 - 0.1 * 0.5) - 0.1 * 0.2 * 6**0.5 * orthogonalised(looked_ahead)
    torch.testing.assert_close(weight.detach(), expected)


def test_matrices_of_one_shape_do_not_influence_each_other() -> None:
    torch.manual_seed(3)
    first, second = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4, 4))
    alone = nn.Parameter(first.detach().clone())
    first.grad, second.grad = torch.randn(4, 4), torch.randn(4, 4)
    alone.grad = first.grad.clone()
    Muon([first, second], lr=0.1, weight_decay=0.0).step()
    Muon([alone], lr=0.1, weight_decay=0.0).step()
    torch.testing.assert_close(first, alone)


def small_transformer(tied: str) -> Transformer:
    sizes = {"width": 8, "feed_forward": 8, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    model = build_model(model_settings("transformer", 0.0, tied, **sizes).architecture, 9, 9)
    assert isinstance(model, Transformer)
    return model


@pytest.mark.parametrize("tied", ["all", "none"])
def test_every_parameter_is_in_one_optimizer_and_muon_has_the_inner_matrices(
    train_settings: TrainSettings, tied: str
) -> None:
    model = small_transformer(tied)
    for name in ("adamw", "adam", "sgd", "muon"):
        optimizers = build_optimizers(model, train_settings.model_copy(update={"optimizer": name}))
        held = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        assert sorted(held) == sorted(id(p) for p in model.parameters())
        undecayed = [p for o in optimizers for g in o.param_groups if not g["weight_decay"] for p in g["params"]]
        assert {id(p) for p in undecayed} == {id(p) for p in model.parameters() if p.dim() == 1}
    inner = {id(p) for layers in (model.encoder, model.decoder) for p in layers.parameters() if p.dim() == 2}
    assert {id(p) for p in optimizers[1].param_groups[0]["params"]} == inner


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "muon"])
def test_untrained_parameters_are_in_no_optimizer(train_settings: TrainSettings, name: str) -> None:
    model = small_transformer("none")
    model.encoder.requires_grad_(False)
    optimizers = build_optimizers(model, train_settings.model_copy(update={"optimizer": name}))
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}
    model.decoder.requires_grad_(False)
    assert len(build_optimizers(model, train_settings.model_copy(update={"optimizer": name}))) == 1


def stepped(name: str, train_settings: TrainSettings, gradients: list[torch.Tensor | None]) -> list[torch.Tensor]:
    """Return a decayed matrix and an undecayed norm before and after updates; the matrix may lack some gradients."""
    model = small_transformer("none")
    changes = {"optimizer": name, "lr": 0.1, "weight_decay": 0.5, "adam_betas": (0.8, 0.9), "sgd_momentum": 0.7}
    (optimizer,) = build_optimizers(model, train_settings.model_copy(update=changes))
    matrix, vector = model.source_embedding.weight, next(p for p in model.parameters() if p.dim() == 1)
    start = [matrix.detach().clone(), vector.detach().clone()]
    for gradient in gradients:
        matrix.grad, vector.grad = gradient, torch.full_like(vector, 2.0)
        optimizer.step()
    return [*start, matrix.detach(), vector.detach()]


def textbook(name: str, start: torch.Tensor, gradients: list[torch.Tensor | None], decay: float) -> torch.Tensor:
    """Adam (Kingma and Ba 2015, algorithm 1) and gradient descent with momentum, both with an L2 penalty."""
    weight, number = start.double(), 0
    first = second = torch.zeros_like(weight)
    for gradient in gradients:
        if gradient is None:
            continue
        penalised = gradient.double() + decay * weight
        if name == "sgd":
            first = 0.7 * first + penalised
            weight = weight - 0.1 * first
            continue
        number += 1
        first, second = 0.8 * first + 0.2 * penalised, 0.9 * second + 0.1 * penalised**2
        weight = weight - 0.1 * (first / (1 - 0.8**number)) / ((second / (1 - 0.9**number)).sqrt() + 1e-8)
    return weight.float()


@pytest.mark.parametrize("name", ["adam", "sgd"])
@pytest.mark.parametrize("late", [False, True], ids=["from the first update", "thawed after two"])
def test_adam_and_sgd_equal_the_published_algorithms(train_settings: TrainSettings, name: str, late: bool) -> None:
    torch.manual_seed(4)
    shape = small_transformer("none").source_embedding.weight.shape
    gradients: list[torch.Tensor | None] = [torch.randn(shape) for _ in range(5)]
    if late:
        gradients[:2] = [None, None]
    matrix, vector, matrix_after, vector_after = stepped(name, train_settings, gradients)
    torch.testing.assert_close(matrix_after, textbook(name, matrix, gradients, 0.5))
    torch.testing.assert_close(vector_after, textbook(name, vector, [torch.full_like(vector, 2.0)] * 5, 0.0))


def test_sgd_works_without_momentum(train_settings: TrainSettings) -> None:
    model = small_transformer("none")
    changes = {"optimizer": "sgd", "lr": 0.1, "sgd_momentum": 0.0, "weight_decay": 0.0}
    (optimizer,) = build_optimizers(model, train_settings.model_copy(update=changes))
    weight = model.source_embedding.weight
    before = weight.detach().clone()
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), before - 0.1)
    assert optimizer.state_dict()["state"] == {}


def test_training_does_not_import_the_compiler() -> None:
    program = """
import sys
import torch
from torch import nn
from seqloom.training.optimizer import AdamW, Muon, SGD, Adam, _uncompiled
weight = nn.Parameter(torch.ones(2, 2))
for kind, more in ((AdamW, {"fused": True}), (Adam, {"fused": True}), (SGD, {}), (Muon, {"weight_decay": 0.0})):
    optimizer = _uncompiled(kind)([weight], lr=0.1, **more)
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.zero_grad()
assert weight.grad is None and weight.requires_grad
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
