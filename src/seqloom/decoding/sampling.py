"""Drawing targets from the model: temperature, the k likeliest (Fan et al. 2018), the nucleus (Holtzman et al. 2020).

A sentence's sample does not depend on what else is in its batch, on the order of the batch or on how many samples are
drawn: each token takes one uniform number, which belongs to (seed, sentence, sample, position) alone, and inverts the
cumulative distribution there.
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

_FIRST_LOOK = 64  # tokens, among which the nucleus is looked for; where it is larger, among more


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
    """Return `samples` hypotheses of each source of `constraints`, in the order of their draws; some may be equal.

    Tokens are drawn as `settings` says: temperature first, then the `top_k` likeliest, then of these the fewest that
    make up `top_p`. `keys` holds a number from 0 up per source that stays the same wherever the source stands; the
    first samples stay the same when more are drawn. The other arguments are those of `beam_search`. A hypothesis has
    the model's own log-probability, whatever it was drawn from.

    Raises:
        EvaluationError: the step function gave NaN or a positive number, or no continuation any probability.
    """
    if not keys:
        return []
    device = constraints.max_lengths.device
    copies = torch.arange(len(keys), device=device).repeat_interleave(samples)
    numbers = _uniform(settings.seed, keys, samples, constraints.longest + 1).to(device)

    def choose(log_probabilities: Tensor, rows: Tensor, position: int) -> Tensor:
        return draw(
            log_probabilities,
            numbers[rows, position],
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
        )

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
    """Draw a token of each row, (rows,) int64, from `log_probabilities` (rows, V) by `numbers` (rows,) in [0, 1)."""
    scores = log_probabilities if temperature == 1 else log_probabilities / temperature
    if top_k is None and top_p == 1:
        return _invert_groups(scores.softmax(dim=1), numbers)
    if top_k is None:
        return _from_nucleus(scores, scores.logsumexp(dim=1, keepdim=True).double(), numbers, top_p, _FIRST_LOOK)
    best, tokens = largest(scores, top_k)
    probabilities = best.softmax(dim=1)
    return _pick(tokens, _nucleus(probabilities, top_p), numbers)


def _from_nucleus(scores: Tensor, everything: Tensor, numbers: Tensor, top_p: float, count: int) -> Tensor:
    """Draw from the fewest tokens that make up `top_p` of `everything` (rows, 1), looking for them among `count`.

    A full sort costs more than a step of the network. Most rows need few tokens; those that need more are few.
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
    """`probabilities` (rows, n), the largest first, without those behind the fewest that make up `top_p`."""
    before = probabilities.cumsum(dim=1) - probabilities
    return probabilities.masked_fill(before >= top_p, 0.0)


def _pick(tokens: Tensor, weights: Tensor, numbers: Tensor) -> Tensor:
    """Draw one of `tokens` (rows, n) by its weight."""
    index, _ = _invert(weights, numbers)
    return tokens.gather(1, index.unsqueeze(1)).squeeze(1)


def _invert(weights: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Draw by `weights` (rows, n) float64, not normalised: where each number in [0, 1) falls, (rows,) int64.

    Also returned is how far into that weight it falls, (rows,) in [0, 1): a uniform number again. A weight of 0 is
    never drawn.
    """
    sums = weights.cumsum(dim=1)
    whole = sums[:, -1:]
    target = torch.minimum(numbers.unsqueeze(1) * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    index = torch.searchsorted(sums, target, right=True).clamp(max=weights.shape[1] - 1)  # above only if NaN
    weight = weights.gather(1, index)
    rest = (target - (sums.gather(1, index) - weight)) / weight
    return index.squeeze(1), rest.clamp(0.0, 1.0 - 2.0**-53).squeeze(1)


def _invert_groups(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """`_invert` over (rows, V) fp32: first a group of tokens is drawn, then one of it, so that little is fp64."""
    rows, width = probabilities.shape
    groups = max(1, int(width**0.5))
    size = -(-width // groups)
    padded = torch.nn.functional.pad(probabilities, (0, size * groups - width)).view(rows, size, groups)
    group, rest = _invert(padded.sum(dim=1).double(), numbers)
    members = padded.gather(2, group.view(-1, 1, 1).expand(-1, size, 1)).squeeze(2)
    member, _ = _invert(members.double(), rest)
    return (member * groups + group).clamp(max=width - 1)


def _uniform(seed: int, keys: Sequence[int], samples: int, count: int) -> Tensor:
    """(sources * samples, count) float64 in [0, 1): each row of its own (seed, key, sample), whatever stands beside."""
    rows = [np.random.default_rng([seed, key, index]).random(count) for key in keys for index in range(samples)]
    return torch.from_numpy(np.stack(rows))
