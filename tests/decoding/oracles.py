"""Reference implementations of constraints, scores and searches on plain lists, sharing no code with the package."""

from typing import Any, NamedTuple

import torch

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.greedy import greedy_search
from seqloom.decoding.hypotheses import Hypothesis
from seqloom.decoding.required_slots import RequiredSlots
from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization.tokenizer import NonTextIds
from tests.records import search_settings

PAD, UNK, BOS, EOS = SPECIAL_IDS


class Rules(NamedTuple):
    """The constraints on the target of one source."""

    limit: int
    minimum: int = 0
    ngram: int = 0
    prefix: tuple[int, ...] = ()
    slots: tuple[tuple[int, int], ...] = ()  # the count of each, and the slot that closes it if it opens a tag, else -1


FIRST_SLOT = 4  # the id of slot 0


def owed(ids: tuple[int, ...], slots: tuple[tuple[int, int], ...]) -> tuple[int, list[int]]:
    """Return how many slots are missing, and the ids of those that may come next."""
    left = {FIRST_SLOT + slot: count - ids.count(FIRST_SLOT + slot) for slot, (count, _) in enumerate(slots)}
    closer = {FIRST_SLOT + slot: FIRST_SLOT + closes for slot, (_, closes) in enumerate(slots) if closes >= 0}
    stack: list[int] = []
    sound = True
    for token in ids:
        if token in closer:
            stack.append(closer[token])
        elif token in closer.values():
            sound = sound and bool(stack) and stack.pop() == token
    missing = [slot for slot, count in left.items() if count > 0]
    fitting = [slot for slot in missing if slot not in closer.values() or stack[-1:] == [slot]]
    assert sound, "no test uses a prefix that breaks pairs"
    return sum(left[slot] for slot in missing), fitting or missing


def repeats(ids: tuple[int, ...], token: int, ngram: int) -> bool:
    """Return whether `token` after `ids` completes an n-gram that occurred before."""
    grown = (*ids, token)
    grams = [grown[i : i + ngram] for i in range(len(grown) - ngram + 1)]
    return ngram > 0 and grams[-1:] != [] and grams[-1] in grams[:-1]


def continuations(row: list[float], ids: tuple[int, ...], rules: Rules) -> dict[int, float]:
    """Return the allowed next tokens and their log-probabilities."""
    if len(ids) < len(rules.prefix):
        allowed = [rules.prefix[len(ids)]]
    elif len(ids) >= rules.limit:
        allowed = [EOS]
    else:
        slots = range(FIRST_SLOT, FIRST_SLOT + len(rules.slots))
        never = (PAD, BOS, EOS, *slots)
        allowed = [t for t in range(len(row)) if t not in never and not repeats(ids, t, rules.ngram)]
        if len(ids) >= rules.minimum or not allowed:
            allowed.append(EOS)
        missing, fitting = owed(ids, rules.slots)
        if missing:
            only = row[EOS] >= max(row) or rules.limit - len(ids) <= missing
            allowed = fitting if only else [t for t in allowed if t != EOS] + fitting
    return {token: row[token] for token in allowed}


def scored(ids: tuple[int, ...], total: float, normalization: str, alpha: float) -> Hypothesis:
    """Return a finished hypothesis with log-probability `total`."""
    length = len(ids) + 1
    penalty = ((5 + length) / 6) ** alpha if normalization == "wu" else length**alpha
    return Hypothesis(list(ids), total / penalty, total)


def exhaustive(model: Any, source: int, rules: Rules, normalization: str, alpha: float) -> list[Hypothesis]:
    """Return every target that the rules allow, best first."""
    found = []
    open_: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    while open_:
        ids, total = open_.pop()
        row = model.log_probabilities(source, (BOS, *ids)).tolist()
        for token, value in continuations(row, ids, rules).items():
            if token == EOS:
                found.append(scored(ids, total + value, normalization, alpha))
            else:
                open_.append(((*ids, token), total + value))
    return sorted(found, key=lambda h: -h.score)


def textbook(
    model: Any, source: int, rules: Rules, beam: int, normalization: str, alpha: float, n_best: int, early: bool = False
) -> list[Hypothesis]:
    """Run beam search for one source on plain lists until no hypothesis is live.

    With `early`, stop when `beam` finished hypotheses are as good as the best live one would be if it ended now.
    """
    live: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    finished = []
    while live:
        grown = []
        for ids, total in live:
            row = model.log_probabilities(source, (BOS, *ids)).tolist()
            grown += [(ids, token, total + value) for token, value in continuations(row, ids, rules).items()]
        grown.sort(key=lambda g: -g[2])
        finished += [scored(ids, total, normalization, alpha) for ids, token, total in grown[:beam] if token == EOS]
        live = [((*ids, token), total) for ids, token, total in grown if token != EOS][:beam]
        best = sorted(finished, key=lambda h: -h.score)[:beam]
        if early and live and len(best) == beam and best[-1].score >= scored(*live[0], normalization, alpha).score:
            break
    return sorted(finished, key=lambda h: -h.score)[:n_best]


def likeliest(model: Any, source: int, rules: Rules, normalization: str, alpha: float) -> Hypothesis:
    """Return the target that takes the most likely token at every step."""
    ids: tuple[int, ...] = ()
    total = 0.0
    while True:
        row = model.log_probabilities(source, (BOS, *ids)).tolist()
        token, value = max(continuations(row, ids, rules).items(), key=lambda item: item[1])
        total += value
        if token == EOS:
            return scored(ids, total, normalization, alpha)
        ids = (*ids, token)


def log_probability(model: Any, source: int, ids: list[int]) -> float:
    """Return the log-probability of exactly these ids and EOS, by the chain rule."""
    sequence = [*ids, EOS]
    return sum(float(model.log_probabilities(source, (BOS, *sequence[:i]))[t]) for i, t in enumerate(sequence))


def constraints(rules: list[Rules]) -> Constraints:
    """Return the rules of a batch as `Constraints`; all must have the same n-gram size."""
    (ngram,) = {each.ngram for each in rules}
    return Constraints.build(
        SPECIAL_IDS,
        torch.tensor([each.limit for each in rules], dtype=torch.int64),
        min_lengths=torch.tensor([each.minimum for each in rules], dtype=torch.int64),
        prefixes=[each.prefix for each in rules],
        no_repeat_ngram=ngram,
    ).extended(
        NonTextIds(tuple(range(FIRST_SLOT, FIRST_SLOT + max(len(each.slots) for each in rules)))),
        [
            RequiredSlots(tuple(count for count, _ in each.slots), tuple(closes for _, closes in each.slots))
            for each in rules
        ],
    )


def run_beam(
    model: Any,
    sources: list[int],
    rules: list[Rules],
    beam: int,
    normalization: str = "wu",
    alpha: float = 1.0,
    n_best: int = 1,
    early: bool = False,
) -> list[list[Hypothesis]]:
    """Run `beam_search` on a table model."""
    settings = search_settings(beam=beam, normalization=normalization, length_penalty=alpha, early_stopping=early)
    return beam_search(model.step, model.start(sources), constraints(rules), settings, n_best)


def run_greedy(
    model: Any, sources: list[int], rules: list[Rules], normalization: str = "wu", alpha: float = 1.0
) -> list[Hypothesis]:
    """Run `greedy_search` on a table model."""
    settings = search_settings(beam=9, normalization=normalization, length_penalty=alpha)
    return greedy_search(model.step, model.start(sources), constraints(rules), settings)
