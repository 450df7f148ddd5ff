"""Search with a single hypothesis per row: greedy search, and the loop that sampling shares with it.

Scores, constraints and errors are those of `beam_search`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from seqloom.decoding.constraints import Constraints
from seqloom.decoding.hypotheses import FinishedHypotheses, Hypothesis
from seqloom.decoding.length_penalty import length_penalties
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.step import S, StepFunction, is_broken, raise_if_broken

Choice = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""Returns the next token of each row, (rows,) int64, and the row's largest log-probability, (rows,).

The arguments are the constrained log-probabilities (rows, V), the original index of each row (rows,) int64, which
changes as finished rows are removed, and the number of ids so far.
"""


@torch.inference_mode()
def greedy_search(
    step: StepFunction[S], state: S, constraints: Constraints, settings: SearchSettings
) -> list[Hypothesis]:
    """Return the hypothesis of each source that takes the most likely token at every step.

    The arguments and errors are those of `beam_search`; the beam of `settings` is ignored.
    """
    return follow(step, state, _likeliest, constraints, settings)


def _likeliest(log_probabilities: Tensor, rows: Tensor, position: int) -> tuple[Tensor, Tensor]:
    highest, token = log_probabilities.max(dim=1)
    return token, highest


def follow(
    step: StepFunction[S],
    state: S,
    choose: Choice,
    constraints: Constraints,
    settings: SearchSettings,
    rows_per_source: int = 1,
) -> list[Hypothesis]:
    """Return the hypothesis of each row when `choose` selects every token; `constraints` has an entry per row."""
    device = constraints.max_lengths.device
    count = len(constraints.max_lengths)
    if count == 0:
        return []
    penalties = length_penalties(settings.normalization, settings.length_penalty, constraints.longest, device)
    results: list[list[Hypothesis]] = [[] for _ in range(count)]
    rows = torch.arange(count, device=device)
    token = torch.full((count,), constraints.symbols.bos, device=device)
    total = torch.zeros(count, dtype=torch.float64, device=device)
    ids = torch.empty(count, 0, dtype=torch.int64, device=device)
    position = 0
    while True:
        log_probabilities, state = step(token, state)
        log_probabilities = constraints.apply(log_probabilities, ids)
        token, highest = choose(log_probabilities, rows, position)
        broken = is_broken(highest)
        total = total + log_probabilities.gather(1, token.unsqueeze(1)).squeeze(1).double()
        done = (token == constraints.symbols.eos) | (total == -torch.inf)
        if bool((done | broken).any()):  # the only synchronisation with the device in a step
            raise_if_broken(broken, rows // rows_per_source, position)
            paid = total[done].unsqueeze(1)
            lengths = torch.full_like(paid, position, dtype=torch.int64)
            finished = FinishedHypotheses(paid / penalties[position], paid, lengths, ids[done].unsqueeze(1))
            finished.hand_over(rows[done].tolist(), results, rows_per_source)
            left = (~done).nonzero().squeeze(1)
            if len(left) == 0:
                break
            rows, token, total, ids = (part[left] for part in (rows, token, total, ids))
            constraints, state = constraints.select(left), state.select(left)
        ids = torch.cat([ids, token.unsqueeze(1)], dim=1)
        position += 1
    return [hypotheses[0] for hypotheses in results]
