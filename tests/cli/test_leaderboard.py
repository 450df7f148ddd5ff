import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom import places
from seqloom.cli import main as cli
from seqloom.tracking.client.store import Store, connect
from tests.scored_runs import GOOD, MODEL, POOR, REFERENCES, log_run, register
from tests.workspaces import give_store

ASKED = ("leaderboard", "--model", MODEL, "--experiment", "seqloom")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


def test_the_score_equals_that_of_the_evaluation(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["leaderboard", "--json"])
    found = json.loads(capsys.readouterr().out)
    evaluation = json.loads(places.EVALUATION_METRICS.read_text())
    (row,) = found["rows"]
    assert row["scores"]["bleu"] == evaluation["bleu"]
    assert (row["system"], row["champion"], row["rank"]) == ("seqloom-en-de/1", True, 1)
    assert found["test_sha256"] == evaluation["test_sha256"]
    assert row["segments_per_s"] > 0


def test_the_table_fits_into_80_columns(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        register(store, log_run(store, f"transformer-tiny en-de {number}aaaaaaa", POOR), champion=number == 2)
    log_run(store, "transformer-tiny en-de 12345678", GOOD)
    Path("other.txt").write_text("\n".join(REFERENCES) + "\n")
    cli.main([*ASKED, "--external", "a system with a long name=other.txt"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("seqloom-en-de, test set ")
    assert lines[2].split() == ["#", "system", "BLEU", "gain", "p", "seg/s", "MB", "train", "s"]
    assert [line.split("  ")[0] for line in lines[3:8]] == ["1", "2", "3", "3", "3"]
    assert lines[3].startswith("1  a syste…(external)  100.0 [100.0, 100.0]  ")
    assert lines[4].startswith("2  transfo…e 12345678  ")
    assert lines[5].startswith("3  version… @champion  ")
    assert lines[5].split()[-5:] == ["-", "-", "45.0", "3.5", "12"]
    assert "gain and p: compared with version 3 @champion; paired bootstrap, * is p < 0.05" in lines


def test_wide_shows_more_columns(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    log_run(store, "good", GOOD)
    cli.main([*ASKED, "--wide"])
    head, row = capsys.readouterr().out.splitlines()[2:4]
    for title in ("chrF", "TER", "params", "tokens/s", "GPU s", "Wh"):
        assert title in head
    for cell in ("872,320", "4,000", " 2.00", "cpu (2 threads)"):
        assert cell in row


def test_omitted_runs_are_mentioned(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    log_run(store, "good", GOOD)
    log_run(store, "other", GOOD)
    log_run(store, "small", GOOD[:9], references=REFERENCES[:9])
    old = "nrefs:1|bs:200|seed:1|case:mixed|eff:no|tok:intl|smooth:exp|version:2.0"
    log_run(store, "old", GOOD, signature=old)
    cli.main(list(ASKED))
    printed = capsys.readouterr().out
    assert "seqloom-en-de has no champion" in printed
    assert "not shown, other test sets (number of systems): " in printed
    assert "not ranked, because another metric" in printed
    assert old in printed


def test_the_html_page_is_written(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    log_run(store, "good", GOOD)
    cli.main([*ASKED, "--html", "board.html"])
    assert capsys.readouterr().out.endswith("\n\nboard.html\n")
    assert "<h1>Leaderboard: seqloom-en-de</h1>" in Path("board.html").read_text()


def test_an_external_system_is_kept_only_with_keep(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    register(store, log_run(store, "good", GOOD), champion=True)
    Path("other.txt").write_text("\n".join(POOR))
    cli.main([*ASKED, "--external", "other=other.txt"])
    assert "other (external)" in capsys.readouterr().out
    cli.main([*ASKED, "--json"])
    assert [row["system"] for row in json.loads(capsys.readouterr().out)["rows"]] == [f"{MODEL}/1"]
    cli.main([*ASKED, "--external", "other=other.txt", "--keep"])
    capsys.readouterr()
    cli.main([*ASKED, "--json"])
    assert [row["system"] for row in json.loads(capsys.readouterr().out)["rows"]] == [f"{MODEL}/1", "other"]


def test_nothing_to_rank_is_not_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    cli.main(list(ASKED))
    assert capsys.readouterr().out.startswith("nothing is registered yet")
    cli.main([*ASKED, "--json"])
    assert json.loads(capsys.readouterr().out) == {"rows": []}
    give_store(tmp_path)
    cli.main(list(ASKED))
    assert capsys.readouterr().out.startswith("no finished run with scores in experiment 'seqloom' of ")
    assert not places.LEADERBOARD.exists()
    (tmp_path / "other.txt").write_text("a\n")
    assert "nothing is on this leaderboard" in fails(*ASKED, "--external", "other=other.txt")


def test_errors_are_one_line(store: Store, fails: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    log_run(store, "good", GOOD)
    assert "must be NAME=FILE" in fails(*ASKED, "--external", "other")
    assert "cannot be read" in fails(*ASKED, "--external", "other=nowhere.txt")
    assert "is not a test set on this leaderboard" in fails(*ASKED, "--test", "zz")
    with pytest.raises(SystemExit, match="2"):
        cli.main([*ASKED, "--keep"])
    assert "--keep needs --external" in capsys.readouterr().err
