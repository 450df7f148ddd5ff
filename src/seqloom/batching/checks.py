"""Wrong ids found before the first step. Knows a token store and what it must fit: no tokenizer and no model.

Ids are read once, in order, some megabytes at a time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqloom.batching.store import SIDES, TokenColumn, TokenStore, pair_error
from seqloom.errors import CorpusError

_CHECKED = 1 << 20  # ids looked at once, which is what a processor's cache holds


def check_store(store: TokenStore, source_vocab_size: int, target_vocab_size: int, *, bare: bool = True) -> None:
    """Check that a network with these vocabularies can read a store. Empty segments are found when it is opened.

    Segments that are `bare` hold no PAD, BOS or EOS; those of a pretrained model's tokenizer may hold what it puts
    around a text.

    Raises:
        CorpusError: the store was made with a vocabulary of another size, or an id lies outside it or is special where
            none may be; the first such pair is named.
    """
    for name, side, size in zip(SIDES, store.columns, (source_vocab_size, target_vocab_size), strict=True):
        if side.vocab_size != size:
            raise CorpusError(
                f"{store.folder}: its {name} ids are of a vocabulary of {side.vocab_size:,}, the tokenizer's and the "
                f"network's of one of {size:,}; run train_tokenizer again"
            )
        special = {"PAD": store.symbols.pad, "BOS": store.symbols.bos, "EOS": store.symbols.eos} if bare else {}
        if (place := _first_fault(side, list(special.values()))) is not None:
            wrong = int(side.ids[place])
            role = " and ".join(role for role, index in special.items() if index == wrong)
            fault = f"is {role}, which no segment may hold" if role else f"lies outside the vocabulary of {size:,}"
            pair = int(np.searchsorted(side.offsets, place, side="right")) - 1
            raise pair_error(store.folder, pair, f"{name} id {wrong} {fault}")


def _first_fault(side: TokenColumn, special: list[int]) -> int | None:
    """Where in `side.ids` the first id stands that is outside the vocabulary or special."""
    for start in range(0, len(side.ids), _CHECKED):
        ids: NDArray[Any] = side.ids[start : start + _CHECKED]
        faults = (ids < 0) | (ids >= side.vocab_size)
        for index in special:
            faults |= ids == index
        if faults.any():
            return start + int(faults.argmax())
    return None
