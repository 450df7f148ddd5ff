"""The rules of the gate, and the verdict. Each rule is a function of the measurements of both versions."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from seqloom.evaluation.settings import TITLES, EvaluateSettings
from seqloom.evaluation.significance import Difference, compare
from seqloom.gate.performance import Performance
from seqloom.gate.settings import GateSettings


class Rule(NamedTuple):
    """The result of one rule: what was compared, and whether the new version passes."""

    name: str
    ok: bool
    challenger: float
    champion: float | None
    bound: str  # the condition, in words
    p: float | None = None  # if a significance test was used


class Verdict(NamedTuple):
    """Whether a version becomes champion, the reason, and the result of every rule."""

    promoted: bool
    reason: str
    rules: tuple[Rule, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the verdict as plain data."""
        return {"promoted": self.promoted, "reason": self.reason, "rules": [rule._asdict() for rule in self.rules]}


def judge(
    challenger: Performance,
    champion: Performance,
    speed: Sequence[float],
    settings: GateSettings,
    evaluate: EvaluateSettings,
) -> Verdict:
    """Compare two versions by their measurements on one test set.

    The challenger passes if every rule does; one that is equal to the champion does not pass. `speed` holds the
    challenger's and the champion's segments per second.
    """
    leading = challenger.scores.leading
    metrics = list(dict.fromkeys((leading, "chrf")))
    found = compare(challenger.segments, champion.segments, metrics, evaluate)
    rules = (
        _leading(leading, found[leading], settings),
        *_chrf(found["chrf"], settings),
        *_placeholders(challenger, champion, settings),
        *_directions(challenger, champion, settings),
        *_buckets(challenger, champion, settings),
        empty_rule(challenger.segments.hypotheses, settings),
        *_costs(challenger, champion, speed, settings),
    )
    failed = [rule for rule in rules if not rule.ok]
    reason = "; ".join(map(explain_rule, failed or rules[:1]))
    return Verdict(not failed, reason, rules)


def explain_rule(rule: Rule) -> str:
    """Return a rule in a few words: the measurements of both versions, and the bound."""
    against = "" if rule.champion is None else f" against {rule.champion:.4g}"
    sure = "" if rule.p is None else f", p = {rule.p:.3f}"
    return f"{rule.name} {rule.challenger:.4g}{against}{sure} ({'' if rule.ok else 'required: '}{rule.bound})"


def empty_rule(hypotheses: Sequence[str], settings: GateSettings) -> Rule:
    """Return the rule that limits the share of segments with an empty translation."""
    share = sum(not text.strip() for text in hypotheses) / len(hypotheses)
    return Rule("empty share", share <= settings.max_empty, share, None, f"at most {settings.max_empty:g}")


def export_rule(metric: str, exported: float, torch: float, p: float | None, settings: GateSettings) -> Rule:
    """Return the rule that limits what the new version's export may lose to the new version on torch.

    A larger loss is refused only if it is significant; otherwise the bound says so. `p` is its significance, or None
    if the loss is within the limit, `settings.max_export_drop`, which must be set.
    """
    most, name = settings.max_export_drop, f"{TITLES[metric]} of the export"
    bound = f"at most {most:g} below {torch:.4g} of torch"
    if p is None or p < settings.p:
        return Rule(name, p is None, exported, None, bound, p)
    return Rule(name, True, exported, None, f"not {bound}, but the loss is not significant", p)


def _leading(name: str, found: Difference, settings: GateSettings) -> Rule:
    better = found.gain > 0 and found.p < settings.p
    return Rule(TITLES[name], better, found.ours, found.theirs, f"better at p < {settings.p:g}", found.p)


def _chrf(found: Difference, settings: GateSettings) -> Iterator[Rule]:
    if (most := settings.max_chrf_drop) is not None:
        yield _no_drop(TITLES["chrf"], found.ours, found.theirs, most)


def _placeholders(challenger: Performance, champion: Performance, settings: GateSettings) -> Iterator[Rule]:
    kept = [each.scores.placeholders for each in (challenger, champion)]
    ours, theirs = (None if each is None else each.accuracy for each in kept)
    if (most := settings.max_placeholder_drop) is not None and ours is not None and theirs is not None:
        yield _no_drop("placeholder accuracy", ours, theirs, most)


def _directions(challenger: Performance, champion: Performance, settings: GateSettings) -> Iterator[Rule]:
    ours, theirs = challenger.scores.directions, champion.scores.directions
    if (most := settings.max_direction_drop) is not None and len(ours) > 1:
        leading = challenger.scores.leading
        for direction, each in ours.items():
            name = f"{TITLES[leading]} of {direction}"
            yield _no_drop(name, each.scores[leading].score, theirs[direction].scores[leading].score, most)


def _buckets(challenger: Performance, champion: Performance, settings: GateSettings) -> Iterator[Rule]:
    if (most := settings.max_bucket_drop) is None:
        return
    leading = challenger.scores.leading
    for ours, theirs in zip(challenger.scores.by_length, champion.scores.by_length, strict=True):
        if ours.segments >= settings.min_bucket_segments:
            name = f"{TITLES[leading]} of {ours.words} words"
            yield _no_drop(name, ours.scores[leading], theirs.scores[leading], most)


def _costs(
    challenger: Performance, champion: Performance, speed: Sequence[float], settings: GateSettings
) -> Iterator[Rule]:
    if (most := settings.max_slowdown) is not None:
        ours, theirs = speed
        yield Rule("segments/s", ours * most >= theirs, ours, theirs, f"at most {most:g} times slower")
    if (most := settings.max_growth) is not None:
        sizes = challenger.size / 1e6, champion.size / 1e6
        yield Rule("MB", sizes[0] <= most * sizes[1], *sizes, f"at most {most:g} times larger")


def _no_drop(name: str, ours: float, theirs: float, most: float) -> Rule:
    bound = f"falls by at most {most:g}" if most else "not worse"
    return Rule(name, ours >= theirs - most, ours, theirs, bound)
