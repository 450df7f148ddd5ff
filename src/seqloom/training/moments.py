"""The state of optimisers as named tensors, which is how a checkpoint keeps it."""

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.optim import Optimizer


def moments(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """All tensors of all optimisers, named `optimizer.parameter.slot`."""
    return {
        f"{number}.{index}.{slot}": tensor
        for number, optimizer in enumerate(optimizers)
        for index, slots in optimizer.state_dict()["state"].items()
        for slot, tensor in slots.items()
        if isinstance(tensor, Tensor)  # SGD says None before its first update
    }


def restore_moments(optimizers: Sequence[Optimizer], stored: Mapping[str, Tensor]) -> None:
    """Give optimisers over the same parameters the state that `moments` returned."""
    described = [optimizer.state_dict() | {"state": {}} for optimizer in optimizers]
    for name, tensor in stored.items():
        number, index, slot = name.split(".", 2)
        described[int(number)]["state"].setdefault(int(index), {})[slot] = tensor
    for optimizer, state in zip(optimizers, described, strict=True):
        optimizer.load_state_dict(state)
