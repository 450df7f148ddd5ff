from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqloom.models.catalogue import load_model, save_model
from seqloom.models.lstm import Lstm
from tests.models import textbook
from tests.records import model_settings

VOCABULARY = 30
SIZES = {"embedding": 6, "hidden": 8, "layers": 2}
LENGTHS = torch.tensor([7, 2, 5, 1])


def build(ties: str = "all", dropout: float = 0.0, **section: Any) -> Lstm:
    torch.manual_seed(7)
    architecture = model_settings("lstm", dropout, ties, **SIZES | section).architecture
    model = Lstm(architecture, VOCABULARY, VOCABULARY)  # type: ignore[arg-type]
    for parameter in model.parameters():  # zero biases would hide a mistake in them
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def random_ids(*size: int) -> Tensor:
    return torch.randint(4, VOCABULARY, size)


@pytest.mark.parametrize("ties", ["all", "none"])
@pytest.mark.parametrize("reverse_source", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_equals_the_textbook_and_so_do_its_gradients(
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


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_cached_steps_equal_the_whole_target_at_once(cell: str) -> None:
    model = build(cell=cell)
    source, target = random_ids(4, 7), random_ids(4, 6)
    expected = model.log_probabilities(model(source, LENGTHS, target))
    state = model.start(source, LENGTHS)
    for position in range(6):
        log_probabilities, state = model.step(target[:, position], state)
        torch.testing.assert_close(log_probabilities, expected[:, position], atol=1e-5, rtol=1e-5)


def test_selected_rows_go_on_as_if_they_had_been_alone() -> None:
    model = build()
    source, target = random_ids(4, 7), random_ids(4, 2)
    _, state = model.step(target[:, 0], model.start(source, LENGTHS))
    rows = torch.tensor([2, 0, 2])
    chosen, _ = model.step(target[rows, 1], state.select(rows))
    everyone, _ = model.step(target[:, 1], state)
    torch.testing.assert_close(chosen, everyone[rows])


@pytest.mark.parametrize("reverse_source", [False, True])
def test_padding_and_the_rest_of_the_batch_change_nothing(reverse_source: bool) -> None:
    model = build(reverse_source=reverse_source)
    source, target = random_ids(1, 5), random_ids(1, 4)
    alone = model(source, torch.tensor([5]), target)
    padded = torch.cat((source, torch.zeros(1, 6, dtype=torch.long)), dim=1)
    crowd = torch.cat((padded, random_ids(2, 11)))
    together = model(crowd, torch.tensor([5, 11, 9]), torch.cat((target, random_ids(2, 4))))
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-5)


def test_no_position_sees_a_later_target() -> None:
    model = build(ties="none")
    embedded: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    model.target_embedding.register_forward_hook(keep)
    hidden = model(random_ids(1, 5), torch.tensor([5]), random_ids(1, 6))
    for position in range(6):
        (gradient,) = torch.autograd.grad(hidden[0, position].sum(), embedded[-1], retain_graph=True)
        reached = gradient[0].abs().sum(dim=1) > 0
        assert reached.tolist() == [earlier <= position for earlier in range(6)]


@pytest.mark.parametrize(("ties", "tables", "width"), [("all", 1, 6), ("target", 2, 6), ("none", 3, 8)])
def test_tied_embeddings_share_their_table(ties: str, tables: int, width: int) -> None:
    model = build(ties)
    found = {
        model.source_embedding.weight.data_ptr(),
        model.target_embedding.weight.data_ptr(),
        model.output_weight.data_ptr(),
    }
    assert len(found) == tables
    assert model.output_weight.shape == (VOCABULARY, width)
    assert model(random_ids(1, 5), torch.tensor([5]), random_ids(1, 6)).shape == (1, 6, width)


def test_dropout_is_drawn_in_training_alone() -> None:
    model = build(dropout=0.5)
    pair = random_ids(2, 5), torch.tensor([5, 3]), random_ids(2, 4)
    assert torch.equal(model(*pair), model(*pair))
    model.train()
    assert not torch.equal(model(*pair), model(*pair))


def test_runs_in_bf16_and_speaks_in_fp32() -> None:
    model = build()
    source, target = random_ids(4, 7), random_ids(4, 3)
    expected, _ = model.step(target[:, 0], model.start(source, LENGTHS))
    with torch.autocast("cpu", torch.bfloat16):
        model(source, LENGTHS, target).sum().backward()
        found, state = model.step(target[:, 0], model.start(source, LENGTHS))
        model.step(target[:, 1], state)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


def test_comes_back_from_its_folder(tmp_path: Any) -> None:
    model = build()
    architecture = model_settings("lstm", 0.0, "all", **SIZES).architecture
    save_model(model, architecture, tmp_path)
    pair = random_ids(4, 7), LENGTHS, random_ids(4, 3)
    assert torch.equal(load_model(tmp_path)(*pair), model(*pair))


def test_a_pair_of_thousands_of_tokens_is_read() -> None:
    model = build()
    hidden = model(random_ids(2, 4000), torch.tensor([4000, 3]), random_ids(2, 4000))
    hidden.sum().backward()
    assert torch.isfinite(hidden).all()
