"""docs/EXPERIMENTS.md: DVC accepts all of its commands, and their output fits into 80 columns."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from dvc.cli import parse_args

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "EXPERIMENTS.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Return the DVC commands in the page's blocks and sentences, without prompt, path and comment."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", PAGE, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`(\.venv/bin/dvc [^`]*)`", PAGE)
    typed = [line.removeprefix("$ ") for line in lines] + inline
    found = [match[1] for line in typed if (match := re.match(r"(?:\.venv/bin/)?dvc (.*)", line))]
    return list(dict.fromkeys(found))


def test_the_page_has_commands() -> None:
    assert len(commands()) > 15


@pytest.mark.parametrize("command", commands())
def test_dvc_accepts_the_command(command: str) -> None:
    words = shlex.split(command, comments=True)
    assert parse_args(words).func


def test_outputs_fit_a_terminal() -> None:
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        assert max(map(len, block.splitlines())) <= 80


def templates() -> list[str]:
    """Return the templates of the plots in dvc.yaml, including those of stages."""
    dag = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    listed = dag["plots"] + [plot for stage in dag["stages"].values() for plot in stage.get("plots", [])]
    return [settings["template"] for plot in listed for settings in plot.values()]


def test_plots_are_drawn_by_templates_of_ours() -> None:
    # DVC's own templates draw an empty cell as 0, and sort "11-20" before "6-10".
    assert set(templates()) == {"curve", "bars"}
    curve, bars = (json.loads((ROOT / ".dvc/plots" / f"{name}.json").read_text("utf-8")) for name in ("curve", "bars"))
    assert curve["transform"] == [{"filter": {"not": {"field": "<DVC_METRIC_Y>", "equal": ""}}}]
    assert bars["encoding"]["y"]["sort"] is None
