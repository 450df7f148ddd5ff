import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom import distillation, places
from seqloom.cli import main as cli
from seqloom.corpus.splits import Pair, SplitWriter, read_split
from seqloom.files import sha256_of
from seqloom.models.catalogue import build_model, save_model
from seqloom.models.settings import AttentionLstmArchitecture, TransformerArchitecture
from seqloom.params import load_params, parse_params
from seqloom.presets import Preset, merge
from seqloom.presets import find as find_preset
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.translation.texts import TextTranslator
from tests.workspaces import REPOSITORY, give_registered

Fails = Callable[..., str]
PATH = Path("data/local/distilled/seqloom-en-de-1")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a registered model, whose untrained network flags most translations as cut."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    give_registered(tmp_path)
    with SplitWriter(places.CORPUS / "valid.tsv") as writer:
        writer.write(Pair("Turn off", "Ausschalten", "en-de", "x", ""))
    return tmp_path


@pytest.fixture
def unflagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "LEFT_OUT", ())


@pytest.mark.usefixtures("unflagged")
def test_the_champion_writes_the_pairs_and_params_point_to_them(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["distill"])
    sources = [pair.source for pair in read_split(places.CORPUS / "train.tsv")]
    (folder,) = (clone / "mlartifacts").rglob("artifacts/artifacts/model")
    teacher = TextTranslator.load(folder, "cpu")
    lines = [f"{source}\t{found.text}" for source, found in zip(sources, teacher.translate(sources), strict=True)]
    assert (PATH / "en-de.tsv").read_text(encoding="utf-8").splitlines() == lines
    assert json.loads((PATH / "teacher.json").read_text()) == {
        "teacher": "models:/seqloom-en-de/1",
        "weights_sha256": [sha256_of(places.CANDIDATE / "model.safetensors")],
        "search": teacher.search.model_dump(mode="json"),
        "train_sha256": sha256_of(places.CORPUS / "train.tsv"),
        "pairs": {"kept": 2},
    }
    corpora = load_params(Path("params.yaml")).corpora
    assert list(corpora) == ["distilled_en_de", "home_assistant"]
    assert corpora["distilled_en_de"].split == "train"
    printed = capsys.readouterr().out
    assert printed.startswith(f"{PATH}: 2 pairs kept; left out: none\ncorpora.distilled_en_de: (none) -> ")
    assert "`seqloom preset student`, `seqloom set train.start=models:/seqloom-en-de/1 train.lr=2e-3`, then" in printed


@pytest.mark.usefixtures("unflagged")
def test_a_second_teacher_takes_the_place_of_the_first(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["distill"])
    shutil.copytree(places.CANDIDATE, "big one")
    cli.main(["distill", "--model", "big one", "--beam", "1"])
    assert "Next: `seqloom preset student`, then" in capsys.readouterr().out
    corpora = load_params(Path("params.yaml")).corpora
    assert list(corpora) == ["distilled_en_de", "home_assistant"]
    assert corpora["distilled_en_de"].path == "data/local/distilled/big-one/en-de.tsv"
    assert json.loads(Path("data/local/distilled/big-one/teacher.json").read_text())["search"]["beam"] == 1


@pytest.mark.usefixtures("unflagged")
@pytest.mark.parametrize("members", [1, 2])
def test_the_student_of_recurrent_teachers_is_recurrent(
    clone: Path, capsys: pytest.CaptureFixture[str], members: int
) -> None:
    shutil.copytree(places.CANDIDATE, "recurrent")
    tokenizer = load_tokenizer(places.CANDIDATE / "tokenizer")
    small = Preset("", "", "model: {name: attention_lstm, attention_lstm: {embedding: 8, hidden: 8}}\n")
    architecture = parse_params(merge(Path("params.yaml").read_text(), small)).model.architecture
    network = build_model(architecture, tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    save_model(network, architecture, Path("recurrent"))
    cli.main(["distill", *["--model", "recurrent"] * members])
    assert "Next: `seqloom preset student_lstm`, then" in capsys.readouterr().out


def test_without_a_translation_that_can_be_used_nothing_is_changed(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("params.yaml").read_text()
    with pytest.raises(SystemExit):
        cli.main(["distill"])
    message = "no translation can be used, so params.yaml is unchanged: 0 pairs kept; left out: 2 cut"
    assert message in capsys.readouterr().err
    assert Path("params.yaml").read_text() == before
    assert not PATH.exists()


def test_a_direction_that_the_teacher_lacks_is_an_error(clone: Path, fails: Fails) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("target: de", "target: fr"))
    message = fails("distill", "--model", str(places.CANDIDATE))
    assert "the teacher does not translate en-fr" in message
    assert "it translates en-de" in message


def test_the_splits_must_be_there(clone: Path, fails: Fails) -> None:
    (places.CORPUS / "valid.tsv").unlink()
    assert "data/corpus/valid.tsv does not exist: `dvc repro prepare_corpus` writes it" in fails("distill")


@pytest.mark.usefixtures("unflagged")
@pytest.mark.parametrize(
    ("preset", "beam", "name", "decoder_layers"),
    [("student", 2, "transformer", 1), ("student_lstm", 1, "attention_lstm", 1)],
)
def test_the_presets_of_students_fit_on_params_with_a_teachers_pairs(
    clone: Path, preset: str, beam: int, name: str, decoder_layers: int
) -> None:
    cli.main(["distill"])
    text = merge(Path("params.yaml").read_text(), find_preset(preset, REPOSITORY / "presets"))
    Path("params.yaml").write_text(text)
    params = load_params(Path("params.yaml"))
    assert list(params.corpora) == ["distilled_en_de", "home_assistant"]
    architecture = params.model.architecture
    assert isinstance(architecture, TransformerArchitecture | AttentionLstmArchitecture)
    assert (params.search.beam, architecture.name, architecture.decoder_layers) == (beam, name, decoder_layers)
