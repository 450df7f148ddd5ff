"""Start a Transformer from one with another number of layers, such as a student from its teacher.

Fewer layers are taken evenly from the first to the last, and a single one is the first (Shleifer and Rush 2020:
"shrink and fine-tune"). Additional layers come last; their sublayers add nothing at first, so with
`norm_order: pre` they do not change what the network computes.
"""

import torch
from torch import nn

from seqloom.models.attention import Attention
from seqloom.models.layers import FeedForward, GatedFeedForward
from seqloom.models.transformer import Transformer

_STACKS = ("encoder", "decoder")


@torch.no_grad()
def copy_layers(source: Transformer, into: Transformer) -> None:
    """Copy the weights of `source`, which differs from `into` at most in its numbers of layers and its dropout."""
    for name, module in into.named_children():
        if name not in _STACKS:
            module.load_state_dict(source.get_submodule(name).state_dict())
    for theirs, ours in ((source.encoder, into.encoder), (source.decoder, into.decoder)):
        chosen = spread(len(theirs), len(ours))
        for index, layer in zip(chosen, ours, strict=False):
            layer.load_state_dict(theirs[index].state_dict())
        for layer in ours[len(chosen) :]:
            _silence(layer)


def spread(there: int, wanted: int) -> list[int]:
    """Return the indices of at most `wanted` of `there` layers, from the first to the last at even distances."""
    if wanted >= there:
        return list(range(there))
    return [round(index * (there - 1) / max(1, wanted - 1)) for index in range(wanted)]


def _silence(layer: nn.Module) -> None:
    """Let every sublayer return zeros."""
    modules = list(layer.modules())
    outputs: list[nn.Module] = [each.output for each in modules if isinstance(each, Attention | GatedFeedForward)]
    outputs += [each[-1] for each in modules if isinstance(each, FeedForward)]
    for output in outputs:
        for parameter in output.parameters():
            nn.init.zeros_(parameter)
