import math

import numpy as np
import pytest
import torch

from seqloom.models.attention import Attention
from seqloom.models.positions import (
    TABLE_ROWS,
    LearnedPositions,
    Positions,
    RotaryPositions,
    Rotation,
    SinusoidalPositions,
    build_positions,
    no_rotation,
    sinusoidal_positions,
)

CPU = torch.device("cpu")


def test_sinusoidal_positions_follow_the_paper_at_any_length() -> None:
    positions = sinusoidal_positions(0, 5000, 32, torch.zeros(1))
    for position, pair in ((0, 0), (3, 1), (4999, 15)):
        angle = position / 10_000 ** (2 * pair / 32)
        assert positions[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=2e-3)
        assert positions[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=2e-3)
    torch.testing.assert_close(sinusoidal_positions(4000, 10, 32, torch.zeros(1)), positions[4000:4010])


def test_positions_beyond_the_learned_table_use_its_last_row() -> None:
    learned = LearnedPositions(8)
    added = learned.add(torch.zeros(2, 7, 8), TABLE_ROWS - 3)
    last = learned.table.weight[-1]
    torch.testing.assert_close(added[0, :3], learned.table.weight[-3:])
    torch.testing.assert_close(added[1, 3:], last.expand(4, 8))
    added.sum().backward()
    assert learned.table.weight.grad is not None
    assert learned.table.weight.grad[-1].eq(2 * 5).all()


def test_rotation_equals_the_complex_product_of_the_paper() -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 3, 6, 8)
    rotated = RotaryPositions(8).rotation(5, 6, CPU)(x)
    pairs = x.double().numpy().reshape(2, 3, 6, 4, 2)
    numbers = pairs[..., 0] + 1j * pairs[..., 1]
    angle = np.arange(5, 11)[:, None] * 10_000.0 ** (-2 * np.arange(4) / 8)
    expected = numbers * np.exp(1j * angle)
    np.testing.assert_allclose(rotated[..., 0::2].numpy(), expected.real, atol=1e-5)
    np.testing.assert_allclose(rotated[..., 1::2].numpy(), expected.imag, atol=1e-5)


def test_scores_with_rotary_positions_depend_only_on_the_distance() -> None:
    torch.manual_seed(2)
    query, key = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)
    rotary = RotaryPositions(16)

    def score(query_at: int, key_at: int) -> float:
        return float((rotary.rotation(query_at, 1, CPU)(query) * rotary.rotation(key_at, 1, CPU)(key)).sum())

    for distance in (-3, 0, 4):
        assert score(10 + distance, 10) == pytest.approx(score(900 + distance, 900), abs=1e-3)
    assert abs(score(10, 10) - score(14, 10)) > 1e-2


def test_self_attention_with_rotary_positions_depends_only_on_distances() -> None:
    torch.manual_seed(4)
    attention, x, rotary = Attention(16, heads=2), torch.randn(2, 6, 16), RotaryPositions(8)

    def attend(rotation: Rotation) -> torch.Tensor:
        out: torch.Tensor = attention(x, *attention.keys_values(x, rotation), rotation=rotation)
        return out

    near, far = attend(rotary.rotation(0, 6, CPU)), attend(rotary.rotation(300, 6, CPU))
    torch.testing.assert_close(far, near, atol=1e-4, rtol=1e-4)
    assert (near - attend(no_rotation)).abs().max() > 0.01


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("sinusoidal", SinusoidalPositions), ("learned", LearnedPositions), ("rotary", RotaryPositions)],
)
def test_every_kind_can_start_at_any_position(kind: str, expected: type[Positions]) -> None:
    torch.manual_seed(3)
    positions = build_positions(kind, 8, heads=2)  # type: ignore[arg-type]
    assert isinstance(positions, expected)
    embedded, keys = torch.randn(2, 9, 8), torch.randn(2, 2, 9, 4)
    whole = positions.add(embedded, 0), positions.rotation(0, 9, CPU)(keys)
    rest = positions.add(embedded[:, 4:], 4), positions.rotation(4, 5, CPU)(keys[:, :, 4:])
    torch.testing.assert_close(rest[0], whole[0][:, 4:])
    torch.testing.assert_close(rest[1], whole[1][:, :, 4:])
    assert (whole[0] is embedded) == (kind == "rotary")
    assert (whole[1] is keys) == (kind != "rotary")
