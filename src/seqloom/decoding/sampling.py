"""Sampling with temperature, top-k (Fan et al. 2018) and nucleus (Holtzman et al. 2020).

A sentence's samples do not depend on the other sentences in its batch, on their order, or on the number of samples.
Each token is drawn by inverting the cumulative distribution at a uniform number that depends only on (seed, sentence,
sample, position).
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqloom.decoding.constraints import Constraints
from seqloom.decoding.greedy import follow
from seqloom.decoding.hypotheses import Hypothesis
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.step import S, StepFunction
from seqloom.decoding.topk import largest

_FIRST_LOOK = 64  # tokens to search for the nucleus first; more if it is larger


@torch.inference_mode()
def sample(
    step: StepFunction[S],
    state: S,
    constraints: Constraints,
    settings: SearchSettings,
    *,
    keys: Sequence[int],
    samples: int = 1,
) -> list[list[Hypothesis]]:
    """Return `samples` hypotheses of each source of `constraints`, in the order of drawing; some may be equal.

    `settings` apply in this order: temperature, then the `top_k` most likely tokens, then the smallest set of these
    with probability `top_p`. `keys` has a non-negative number per source, which must depend only on the source. The
    first samples stay the same if more are drawn. The other arguments are those of `beam_search`. The log-probability
    of a hypothesis is the model's own, without temperature and filters.

    Raises:
        EvaluationError: the step function returned NaN or a positive number, or every continuation has probability 0.
    """
    if not keys:
        return []
    device = constraints.max_lengths.device
    copies = torch.arange(len(keys), device=device).repeat_interleave(samples)
    numbers = _uniform(settings.seed, keys, samples, constraints.longest + 1).to(device)

    def choose(log_probabilities: Tensor, rows: Tensor, position: int) -> tuple[Tensor, Tensor]:
        drawn = draw(
            log_probabilities,
            numbers[rows, position],
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
        )
        return drawn, log_probabilities.amax(dim=1)

    found = follow(step, state.select(copies), choose, constraints.select(copies), settings, rows_per_source=samples)
    return [found[first : first + samples] for first in range(0, len(found), samples)]


def draw(
    log_probabilities: Tensor,
    numbers: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
) -> Tensor:
    """Draw a token per row, (rows,) int64, from `log_probabilities` (rows, V), with `numbers` (rows,) in [0, 1)."""
    scores = log_probabilities if temperature == 1 else log_probabilities / temperature
    if top_k is None and top_p == 1:
        return _invert_groups(scores.softmax(dim=1), numbers)
    if top_k is None:
        return _from_nucleus(scores, scores.logsumexp(dim=1, keepdim=True).double(), numbers, top_p, _FIRST_LOOK)
    best, tokens = largest(scores, top_k)
    probabilities = best.softmax(dim=1)
    return _pick(tokens, _nucleus(probabilities, top_p), numbers)


def _from_nucleus(scores: Tensor, everything: Tensor, numbers: Tensor, top_p: float, count: int) -> Tensor:
    """Draw from the smallest set of tokens with probability `top_p`, searching the `count` most likely ones first.

    `everything` (rows, 1) is the log of the normalising constant. A full sort costs more than a step of the network,
    and most rows need only a few tokens.
    """
    best, tokens = largest(scores, count)
    probabilities = (best - everything).exp()
    drawn = _pick(tokens, _nucleus(probabilities, top_p), numbers)
    if count < scores.shape[1]:
        more = (probabilities.sum(dim=1) < top_p).nonzero().squeeze(1)
        if len(more):
            drawn[more] = _from_nucleus(scores[more], everything[more], numbers[more], top_p, 8 * count)
    return drawn


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Return `probabilities` (rows, n), sorted largest first, with those outside the nucleus of `top_p` set to 0."""
    before = probabilities.cumsum(dim=1) - probabilities
    return probabilities.masked_fill(before >= top_p, 0.0)


def _pick(tokens: Tensor, weights: Tensor, numbers: Tensor) -> Tensor:
    """Draw one of `tokens` (rows, n) per row in proportion to `weights`."""
    index, _ = _invert(weights, numbers)
    return tokens.gather(1, index.unsqueeze(1)).squeeze(1)


def _invert(weights: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index (rows,) int64 at which each number in [0, 1) falls into `weights` (rows, n) float64.

    The weights need not be normalised; one of 0 is never drawn. Also return the relative position within the chosen
    weight, (rows,) in [0, 1), which is again uniform.
    """
    sums = weights.cumsum(dim=1)
    whole = sums[:, -1:]
    target = torch.minimum(numbers.unsqueeze(1) * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    index = torch.searchsorted(sums, target, right=True).clamp(max=weights.shape[1] - 1)  # above only if NaN
    weight = weights.gather(1, index)
    rest = (target - (sums.gather(1, index) - weight)) / weight
    return index.squeeze(1), rest.clamp(0.0, 1.0 - 2.0**-53).squeeze(1)


def _invert_groups(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """Do `_invert` over (rows, V) fp32 in two steps, a group and then a token in it, so that little work is in fp64."""
    rows, width = probabilities.shape
    groups = max(1, int(width**0.5))
    size = -(-width // groups)
    padded = torch.nn.functional.pad(probabilities, (0, size * groups - width)).view(rows, size, groups)
    group, rest = _invert(padded.sum(dim=1).double(), numbers)
    members = padded.gather(2, group.view(-1, 1, 1).expand(-1, size, 1)).squeeze(2)
    member, _ = _invert(members.double(), rest)
    return (member * groups + group).clamp(max=width - 1)


def _uniform(seed: int, keys: Sequence[int], samples: int, count: int) -> Tensor:
    """Return (sources * samples, count) float64 in [0, 1); each row depends only on (seed, key, sample)."""
    rows = [np.random.default_rng([seed, key, index]).random(count) for key in keys for index in range(samples)]
    return torch.from_numpy(np.stack(rows))
