"""seqloom: train, compare, register and serve your own sequence-to-sequence models."""

__version__ = "0.1.0"
