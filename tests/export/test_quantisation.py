import numpy as np
import pytest

from seqloom.export.quantisation import quantise, rows_as_int8
from seqloom.export.specification import specify
from seqloom.symbols import SPECIAL_IDS
from tests.export.networks import network


@pytest.mark.parametrize("columns", [50, 51])
def test_neighbours_never_overflow_16_bits_and_rounding_is_by_half_a_step(columns: int) -> None:
    draw = np.random.default_rng(1)
    matrix = (draw.normal(size=(30, columns)) * np.arange(1, 31)[:, None]).astype(np.float32)
    matrix[0] = 1.0
    numbers, scale = rows_as_int8(matrix)
    sizes = np.abs(numbers.astype(int))
    pairs = sizes[:, : columns // 2 * 2].reshape(30, -1, 2).sum(axis=2).max(axis=1)
    assert (255 * pairs < 2**15).all()
    assert (sizes.max(axis=1) <= 127).all()
    assert (pairs >= 125).mean() > 0.9  # and most of the range is used
    assert (np.abs(numbers / scale[:, None] - matrix) <= 0.5001 / scale[:, None]).all()


def test_a_row_of_zeros_stays_zero_and_finite() -> None:
    numbers, scale = rows_as_int8(np.zeros((2, 3), dtype=np.float32))
    assert not numbers.any()
    assert np.isfinite(scale).all()


def test_every_matrix_is_quantised_and_the_network_keeps_its_weights() -> None:
    model = network(20, activation="swiglu")
    before = {name: each.clone() for name, each in model.named_parameters()}
    spec = specify(model, SPECIAL_IDS)
    quantise(spec)
    layer = spec.decoder.layer[0]
    for linear in (layer.self_attention.linear[0], layer.attention.linear[1], layer.ffn.linear_0_noact):
        assert linear.weight.dtype == np.int8
    assert spec.encoder.embeddings[0].weight.dtype == spec.decoder.projection.weight.dtype == np.int8
    assert spec.encoder.position_encodings.encodings.dtype == np.float32
    assert all((each == before[name]).all() for name, each in model.named_parameters())
