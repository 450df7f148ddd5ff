import pytest
import torch
from torch import nn

from seqloom.models.catalogue import build_model
from seqloom.models.transformer import Transformer
from seqloom.training.optimizer import Muon, build_optimizers, orthogonalised
from seqloom.training.settings import TrainSettings
from tests.records import model_settings


def test_orthogonalised_keeps_the_singular_vectors_and_levels_the_singular_values() -> None:
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


def test_the_first_update_is_the_textbook_one() -> None:
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
def test_every_parameter_is_held_once_and_muon_holds_the_inner_matrices(
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
def test_what_is_not_trained_is_held_by_none(train_settings: TrainSettings, name: str) -> None:
    model = small_transformer("none")
    model.encoder.requires_grad_(False)
    optimizers = build_optimizers(model, train_settings.model_copy(update={"optimizer": name}))
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}
    model.decoder.requires_grad_(False)
    assert len(build_optimizers(model, train_settings.model_copy(update={"optimizer": name}))) == 1
