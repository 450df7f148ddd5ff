"""Beam search over a step function. It knows no model, no tokenizer and no text: rows of ids in, scored ids out.

The search keeps K live hypotheses per source. Each step ranks all their continuations together. A continuation that
ends (EOS) and stands among the K best is finished; the K best of the others live on. So finished hypotheses never crowd
out live ones, and which hypotheses live does not depend on which are finished.

Scores. log_probability is the sum of the model's own log-probabilities, EOS included; nothing is renormalised. The
score divides it by the length penalty of Wu et al. 2016 (arXiv 1609.08144, equation 14), ((5 + |Y|) / 6) ** alpha,
where |Y| counts the ids and the EOS. PAD and BOS are never emitted. A hypothesis that reaches its source's maximal
length can only end, and pays what the model gives to EOS there: each score is the true score of its ids.

Termination is exact. Log-probabilities are at most 0 and the penalty grows with the length, so no live hypothesis of
log-probability L can end above L / penalty(maximal length). A source is done once its n-th best finished hypothesis
scores at least as high as that bound for its best live one, and leaves the batch; going on could not change its result.
"""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from seqloom.decoding.finished import Finished, Hypothesis
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import EvaluationError
from seqloom.tokenization.tokenizer import BOS, EOS, PAD

_ROUNDING = 1e-3  # how far above 0 a log-probability may lie through rounding


class SearchState(Protocol):
    """What a step function remembers; a row per hypothesis."""

    def select(self, rows: Tensor) -> Self:
        """Return the state of the given rows (int64, repeats allowed), in that order."""


S = TypeVar("S", bound=SearchState)
StepFunction = Callable[[Tensor, S], tuple[Tensor, S]]
"""Reads one token per row, (rows,) int64; returns the log-probabilities of the next, (rows, V), and the new state."""


def length_penalty(lengths: Tensor, alpha: float) -> Tensor:
    """((5 + |Y|) / 6) ** alpha in float64 for `lengths` |Y|, EOS included (Wu et al. 2016, equation 14)."""
    return ((5.0 + lengths.double()) / 6.0) ** alpha


