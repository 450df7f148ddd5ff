"""The verdict as a Markdown page, which MLflow and Prefect render."""

from collections.abc import Sequence

from seqloom.gate.rules import Rule, Verdict


def markdown(title: str, verdict: Verdict, notes: Sequence[str] = ()) -> str:
    """Return a page with the verdict, the reason, a table of the rules, and notes that no rule uses."""
    result = "promoted" if verdict.promoted else "not promoted"
    lines = [f"# {title}: {result}", "", f"{verdict.reason}.", ""]
    if verdict.rules:
        lines += ["| rule | new version | champion | bound | |", "|---|---:|---:|---|---|"]
        lines += [_row(rule) for rule in verdict.rules]
        lines.append("")
    for note in notes:
        lines += [f"{note[0].upper()}{note[1:]}.", ""]
    return "\n".join(lines)


def _row(rule: Rule) -> str:
    champion = "" if rule.champion is None else f"{rule.champion:,.4g}"
    bound = rule.bound if rule.p is None else f"{rule.bound}; p = {rule.p:.4f}"
    return f"| {rule.name} | {rule.challenger:,.4g} | {champion} | {bound} | {'yes' if rule.ok else '**no**'} |"
