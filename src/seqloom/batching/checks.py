"""Check the ids of a token store before training starts. They are read once, sequentially, in blocks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqloom.batching.shards import SIDES
from seqloom.batching.store import TokenColumn, TokenStore, pair_error
from seqloom.errors import CorpusError

_CHECKED = 1 << 20  # ids per block, which fits into a processor's cache


def check_store(store: TokenStore, source_vocab_size: int, target_vocab_size: int, *, bare: bool = True) -> None:
    """Check that a network with these vocabulary sizes can read a store.

    If `bare`, segments must not contain PAD, BOS or EOS. Segments of a pretrained model's tokenizer may: it adds
    special ids to each text. Empty segments need no check here, since opening the store finds them.

    Raises:
        CorpusError: the store was made with a vocabulary of another size, or a pair has an id that is outside the
            vocabulary or not allowed. The message names the first such pair.
    """
    for name, side, size in zip(SIDES, store.columns, (source_vocab_size, target_vocab_size), strict=True):
        if side.vocab_size != size:
            raise CorpusError(
                f"{store.folder}: its {name} ids were made with a vocabulary of {side.vocab_size:,}, but the tokenizer "
                f"and the network have {size:,}; run train_tokenizer again"
            )
        special = {"PAD": store.symbols.pad, "BOS": store.symbols.bos, "EOS": store.symbols.eos} if bare else {}
        if (place := _first_fault(side, list(special.values()))) is not None:
            wrong = int(side.ids[place])
            role = " and ".join(role for role, index in special.items() if index == wrong)
            fault = f"is {role}, which a segment must not contain" if role else f"is outside the vocabulary of {size:,}"
            pair = int(np.searchsorted(side.offsets, place, side="right")) - 1
            raise pair_error(store.folder, pair, f"{name} id {wrong} {fault}")


def _first_fault(side: TokenColumn, special: list[int]) -> int | None:
    """Return the index in `side.ids` of the first id that is outside the vocabulary or special, or None."""
    for start in range(0, len(side.ids), _CHECKED):
        ids: NDArray[Any] = side.ids[start : start + _CHECKED]
        faults = (ids < 0) | (ids >= side.vocab_size)
        for index in special:
            faults |= ids == index
        if faults.any():
            return start + int(faults.argmax())
    return None
