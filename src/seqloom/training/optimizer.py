"""The optimisers by name, and their state as named tensors for checkpoints.

On the default corpus (3+2 layers of width 128, 1,024 tokens a batch) `muon` had a validation BLEU of 10.0, 15.4 and
18.2 after 375, 750 and 1,125 updates, and `adamw` 3.3, 10.9 and 13.8; an update took about 1.3 times as long.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, reduce
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from seqloom.models.seq2seq import Seq2Seq
from seqloom.training.settings import TrainSettings
from seqloom.training.sharding import part_like, whole

# Newton-Schulz iteration of degree five (Jordan et al. 2024). These coefficients raise small singular values fast and
# leave all of them between about 0.7 and 1.2.
_A, _B, _C, _ITERATIONS = 3.4445, -4.7750, 2.0315, 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return roughly the nearest semi-orthogonal matrices of (..., M, N): all singular values become about one.

    An iteration is X <- p(X X^T) X with a polynomial p. The Gram matrix X X^T and its polynomials commute, so the
    iterations can also run on the Gram matrix alone, and X is multiplied once, at the end. That is faster if X is at
    least three times as long as wide, as the matrices of an LSTM's gates are; the result is the same up to rounding.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    if x.shape[-1] >= 3 * x.shape[-2]:
        gram = x @ x.mT
        polynomials = [_polynomial(gram)]
        while len(polynomials) < _ITERATIONS:
            gram = polynomials[-1] @ gram @ polynomials[-1]
            polynomials.append(_polynomial(gram))
        x = reduce(torch.matmul, polynomials) @ x
    else:
        for _ in range(_ITERATIONS):
            x = _polynomial(x @ x.mT) @ x
    result: Tensor = x.mT if tall else x
    return result


def _polynomial(gram: Tensor) -> Tensor:
    """Return a I + b G + c G^2."""
    result: Tensor = _B * gram + _C * (gram @ gram)
    result.diagonal(dim1=-2, dim2=-1).add_(_A)
    return result


class Muon(Optimizer):
    """Momentum with orthogonalised updates, for the matrices inside a network (Jordan et al. 2024, "Muon").

    Each update is scaled to the size of AdamW's, so that one learning rate suits both (Liu et al. 2025, "Muon is
    Scalable for LLM Training", section 2.2). Matrices of the same shape are processed together: a small network has
    dozens of them, each too small for a fast matrix product.
    """

    def __init__(self, matrices: list[Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    shapes.setdefault(tuple(matrix.shape), []).append(matrix)
            for shape, matrices in shapes.items():
                self._update(matrices, group, scale=0.2 * max(shape) ** 0.5)

    def _update(self, matrices: list[Tensor], group: dict[str, Any], scale: float) -> None:
        gradients = []
        for matrix in matrices:
            assert matrix.grad is not None
            momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
            momentum.lerp_(matrix.grad, 1 - group["momentum"])
            gradients.append(matrix.grad.lerp(momentum, group["momentum"]))  # Nesterov momentum
        for matrix, update in zip(matrices, orthogonalised(torch.stack(gradients)), strict=True):
            matrix.mul_(1 - group["lr"] * group["weight_decay"])
            matrix.add_(update, alpha=-group["lr"] * scale)


_Kind = TypeVar("_Kind", bound=Optimizer)


@cache
def _uncompiled(kind: type[_Kind]) -> type[_Kind]:
    """Return the optimiser class without the wrappers that exclude its methods from torch's compiler.

    The first call of such a wrapper imports the compiler, which takes as long as importing torch, and 80 MB. Nothing is
    compiled here.
    """
    names = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    return type(kind.__name__, (kind,), methods | {"step": torch.no_grad()(methods["step"])})


def build_optimizers(model: Seq2Seq, settings: TrainSettings) -> list[Optimizer]:
    """Return the optimisers for `settings.optimizer`; together they have every trained parameter once.

    `adamw` (Loshchilov and Hutter 2019), `adam` (Kingma and Ba 2015) and `sgd` with momentum (Sutskever et al. 2013)
    have all parameters. With `muon`, a second optimiser, AdamW, has the embedding tables, biases and norms, which must
    not be orthogonalised. Biases and norms are not decayed. The decay of `adam` and `sgd` is part of the gradient.
    """
    vocabularies = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    vocabularies.add(id(model.output_weight))
    matrices: list[Tensor] = []
    tables: list[Tensor] = []
    vectors: list[Tensor] = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        inner = parameter.dim() == 2 and id(parameter) not in vocabularies
        (matrices if inner else tables if parameter.dim() > 1 else vectors).append(parameter)
    muon = settings.optimizer == "muon" and matrices
    groups = [
        {"params": tables if muon else [*tables, *matrices], "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        # Not fused: the fused update fails if only some parameters have momentum yet, and if they are sharded.
        return [_uncompiled(SGD)(groups, lr=settings.lr, momentum=settings.sgd_momentum)]
    kind = Adam if settings.optimizer == "adam" else AdamW
    adam = _uncompiled(kind)(groups, lr=settings.lr, betas=settings.adam_betas, fused=True)
    return [adam, _uncompiled(Muon)(matrices, settings.lr, settings.weight_decay)] if muon else [adam]


def optimizer_state(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """Return all state tensors, unsharded, named `optimizer.parameter.slot`, such as `0.12.exp_avg`."""
    return {
        f"{number}.{index}.{slot}": whole(tensor)
        for number, optimizer in enumerate(optimizers)
        for index, slots in optimizer.state_dict()["state"].items()
        for slot, tensor in sorted(slots.items())  # in the same order in all processes: `whole` is collective
        if isinstance(tensor, Tensor)  # SGD has None before its first update
    }


def restore_optimizer_state(optimizers: Sequence[Optimizer], stored: Mapping[str, Tensor]) -> None:
    """Load what `optimizer_state` returned into optimisers of the same parameters."""
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
