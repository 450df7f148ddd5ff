"""The state of optimisers as named tensors, which is how a checkpoint keeps it."""

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.optim import Optimizer

from seqloom.training.sharding import part_like, whole


def moments(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """All tensors of all optimisers, whole, named `optimizer.parameter.slot`."""
    return {
        f"{number}.{index}.{slot}": whole(tensor)
        for number, optimizer in enumerate(optimizers)
        for index, slots in optimizer.state_dict()["state"].items()
        for slot, tensor in sorted(slots.items())  # all processes in one order, for each has a part
        if isinstance(tensor, Tensor)  # SGD says None before its first update
    }


def restore_moments(optimizers: Sequence[Optimizer], stored: Mapping[str, Tensor]) -> None:
    """Give optimisers over the same parameters the state that `moments` returned."""
    described = [optimizer.state_dict() | {"state": {}} for optimizer in optimizers]
    parameters = [[each for group in one.param_groups for each in group["params"]] for one in optimizers]
    for name, tensor in sorted(stored.items()):
        number, index, slot = _place(name)
        like = parameters[number][index]
        own = part_like(tensor, like) if tensor.shape == like.shape else tensor
        described[number]["state"].setdefault(index, {})[slot] = own
    for optimizer, state in zip(optimizers, described, strict=True):
        optimizer.load_state_dict(state)


def _place(name: str) -> tuple[int, int, str]:
    number, index, slot = name.split(".", 2)
    return int(number), int(index), slot
