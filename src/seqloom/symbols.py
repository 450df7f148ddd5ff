"""The ids of the special symbols that every vocabulary has. This module imports nothing of seqloom."""

from typing import NamedTuple


class Symbols(NamedTuple):
    """The ids of a vocabulary's special symbols. `bos` is the decoder's input before its first token."""

    pad: int
    unk: int
    bos: int
    eos: int


SPECIAL_IDS = Symbols(pad=0, unk=1, bos=2, eos=3)
"""The ids in vocabularies trained by seqloom. Pretrained models have others; some use one id for two symbols."""
