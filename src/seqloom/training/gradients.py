"""From batches to the gradient of their mean loss: backward passes, over all processes, unscaled and clipped.

The loss of a token weighs the same whatever batch, process or part of a batch it falls into: gradients are summed over
tokens and divided once, by all of them. So accumulated batches, shares of several processes and a batch that memory
forced into parts make the very update of one large batch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqloom.batching.batches import Batch
from seqloom.errors import TrainingError
from seqloom.training.device import Placement
from seqloom.training.processes import Processes, apart
from seqloom.training.sharding import whole


class Gradient(NamedTuple):
    """What the parameters' `.grad` hold after a backward pass, clipped."""

    loss: float  # nats per token, as trained on
    tokens: int
    norm: float  # before clipping

    @property
    def finite(self) -> bool:
        """Whether an update can be made with it."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Gradients:
    """Computes the gradient of an objective. `split` is told into how many parts memory forced the batches."""

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
        self._whole = processes.together(objective)
        self._parameters = [each for each in objective.parameters() if each.requires_grad]
        self._placement, self._processes = placement, processes
        self._clip_norm = clip_norm
        self._split = split

    def of(self, batches: Sequence[Batch], scale: float, frozen: Sequence[nn.Parameter] = ()) -> Gradient:
        """The gradient of the mean loss of all tokens of all batches, computed with the loss times `scale`.

        Parameters in `frozen` get none, and so no update, no decay and no moments.

        Raises:
            TrainingError: a single pair does not fit into memory, or of several processes one ran out of it.
        """
        self._objective.train()
        smoothed, tokens = self._processes.total(self._backward_in_parts(batches, scale))
        for parameter in frozen:
            parameter.grad = None
        gradients = [each.grad for each in self._parameters if each.grad is not None]
        # Over several processes the sums were divided by their number on the way.
        unit = self._processes.size / (tokens * scale)
        norm = float(whole(nn.utils.get_total_norm(gradients))) * unit
        clipped = 1.0 if self._clip_norm is None else min(1.0, self._clip_norm / (norm + 1e-6))
        if math.isfinite(norm):
            torch._foreach_mul_(gradients, unit * clipped)
        return Gradient(smoothed / tokens, int(tokens), norm)

    def _backward_in_parts(self, batches: Sequence[Batch], scale: float) -> tuple[float, float]:
        """Backward through every batch, and anew in twice as many parts each time that memory does not suffice."""
        generators = random_state(self._placement.device)
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
                        "target tokens; lower train.tokens_per_batch (and raise train.accumulate by as much, for the "
                        "same updates), tokenizer.max_length, or the size of the model"
                    ) from error
            # Outside of the handler, whose traceback holds the tensors that did not fit.
            for parameter in self._parameters:
                parameter.grad = None
            restore_random_state(generators, self._placement.device)
            if self._placement.device.type == "cuda":
                torch.cuda.empty_cache()
            self._split(parts)

    def _backward(self, batches: Sequence[Batch], parts: int, scale: float) -> tuple[float, float]:
        """The summed loss and the tokens of this process, gradients left in the parameters."""
        pieces = [piece for batch in batches for piece in portions(batch, parts)]
        summed: list[Tensor] = []
        for number, piece in enumerate(pieces, start=1):
            with apart(self._whole, number < len(pieces)):
                with self._placement.autocast():
                    loss = self._whole(piece).smoothed
                torch.autograd.backward(loss * scale)
            summed.append(loss.detach())
        return float(torch.stack(summed).sum()), float(sum(batch.tokens for batch in batches))


def portions(batch: Batch, parts: int) -> Iterator[Batch]:
    """The batch in at most so many parts of almost equally many pairs, each without columns of padding alone."""
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


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The generators that training draws from, by kind of device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Put the generators where `random_state` found them."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


def _out_of_memory(error: Exception) -> bool:
    # The allocator of the CPU has no class of its own for it.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
