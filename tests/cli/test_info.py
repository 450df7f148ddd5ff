import json
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.stages import places


def test_info_prints_a_table(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["info"])
    head, row, _, where = capsys.readouterr().out.splitlines()
    for title, cell in (
        ("version", "1"), ("aliases", "candidate, champion"), ("BLEU", "12.5 [11.5, 13.5]"),
        ("chrF", "40.0 [39.0, 41.0]"), ("TER", "70.0 [69.0, 71.0]"), ("pairs", "8"), ("data", "home_assistant"),
    ):  # fmt: skip
        assert row[head.index(title) :].startswith(cell)
    assert where.endswith("mlflow.db")


@pytest.mark.parametrize("model", [[], ["--model", "seqloom-en-de"], ["--model", "models:/seqloom-en-de@champion"]])
def test_info_prints_json(workspace: Path, capsys: pytest.CaptureFixture[str], model: list[str]) -> None:
    cli.main(["info", "--json", *model])
    (version,) = json.loads(capsys.readouterr().out)["versions"]
    registration = json.loads(places.REGISTRATION.read_text())
    assert version["fingerprint"] == registration["fingerprint"]
    assert (version["name"], version["version"]) == ("seqloom-en-de", "1")
    assert version["aliases"] == ["candidate", "champion"]
    assert version["bleu"] == {"score": 12.5, "low": 11.5, "high": 13.5}
    assert version["test_sha256"] == registration["test_sha256"]


def test_info_of_an_unknown_model_is_empty(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["info", "--model", "seqloom-en-fr"])
    assert capsys.readouterr().out.startswith("no version of seqloom-en-fr in ")