@torch.inference_mode()
def beam_search(
    step: StepFunction[S],
    state: S,
    *,
    rows: int,
    max_lengths: Tensor,
    settings: SearchSettings,
    bos: int = BOS,
    eos: int = EOS,
    pad: int = PAD,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """Return the `n_best` hypotheses of each of `rows` sources, best first; fewer where fewer can end.

    `state` has a row per source, before the first token; `max_lengths` (rows,) int64 is the most ids a hypothesis of
    each source may have, EOS not counted. A beam of 1 is `greedy_search`.

    Raises:
        EvaluationError: the step function gave NaN or a positive number, or no hypothesis of a source any probability.
        ValueError: `n_best` is above the beam.
    """
    beam, alpha = settings.beam, settings.length_penalty
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best is {n_best}; a beam of {beam} gives 1 to {beam} hypotheses")
    if beam == 1:
        same = {"rows": rows, "bos": bos, "eos": eos, "pad": pad}
        found = greedy_search(step, state, max_lengths=max_lengths, settings=settings, **same)
        return [[hypothesis] for hypothesis in found]
    results: list[list[Hypothesis]] = [[] for _ in range(rows)]
    if rows == 0:
        return results

    device = max_lengths.device
    sources = torch.arange(rows, device=device)  # (A,): which source each active one is
    limits = max_lengths
    bounds = length_penalty(limits + 1, alpha)
    token = torch.full((rows,), bos, device=device)
    live = torch.zeros(rows, 1, dtype=torch.float64, device=device)  # (A, K) log-probabilities; one hypothesis at first
    ids = torch.empty(rows, 1, 0, dtype=torch.int64, device=device)  # (A, K, t)
    nothing = torch.full((rows, n_best), -torch.inf, dtype=torch.float64, device=device)
    longest = int(max_lengths.max())
    finished = Finished(
        nothing, nothing, torch.zeros_like(nothing, dtype=torch.int64), ids.new_zeros(rows, n_best, longest)
    )
    for position in range(longest + 1):
        active, width = live.shape
        log_probabilities, state = step(token, state)
        values, tokens = _continuations(
            log_probabilities, beam + 1, (limits <= position).repeat_interleave(width), bos=bos, eos=eos, pad=pad
        )
        broken = ~(values[:, :1] <= _ROUNDING).view(active, width).all(dim=1)  # NaN sorts first and compares false
        count = values.shape[1]
        totals = (live.unsqueeze(-1) + values.view(active, width, count)).view(active, width * count)
        best, where = _top(totals, 2 * beam)  # (A, 2K): K of them at most end, so that K are left to live on
        parents = where // count
        chosen = tokens.view(active, width * count).gather(1, where)

        ends = chosen == eos
        ended = best[:, :beam].masked_fill(~ends[:, :beam], -torch.inf)
        history = ids.gather(1, parents.unsqueeze(-1).expand(-1, -1, position))  # (A, 2K, t)
        penalty = ((6.0 + position) / 6.0) ** alpha
        finished = finished.add(ended / penalty, ended, history[:, :beam])

        lives = ends.to(torch.uint8).sort(dim=1, stable=True).indices[:, :beam]  # those that do not end, still ranked
        live = best.masked_fill(ends, -torch.inf).gather(1, lives)
        done = finished.scores[:, -1] >= live[:, 0] / bounds
        rows_left = torch.arange(active, device=device)
        if bool((done | broken).any()):  # the one point of a step where the host waits for the device
            _refuse(broken, sources, position)
            _hand_over(finished.select(done.nonzero().squeeze(1)), sources[done].tolist(), results)
            rows_left = (~done).nonzero().squeeze(1)
            if len(rows_left) == 0:
                break
            sources, limits, bounds = sources[rows_left], limits[rows_left], bounds[rows_left]
            finished, live, lives = finished.select(rows_left), live[rows_left], lives[rows_left]
            parents, chosen, history = parents[rows_left], chosen[rows_left], history[rows_left]
        token = chosen.gather(1, lives)
        ids = torch.cat([history.gather(1, lives.unsqueeze(-1).expand(-1, -1, position)), token.unsqueeze(-1)], dim=2)
        state = state.select((rows_left.unsqueeze(1) * width + parents.gather(1, lives)).flatten())
        token = token.flatten()
    return results


@torch.inference_mode()
def greedy_search(
    step: StepFunction[S],
    state: S,
    *,
    rows: int,
    max_lengths: Tensor,
    settings: SearchSettings,
    bos: int = BOS,
    eos: int = EOS,
    pad: int = PAD,
) -> list[Hypothesis]:
    """Return for each of `rows` sources the hypothesis that takes the likeliest token at every step.

    The arguments, the scores and the errors are those of `beam_search`, of which only the penalty's alpha is used.
    """
    results: list[list[Hypothesis]] = [[] for _ in range(rows)]
    device = max_lengths.device
    sources, limits = torch.arange(rows, device=device), max_lengths
    token = torch.full((rows,), bos, device=device)
    total = torch.zeros(rows, dtype=torch.float64, device=device)
    ids = torch.empty(rows, 0, dtype=torch.int64, device=device)
    position = 0
    while len(sources):
        log_probabilities, state = step(token, state)
        values, tokens = _continuations(log_probabilities, 1, limits <= position, bos=bos, eos=eos, pad=pad)
        broken = ~(values[:, 0] <= _ROUNDING)
        total, token = total + values[:, 0], tokens[:, 0]
        done = (token == eos) | (total == -torch.inf)
        if bool((done | broken).any()):
            _refuse(broken, sources, position)
            paid = total[done].unsqueeze(1)
            scores = paid / ((6.0 + position) / 6.0) ** settings.length_penalty
            lengths = torch.full_like(scores, position, dtype=torch.int64)
            _hand_over(Finished(scores, paid, lengths, ids[done].unsqueeze(1)), sources[done].tolist(), results)
            left = (~done).nonzero().squeeze(1)
            sources, limits, token, total, ids = (part[left] for part in (sources, limits, token, total, ids))
            state = state.select(left)
        ids = torch.cat([ids, token.unsqueeze(1)], dim=1)
        position += 1
    return [hypotheses[0] for hypotheses in results]


def _continuations(
    log_probabilities: Tensor, count: int, at_limit: Tensor, *, bos: int, eos: int, pad: int
) -> tuple[Tensor, Tensor]:
    """The `count` best continuations of each row, best first, as values (rows, n) float64 and tokens (rows, n).

    PAD and BOS are left out; a row at its limit (rows,) can only end. Where a row has fewer, the rest are -inf.
    `count` = beam + 1 loses nothing: of one row at most `beam` tokens can live on, and one, EOS, ends.
    """
    vocabulary = log_probabilities.shape[1]
    values, tokens = _top(log_probabilities, min(count + 2, vocabulary))  # 2 more than needed: PAD and BOS go
    values = values.double()
    banned = (tokens == pad) | (tokens == bos)
    values = values.masked_fill(banned | at_limit.unsqueeze(1), -torch.inf)
    values[:, 0] = torch.where(at_limit, log_probabilities[:, eos].double(), values[:, 0])
    tokens[:, 0] = torch.where(at_limit, eos, tokens[:, 0])
    values, order = values.sort(dim=1, descending=True, stable=True)
    return values[:, :count], tokens.gather(1, order[:, :count])


def _top(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of each row, largest first, padded with -inf where a row has fewer; and where they stand."""
    best, where = values.topk(min(count, values.shape[1]), dim=1)
    lacking = (0, count - best.shape[1])
    return torch.nn.functional.pad(best, lacking, value=-torch.inf), torch.nn.functional.pad(where, lacking)


def _refuse(broken: Tensor, sources: Tensor, position: int) -> None:
    """Stop if a source is `broken` (A,)."""
    if bool(broken.any()):
        source = int(sources[broken][0])
        raise EvaluationError(
            f"source {source} of the batch: the model gave no probabilities (NaN or above 1) for target token "
            f"{position + 1}; its weights are broken or its training diverged"
        )


def _hand_over(finished: Finished, sources: list[int], results: list[list[Hypothesis]]) -> None:
    """Write what is finished into the results of its sources."""
    for source, hypotheses in zip(sources, finished.hypotheses(), strict=True):
        if not hypotheses:
            raise EvaluationError(f"source {source} of the batch: the model gives every possible target probability 0")
        results[source] = hypotheses
