from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqloom.models.attention_lstm import AttentionLstm
from seqloom.models.catalogue import load_model, save_model
from tests.models import textbook
from tests.records import model_settings

VOCABULARY = 30
SIZES = {"embedding": 6, "hidden": 8, "encoder_layers": 1, "decoder_layers": 2}
LENGTHS = torch.tensor([7, 2, 5, 1])
SCORES = ["additive", "dot", "general"]
both_ways = pytest.mark.parametrize("input_feeding", [False, True])


def build(ties: str = "all", dropout: float = 0.0, **section: Any) -> AttentionLstm:
    torch.manual_seed(7)
    architecture = model_settings("attention_lstm", dropout, ties, **SIZES | section).architecture
    model = AttentionLstm(architecture, VOCABULARY, VOCABULARY)  # type: ignore[arg-type]
    for parameter in model.parameters():  # zero biases would hide a mistake in them
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
def test_equals_the_textbook_and_so_do_its_gradients(cell: str, attention: str, input_feeding: bool) -> None:
    check_against_the_textbook(build(cell=cell, attention=attention, input_feeding=input_feeding))


@both_ways
@pytest.mark.parametrize("layers", [(1, 1), (1, 3), (2, 1), (2, 2)])
def test_the_top_layers_start_their_twins_and_the_others_from_zeros(
    layers: tuple[int, int], input_feeding: bool
) -> None:
    sizes = {"encoder_layers": layers[0], "decoder_layers": layers[1]}
    check_against_the_textbook(build(**sizes, input_feeding=input_feeding))
    check_against_the_textbook(build("none", **sizes, input_feeding=input_feeding, bidirectional=False))


@both_ways
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_cached_steps_equal_the_whole_target_at_once(cell: str, input_feeding: bool) -> None:
    model = build(cell=cell, input_feeding=input_feeding)
    source, target = random_ids(4, 7), random_ids(4, 6)
    expected = model.log_probabilities(model(source, LENGTHS, target))
    state = model.start(source, LENGTHS)
    for position in range(6):
        log_probabilities, state = model.step(target[:, position], state)
        torch.testing.assert_close(log_probabilities, expected[:, position], atol=1e-5, rtol=1e-5)


@both_ways
@pytest.mark.parametrize("attention", ["dot", "additive"])
@pytest.mark.parametrize("lengths", [[7, 2, 5, 1], [7, 7, 7, 7]])
def test_selected_rows_go_on_as_if_they_had_been_alone(lengths: list[int], attention: str, input_feeding: bool) -> None:
    model = build(attention=attention, input_feeding=input_feeding)
    source, target = random_ids(4, 7), random_ids(4, 3)
    _, state = model.step(target[:, 0], model.start(source, torch.tensor(lengths)))
    everyone, after = model.step(target[:, 1], state)
    everyone_after, _ = model.step(target[:, 2], after)
    rows = torch.tensor([2, 0, 2])
    chosen, after = model.step(target[rows, 1], state.select(rows))
    torch.testing.assert_close(chosen, everyone[rows])
    again = torch.tensor([2, 1, 0])  # the two rows of one source change places
    chosen, _ = model.step(target[rows[again], 2], after.select(again))
    torch.testing.assert_close(chosen, everyone_after[rows[again]])


def test_rows_that_change_places_within_their_source_share_its_memory() -> None:
    model = build()
    state = model.start(random_ids(2, 7), LENGTHS[:2]).select(torch.tensor([0, 0, 1, 1]))
    assert state.select(torch.tensor([1, 0, 2, 2])).memory is state.memory
    assert state.select(torch.tensor([2, 0, 1, 1])).memory is not state.memory


@both_ways
@pytest.mark.parametrize("attention", SCORES)
def test_padding_and_the_rest_of_the_batch_change_nothing(attention: str, input_feeding: bool) -> None:
    model = build(attention=attention, input_feeding=input_feeding)
    source, target = random_ids(1, 5), random_ids(1, 4)
    alone = model(source, torch.tensor([5]), target)
    padded = torch.cat((source, torch.zeros(1, 6, dtype=torch.long)), dim=1)
    crowd = torch.cat((padded, random_ids(2, 11)))
    together = model(crowd, torch.tensor([5, 11, 9]), torch.cat((target, random_ids(2, 4))))
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-5)


@both_ways
@pytest.mark.parametrize("attention", SCORES)
def test_no_position_sees_a_later_target(attention: str, input_feeding: bool) -> None:
    model = build("none", attention=attention, input_feeding=input_feeding)
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


@both_ways
def test_dropout_is_drawn_in_training_alone(input_feeding: bool) -> None:
    model = build(dropout=0.5, input_feeding=input_feeding)
    pair = random_ids(2, 5), torch.tensor([5, 3]), random_ids(2, 4)
    assert torch.equal(model(*pair), model(*pair))
    model.train()
    assert not torch.equal(model(*pair), model(*pair))


@both_ways
@pytest.mark.parametrize("attention", SCORES)
def test_runs_in_bf16_and_speaks_in_fp32(attention: str, input_feeding: bool) -> None:
    model = build(attention=attention, input_feeding=input_feeding)
    source, target = random_ids(4, 7), random_ids(4, 3)
    expected, _ = model.step(target[:, 0], model.start(source, LENGTHS))
    with torch.autocast("cpu", torch.bfloat16):
        model(source, LENGTHS, target).sum().backward()
        assert model.attention(source, LENGTHS, target).dtype == torch.float32
        found, state = model.step(target[:, 0], model.start(source, LENGTHS))
        model.step(target[:, 1], state)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


@both_ways
def test_comes_back_from_its_folder(tmp_path: Any, input_feeding: bool) -> None:
    model = build(input_feeding=input_feeding)
    sizes = SIZES | {"input_feeding": input_feeding}
    save_model(model, model_settings("attention_lstm", 0.0, "all", **sizes).architecture, tmp_path)
    pair = random_ids(4, 7), LENGTHS, random_ids(4, 3)
    assert torch.equal(load_model(tmp_path)(*pair), model(*pair))


@pytest.mark.parametrize("attention", SCORES)
def test_a_pair_of_thousands_of_tokens_is_read(attention: str) -> None:
    model = build(attention=attention)
    hidden = model(random_ids(2, 2000), torch.tensor([2000, 3]), random_ids(2, 2000))
    hidden.sum().backward()
    assert torch.isfinite(hidden).all()
