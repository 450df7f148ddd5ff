"""The step that scores a shard of pairs with a model: the mean cross-entropy of each target, given its source.

A shard is a file of pairs as `corpus.splits` writes it. Its result is `entropies.npy`: a number per pair, in nats per
target token, end of sentence included. Texts longer than the model can read are scored up to that length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.splits import Pair, read_split
from seqloom.errors import ModelError
from seqloom.files import hashes_of
from seqloom.languages import Direction
from seqloom.sharding.step import Function
from seqloom.sharding.threads import one_thread

if TYPE_CHECKING:
    from seqloom.decoding.translator import Translator

ENTROPIES = "entropies.npy"
_TOKENS = 8192  # of the sources and targets of a batch, padding included, that are read together
_ROWS = 1024  # target tokens whose logits are computed together


class _Encoded(NamedTuple):
    source: list[int]
    target: list[int]


@dataclass(frozen=True)
class CrossEntropyShard:
    """Scores pairs with a model folder; `reverse` swaps the sides, for a backward model."""

    model: Path
    directions: tuple[Direction, ...]  # of the pairs
    reverse: bool = False
    device: str = "cpu"

    @property
    def name(self) -> str:
        """The name in progress reports."""
        return "score pairs backward" if self.reverse else "score pairs"

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return hashes_of(self.model)

    def identity(self) -> dict[str, Any]:
        """Return everything that the scores depend on, with the hashes of the model's files."""
        return {"model": self._hashes, "directions": [list(each) for each in self.directions], "reverse": self.reverse}

    def start(self) -> Function:
        """Load the model.

        Raises:
            ModelError: it cannot be loaded, or does not translate in one of the directions.
        """
        from seqloom.decoding.translator import Translator  # imports torch

        translator = Translator.load(self.model, self.device)
        known = translator.languages.directions
        if missing := [str(each) for each in map(self._read, self.directions) if each not in known]:
            has = ", ".join(map(str, known))
            raise ModelError(f"{self.model}: does not translate {', '.join(missing)}; it translates {has}")
        by_name = {str(each): self._read(each) for each in self.directions}

        def score(shard: Path, folder: Path) -> int:
            pairs = list(read_split(shard))
            encoded = [self._encode(translator, pair, by_name[pair.direction]) for pair in pairs]
            with one_thread():
                found = cross_entropies(translator, encoded)
            np.save(folder / ENTROPIES, found, allow_pickle=False)
            return len(pairs)

        return score

    def _read(self, direction: Direction) -> Direction:
        """Return the direction in which the model reads pairs of a direction."""
        return Direction(direction.target, direction.source) if self.reverse else direction

    def _encode(self, translator: "Translator", pair: Pair, direction: Direction) -> _Encoded:
        source, target = (pair.target, pair.source) if self.reverse else (pair.source, pair.target)
        tokenizer, model = translator.tokenizer, translator.model
        ids, slots = tokenizer.encode_source(source, direction.target)
        written = tokenizer.encode_target(target, slots, direction.target)
        longest, most = getattr(model, "max_source_length", None), getattr(model, "max_target_length", None)
        return _Encoded(ids[:longest], written[: None if most is None else most - 1])


def cross_entropies(translator: "Translator", pairs: Sequence[_Encoded]) -> NDArray[np.float32]:
    """Return the cross-entropy (pairs,) of each target in nats per token; infinite if the source is empty."""
    found = np.full(len(pairs), np.inf, np.float32)
    order = sorted(
        (row for row, pair in enumerate(pairs) if pair.source),
        key=lambda row: (len(pairs[row].source) + len(pairs[row].target), len(pairs[row].source), row),
    )
    first = 0
    while first < len(order):
        last, width = first, 0
        while last < len(order):
            pair = pairs[order[last]]
            width = max(width, len(pair.source), len(pair.target) + 1)
            if last > first and 2 * width * (last + 1 - first) > _TOKENS:
                break
            last += 1
        rows = order[first:last]
        found[rows] = _batch(translator, [pairs[row] for row in rows])
        first = last
    return found


def _batch(translator: "Translator", pairs: Sequence[_Encoded]) -> NDArray[np.float32]:
    """Return the cross-entropies (B,) of a batch."""
    import torch

    from seqloom.models.seq2seq import Seq2Seq

    model, symbols, device = translator.model, translator.tokenizer.symbols, translator.device
    assert isinstance(model, Seq2Seq)  # no ensemble

    def padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
        longest = max(map(len, rows))
        return torch.tensor([[*row, *[symbols.pad] * (longest - len(row))] for row in rows])

    lengths_B = torch.tensor([len(pair.target) + 1 for pair in pairs])
    with torch.inference_mode():
        hidden = model(
            padded([pair.source for pair in pairs]).to(device),
            torch.tensor([len(pair.source) for pair in pairs]).to(device),
            padded([[symbols.bos, *pair.target] for pair in pairs]).to(device),
        )
        labels = padded([[*pair.target, symbols.eos] for pair in pairs])
        real = torch.arange(labels.shape[1]) < lengths_B[:, None]
        hidden_MD, label_M = hidden[real.to(device)], labels[real].to(device)
        nll = [
            -model.log_probabilities(hidden_MD[start : start + _ROWS])
            .gather(1, label_M[start : start + _ROWS, None])
            .squeeze(1)
            for start in range(0, len(label_M), _ROWS)
        ]
        owner = torch.arange(len(pairs)).repeat_interleave(lengths_B)
        sums = torch.zeros(len(pairs), dtype=torch.float64).index_add_(0, owner, torch.cat(nll).double().cpu())
    means: NDArray[np.float32] = (sums / lengths_B).float().numpy()
    return means
