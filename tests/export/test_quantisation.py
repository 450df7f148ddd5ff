import numpy as np

from seqloom.export.quantisation import quantise, rows_as_int8
from seqloom.export.specification import specify
from seqloom.symbols import OWN
from tests.export.networks import network


def test_a_row_uses_seven_bits_and_is_off_by_half_a_step_at_most() -> None:
    matrix = np.random.default_rng(1).normal(size=(30, 50)).astype(np.float32) * np.arange(1, 31)[:, None]
    numbers, scale = rows_as_int8(matrix.astype(np.float32))
    assert (np.abs(numbers).max(axis=1) == 64).all()
    assert (np.abs(numbers / scale[:, None] - matrix) <= 0.5001 / scale[:, None]).all()


def test_a_row_of_zeros_stays_zero_and_finite() -> None:
    numbers, scale = rows_as_int8(np.zeros((2, 3), dtype=np.float32))
    assert not numbers.any()
    assert np.isfinite(scale).all()


def test_every_matrix_is_quantised_and_the_network_keeps_its_weights() -> None:
    model = network(20, activation="swiglu")
    before = {name: each.clone() for name, each in model.named_parameters()}
    spec = specify(model, OWN)
    quantise(spec)
    layer = spec.decoder.layer[0]
    for linear in (layer.self_attention.linear[0], layer.attention.linear[1], layer.ffn.linear_0_noact):
        assert linear.weight.dtype == np.int8
    assert spec.encoder.embeddings[0].weight.dtype == spec.decoder.projection.weight.dtype == np.int8
    assert spec.encoder.position_encodings.encodings.dtype == np.float32
    assert all((each == before[name]).all() for name, each in model.named_parameters())
