"""Beam search over a step function: sources as rows of ids in, scored ids out.

The search keeps K live hypotheses per source. Each step ranks all their continuations together. A continuation that
ends with EOS and is among the K best is finished; the K best of the others stay live. So finished hypotheses never
displace live ones, and which hypotheses are live does not depend on the finished ones.

Scores. log_probability is the sum of the model's own log-probabilities, including EOS; nothing is renormalised. The
score divides it by the penalty of its length (`length_penalty`). `constraints` restricts the next token: a hypothesis
at its source's maximal length can only end, and its score includes the model's log-probability of EOS there.

Termination is exact. Log-probabilities are at most 0 and the penalty does not decrease with the length, so a live
hypothesis with log-probability L cannot finish above L / penalty(maximal length); constraints only remove
continuations. A source is done, and leaves the batch, when its n-th best finished hypothesis scores at least as high as
that bound for its best live one: continuing could not change the result. With `early_stopping`, a source is done when K
finished hypotheses score at least as high as its best live one would if it ended with the next token; hypotheses that
would win only by growing longer are lost.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from seqloom.decoding.constraints import Constraints
from seqloom.decoding.greedy import greedy_search
from seqloom.decoding.hypotheses import FinishedHypotheses, Hypothesis
from seqloom.decoding.length_penalty import length_penalties
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.step import S, StepFunction, is_broken, raise_if_broken
from seqloom.decoding.topk import Ranked, top_continuations


@torch.inference_mode()
def beam_search(
    step: StepFunction[S],
    state: S,
    constraints: Constraints,
    settings: SearchSettings,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """Return the `n_best` hypotheses of each source of `constraints`, best first; fewer if fewer are possible.

    `state` has one row per source, before the first token. A beam of 1 is `greedy_search`.

    Raises:
        EvaluationError: the step function returned NaN or a positive number, or all hypotheses of a source have
            probability 0.
        ValueError: `n_best` is larger than the beam.
    """
    beam = settings.beam
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best is {n_best}; a beam of {beam} gives 1 to {beam} hypotheses")
    if beam == 1:
        return [[hypothesis] for hypothesis in greedy_search(step, state, constraints, settings)]
    rows, device, eos = len(constraints.max_lengths), constraints.max_lengths.device, constraints.symbols.eos
    results: list[list[Hypothesis]] = [[] for _ in range(rows)]
    if rows == 0:
        return results

    longest = constraints.longest
    penalties = length_penalties(settings.normalization, settings.length_penalty, longest, device)
    bounds = penalties[constraints.max_lengths]  # (A,)
    sources = torch.arange(rows, device=device)  # (A,): the original index of each active source
    token = torch.full((rows,), constraints.symbols.bos, device=device)
    live = torch.zeros(rows, 1, dtype=torch.float64, device=device)  # (A, K) log-probabilities; one at first
    ids = torch.empty(rows, 1, 0, dtype=torch.int64, device=device)  # (A, K, t)
    kept = beam if settings.early_stopping else n_best
    nothing = torch.full((rows, kept), -torch.inf, dtype=torch.float64, device=device)
    finished = FinishedHypotheses(
        nothing, nothing, torch.zeros_like(nothing, dtype=torch.int64), ids.new_zeros(rows, kept, longest)
    )
    for position in range(longest + 1):
        active, width = live.shape
        log_probabilities, state = step(token, state)
        log_probabilities = constraints.apply(log_probabilities, ids.flatten(0, 1))
        vocabulary = log_probabilities.shape[1]
        # (A, 2K): at most one continuation of each hypothesis ends, so at least K can stay live.
        ranked = top_continuations(log_probabilities.view(active, width, vocabulary), 2 * beam, live)
        broken = is_broken(ranked.highest).any(dim=1)
        best, where = _padded(ranked, 2 * beam)
        parents, chosen = where // vocabulary, where % vocabulary

        ends = chosen == eos
        ended = best[:, :beam].masked_fill(~ends[:, :beam], -torch.inf)
        history = ids.gather(1, parents.unsqueeze(-1).expand(-1, -1, position))  # (A, 2K, t)
        finished = finished.add(ended / penalties[position], ended, history[:, :beam])

        lives = ends.to(torch.uint8).sort(dim=1, stable=True).indices[:, :beam]  # those that do not end, in rank order
        live = best.masked_fill(ends, -torch.inf).gather(1, lives)
        reach = penalties[min(position + 1, longest)] if settings.early_stopping else bounds
        done = finished.scores[:, -1] >= live[:, 0] / reach
        rows_left = torch.arange(active, device=device)
        if bool((done | broken).any()):  # the only synchronisation with the device in a step
            raise_if_broken(broken, sources, position)
            finished.select(done.nonzero().squeeze(1)).hand_over(sources[done].tolist(), results)
            rows_left = (~done).nonzero().squeeze(1)
            if len(rows_left) == 0:
                break
            sources, bounds, constraints = sources[rows_left], bounds[rows_left], constraints.select(rows_left)
            finished, live, lives = finished.select(rows_left), live[rows_left], lives[rows_left]
            parents, chosen, history = parents[rows_left], chosen[rows_left], history[rows_left]
        token = chosen.gather(1, lives)
        ids = torch.cat([history.gather(1, lives.unsqueeze(-1).expand(-1, -1, position)), token.unsqueeze(-1)], dim=2)
        state = state.select(rows_left.unsqueeze(1) * width + parents.gather(1, lives))
        token = token.flatten()
    return [hypotheses[:n_best] for hypotheses in results]


def _padded(ranked: Ranked, count: int) -> tuple[Tensor, Tensor]:
    """Return `count` sums and their indices, padded with -inf if there are fewer continuations."""
    lacking = (0, count - ranked.sums.shape[1])
    return F.pad(ranked.sums, lacking, value=-torch.inf), F.pad(ranked.where, lacking)
