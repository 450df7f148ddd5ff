"""The four ids that every vocabulary has, whatever else is in it. This module imports nothing of seqloom."""

from typing import NamedTuple


class Symbols(NamedTuple):
    """Where a vocabulary keeps its special symbols. `bos` is what a decoder reads before its first token."""

    pad: int
    unk: int
    bos: int
    eos: int


OWN = Symbols(pad=0, unk=1, bos=2, eos=3)
"""Those of the vocabularies that seqloom trains. A pretrained model brings its own; some have one id for two roles."""
