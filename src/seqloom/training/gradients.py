"""The gradient of the mean loss of several batches, over all processes, unscaled and clipped.

Gradients are summed over tokens and divided once by the number of all tokens, so every token has the same weight
whatever its batch, process or part of a batch. Accumulated batches, several processes and batches that are computed in
parts thus give the update of one large batch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqloom.batching.batches import Batch
from seqloom.errors import TrainingError
from seqloom.training.device import Placement
from seqloom.training.processes import Processes, without_sync
from seqloom.training.randomness import Streams
from seqloom.training.sharding import whole


class Gradient(NamedTuple):
    """The figures of a gradient that is in the parameters' `.grad`, clipped."""

    loss: float  # nats per token, as trained on
    tokens: int
    norm: float  # before clipping

    @property
    def finite(self) -> bool:
        """Whether loss and norm are finite, so that the gradient can be used for an update."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Gradients:
    """Computes gradients of an objective, with the random numbers of `streams`.

    `split` is called with the number of parts if a batch exceeds memory.
    """

    def __init__(
        self,
        objective: nn.Module,
        placement: Placement,
        processes: Processes,
        *,
        clip_norm: float | None,
        split: Callable[[int], None],
    ) -> None:
        self._objective = objective
        self._whole = processes.wrap(objective)
        self._parameters = [each for each in objective.parameters() if each.requires_grad]
        self._placement, self._processes = placement, processes
        self.streams = Streams(placement.device, processes.share)
        self._clip_norm = clip_norm
        self._split = split

    def of(self, batches: Sequence[Batch], scale: float, frozen: Sequence[nn.Parameter] = ()) -> Gradient:
        """Compute the gradient of the mean loss over all tokens of all batches, with the loss multiplied by `scale`.

        `batches` are the shares of this process, for each whole batch one for every turn.
        Parameters in `frozen` get no gradient, and therefore no update, decay or optimiser state.

        Raises:
            TrainingError: a single pair does not fit into memory, or one of several processes ran out of memory.
        """
        self._objective.train()
        smoothed, tokens = self._processes.total(self._backward_in_parts(batches, scale))
        for parameter in frozen:
            parameter.grad = None
        gradients = [each.grad for each in self._parameters if each.grad is not None]
        # With several processes, the backward pass averages over them instead of summing.
        unit = self._processes.size / (tokens * scale)
        norm = float(whole(nn.utils.get_total_norm(gradients))) * unit
        clipped = 1.0 if self._clip_norm is None else min(1.0, self._clip_norm / (norm + 1e-6))
        if math.isfinite(norm):
            torch._foreach_mul_(gradients, unit * clipped)
        return Gradient(smoothed / tokens, int(tokens), norm)

    def _backward_in_parts(self, batches: Sequence[Batch], scale: float) -> tuple[float, float]:
        """Run the backward pass; each time memory does not suffice, repeat it in twice as many parts."""
        generators = self.streams.states()
        parts = 1
        while True:
            try:
                return self._backward(batches, parts, scale)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                parts *= 2
                longest = max(batches, key=lambda batch: batch.source.shape[1] + batch.target_out.shape[1])
                if self._processes.size > 1 or parts >= 2 * max(len(batch.source) for batch in batches):
                    pairs, source, target = *longest.source.shape, longest.target_out.shape[1]
                    raise TrainingError(
                        f"out of memory on {self._placement.device} with {pairs} pairs of {source} source and {target} "
                        "target tokens; lower train.tokens_per_batch (and raise train.accumulate by the same factor "
                        "for the same updates), tokenizer.max_length, or the size of the model"
                    ) from error
            # Outside the except block, because the traceback references the tensors that did not fit.
            for parameter in self._parameters:
                parameter.grad = None
            self.streams.restore(generators)
            if self._placement.device.type == "cuda":
                torch.cuda.empty_cache()
            self._split(parts)

    def _backward(self, batches: Sequence[Batch], parts: int, scale: float) -> tuple[float, float]:
        """Add gradients to the parameters; return the summed loss and the number of tokens of this process."""
        pieces = [(number, piece) for number, batch in enumerate(batches) for piece in portions(batch, parts)]
        summed: list[Tensor] = []
        for count, (number, piece) in enumerate(pieces, start=1):
            self.streams.use(number % self._processes.share.turns)
            with without_sync(self._whole, count < len(pieces)):
                with self._placement.autocast():
                    loss = self._whole(piece).smoothed
                torch.autograd.backward(loss * scale)
            summed.append(loss.detach())
        return float(torch.stack(summed).sum()), float(sum(batch.tokens for batch in batches))


def portions(batch: Batch, parts: int) -> Iterator[Batch]:
    """Split a batch into at most `parts` parts of about equally many pairs; columns of nothing but padding are cut."""
    if parts == 1:
        yield batch
        return
    for chunk in zip(*(tensor.chunk(parts) for tensor in batch), strict=True):
        piece = Batch(*chunk)
        source, target = int(piece.source_lengths.max()), max(1, int(piece.target_lengths.max()))
        yield piece._replace(
            source=piece.source[:, :source],
            target_in=piece.target_in[:, :target],
            target_out=piece.target_out[:, :target],
        )


def _out_of_memory(error: Exception) -> bool:
    # The CPU allocator raises a plain RuntimeError.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
