from seqloom.gate.report import markdown
from seqloom.gate.rules import Rule, Verdict


def test_the_page_shows_the_verdict_and_every_rule() -> None:
    rules = (
        Rule("BLEU", True, 31.257, 30.0, "better at p < 0.05", 0.01234),
        Rule("empty share", False, 0.5, None, "at most 0.1"),
    )
    assert markdown("ours version 2", Verdict(False, "it is empty", rules)).split("\n") == [
        "# ours version 2: not promoted",
        "",
        "it is empty.",
        "",
        "| rule | new version | champion | bound | |",
        "|---|---:|---:|---|---|",
        "| BLEU | 31.26 | 30 | better at p < 0.05; p = 0.0123 | yes |",
        "| empty share | 0.5 |  | at most 0.1 | **no** |",
        "",
    ]


def test_a_verdict_without_rules_has_no_table() -> None:
    assert markdown("ours", Verdict(True, "the first", ())) == "# ours: promoted\n\nthe first.\n"
