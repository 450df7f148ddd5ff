from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from seqloom.cli import main as cli
from seqloom.tracking.client.store import Store, connect, experiment_id
from tests.workspaces import give_store

REFERENCES = [f"das {word} ist hier im Haus" for word in ("Licht", "Fenster", "Wasser", "Dach", "Tor", "Bad") * 4]
PARAMS = {"task": "translation", "languages.source": "en", "languages.target": "pt-BR", "evaluate.bootstrap": "200"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_store(tmp_path)
    return connect(tmp_path, create=False)


def log(store: Store, name: str, hypotheses: Sequence[str], *, lr: str, **changes: str) -> str:
    run_id = str(store.client.create_run(experiment_id(store, "x"), run_name=name).info.run_id)
    for param, value in (PARAMS | {"train.lr": lr} | changes).items():
        store.client.log_param(run_id, param, value)
    rows = ["source\treference\thypothesis\tchrf"]
    for number, (reference, hypothesis) in enumerate(zip(REFERENCES, hypotheses, strict=False)):
        rows.append(f"text {number}\t{reference}\t{hypothesis}\t{100.0 if hypothesis == reference else number}")
    store.client.log_text(run_id, "\n".join(rows) + "\n", "report/hypotheses.tsv")
    return run_id


def test_significance_and_differences_are_printed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    poor = log(store, "poor <b>", ["das ist <b>nicht</b> hier"] * 24, lr="0.001")
    good = log(store, "good", REFERENCES, lr="0.002")
    cli.main(["compare", poor, good, "--html", "page.html", "--segments", "1"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["24", "segments", "poor", "<b>", "good"]
    bleu = next(line for line in printed if line.startswith("BLEU"))
    assert "100.00 (+" in bleu
    assert bleu.endswith("*)")
    assert [line.split() for line in printed if line.startswith("train.")] == [["train.lr", "0.001", "0.002"]]
    assert not [line for line in printed if line.startswith("languages.")]
    assert [line.split(maxsplit=1)[1] for line in printed if line.startswith("source")] == ["text 0"]
    html = Path("page.html").read_text(encoding="utf-8")
    assert "das ist &lt;b&gt;nicht&lt;/b&gt; hier" in html
    assert "poor &lt;b&gt;" in html
    assert '<dd lang="pt-BR" dir="auto">' in html
    assert html.count('<div class="segment">') == 24
    for reaching_out in ("<script", "src=", "href=", "url(", "@import", "<b>"):
        assert reaching_out not in html


def test_a_run_does_not_differ_from_itself(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    same = log(store, "same", ["das Licht ist hier", *REFERENCES[1:]], lr="1")
    cli.main(["compare", same, same, "--html", "page.html"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("24 segments")
    assert [line.partition(" ")[0] for line in lines[1:4]] == ["BLEU", "chrF", "TER"]
    assert all("(+0.00 [+0.00, +0.00], p 1.000)" in line for line in lines[1:4])
    assert lines[4:] == ["", "page.html"]
    assert "Every text is the same." in Path("page.html").read_text()


def test_runs_that_are_not_comparable_are_an_error(store: Store, fails: Callable[..., str]) -> None:
    first = log(store, "first", REFERENCES, lr="1")
    shorter = log(store, "shorter", REFERENCES[:9], lr="1")
    other = log(store, "other", REFERENCES, lr="1", task="summarization")
    bare = str(store.client.create_run(experiment_id(store, "x")).info.run_id)
    broken = log(store, "broken", REFERENCES, lr="1")
    store.client.log_text(broken, "source\ttext\na\tb\n", "report/hypotheses.tsv")
    for name, message in (
        (shorter, "another test set (9 segments) than"),
        (other, "is for summarization"),
        (bare, "has no report/hypotheses.tsv"),
        (broken, "cannot be read as a table"),
        ("ab" * 16, "is not a run"),
    ):
        assert message in fails("compare", first, name)


def test_a_single_run_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["compare", "one"])
    assert "at least two runs" in capsys.readouterr().err
