"""A verdict as a page for people, in Markdown: MLflow and Prefect show it as it is."""

from seqloom.gate.rules import Rule, Verdict


def markdown(title: str, verdict: Verdict) -> str:
    """The verdict, the reason, and a line for every rule."""
    said = "promoted" if verdict.promoted else "not promoted"
    lines = [f"# {title}: {said}", "", f"{verdict.reason}.", ""]
    if verdict.rules:
        lines += ["| rule | new version | champion | bound | |", "|---|---:|---:|---|---|"]
        lines += [_row(rule) for rule in verdict.rules]
        lines.append("")
    return "\n".join(lines)


def _row(rule: Rule) -> str:
    champion = "" if rule.champion is None else f"{rule.champion:,.4g}"
    bound = rule.bound if rule.p is None else f"{rule.bound}; p = {rule.p:.4f}"
    return f"| {rule.name} | {rule.challenger:,.4g} | {champion} | {bound} | {'yes' if rule.ok else '**no**'} |"
