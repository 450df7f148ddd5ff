"""translate_corpus and prepare_corpus together: synthetic pairs enter training only, and only if nothing leaks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from seqloom.corpus.splits import read_split
from seqloom.params import Params, load_params
from seqloom.places import CORPUS, RAW, SYNTHETIC
from seqloom.progress import ignore
from seqloom.stages import prepare_corpus, translate_corpus
from seqloom.synthesis.translating import TranslateTexts
from tests.stages.toy_training import change_params

TAG = "\u21c4"
SEARCH = {"method": "beam", "beam": 1, "length_penalty": 1.0, "max_length_ratio": 1.0, "max_length_extra": 2}


@pytest.fixture
def project(trained_project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a model that writes words backwards, and a corpus of such pairs that is not prepared."""
    shutil.copytree("models/candidate", "data/local/model")
    rows = [f"{a}{b} {b}{c} {c}{a}\t{a}{c} {c}{b} {b}{a}" for a in "abcd" for b in "efgh" for c in "abef"]
    (RAW / "mine").mkdir(parents=True)
    (RAW / "mine" / "p.tsv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(TranslateTexts, "_fault", lambda step, result: "")  # the model hardly learnt anything
    monkeypatch.setenv("SEQLOOM_WORKERS", "1")
    return trained_project


def params(**made: object) -> Params:
    change_params(sections={"prepare": {"split": {"by": "pair", "valid": 0.2, "test": 0.2}, "max_leakage": 1.0}})
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["corpora"] = {"mine": {"kind": "file", "path": "data/local/p.tsv", "format": "tsv"}}
    content["translate_corpus"] = {"made": {"corpus": "mine", "model": "data/local/model", "search": SEARCH} | made}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return load_params()


def test_switched_off_it_writes_an_empty_folder_without_torch(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "params.yaml", tmp_path)
    script = (
        "import sys\n"
        "from seqloom.params import load_params; from seqloom.stages import score_corpus, translate_corpus\n"
        "for stage in (translate_corpus, score_corpus): stage.run(load_params(), None)\n"
        "assert not {'torch', 'mlflow', 'sacrebleu'} & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    for name in ("data/synthetic", "data/scores", "reports/scores"):
        assert list((tmp_path / name).iterdir()) == []


def test_synthetic_pairs_are_further_pairs_of_training(project: Path) -> None:
    given = params(tag=TAG)
    prepare_corpus.run(given, ignore)
    before = {name: list(read_split(CORPUS / f"{name}.tsv")) for name in ("train", "valid", "test")}
    translate_corpus.run(given, ignore)
    assert {path.name for path in SYNTHETIC.iterdir()} == {"made.tsv", "made.json"}
    prepare_corpus.run(given, ignore)
    after = {name: list(read_split(CORPUS / f"{name}.tsv")) for name in before}
    assert (after["valid"], after["test"]) == (before["valid"], before["test"])
    made = [pair for pair in after["train"] if pair.corpus == "made"]
    assert [pair for pair in after["train"] if pair.corpus == "mine"] == before["train"]
    assert all(pair.source.startswith(f"{TAG} ") for pair in made)


def test_a_synthetic_pair_with_a_text_of_valid_or_test_is_dropped(project: Path) -> None:
    given = params()
    prepare_corpus.run(given, ignore)
    train, valid, test = (list(read_split(CORPUS / f"{name}.tsv")) for name in ("train", "valid", "test"))
    SYNTHETIC.mkdir()
    pairs = [(valid[0].source, "ein neuer Satz"), ("a new text", test[0].target), ("another new text", "noch ein Satz")]
    (SYNTHETIC / "made.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    record = '{"direction": {"source": "en", "target": "de"}, "noise": {"permute": 3}, "tag": "' + TAG + '"}'
    (SYNTHETIC / "made.json").write_text(record)
    prepare_corpus.run(given, ignore)
    assert [pair for pair in read_split(CORPUS / "train.tsv") if pair.corpus == "mine"] == train
    assert list(read_split(CORPUS / "valid.tsv")) == valid
    assert list(read_split(CORPUS / "test.tsv")) == test
    (made,) = [pair for pair in read_split(CORPUS / "train.tsv") if pair.corpus == "made"]
    assert made.target == "noch ein Satz"
    assert made.source.split()[0] == TAG
    assert sorted(made.source.split()[1:]) == ["another", "new", "text"]
