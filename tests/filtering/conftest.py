"""The tests need the same model folder as those of `synthesis`."""

from tests.synthesis.conftest import make_network, model  # noqa: F401  (fixtures)
