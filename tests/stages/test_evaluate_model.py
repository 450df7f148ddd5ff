"""The whole stage in a folder of its own, with a small untrained network."""

import csv
import json
from pathlib import Path

import pytest
import torch

from seqloom.corpus.splits import Pair, SplitWriter
from seqloom.decoding.translator import Translator
from seqloom.errors import EvaluationError, FormatError, ModelError
from seqloom.models.catalogue import build_model, load_model, save_model
from seqloom.params import load_params
from seqloom.progress import ignore
from seqloom.stages import places
from seqloom.stages.evaluate_model import run
from seqloom.tokenization.catalogue import train_tokenizer

PAIRS = [("the light is on", "das Licht ist an"), ("set {name}", "setze {name}"), ("off", "aus"), ("a<b", "a<b")] * 3
REPOSITORY = Path(__file__).parents[2]
OUTPUTS = (
    places.REPORT / "index.html", places.REPORT / "hypotheses.tsv", places.EVALUATION_METRICS, places.LENGTHS_PLOT
)  # fmt: skip


@pytest.fixture(scope="module")
def params():
    given = load_params(REPOSITORY / "params.yaml")
    small = {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}
    return given.model_copy(
        update={
            "model": given.model.model_copy(update={"tied_embeddings": "all", **small}),
            "train": given.train.model_copy(update={"device": "cpu"}),
            "tokenizer": given.tokenizer.model_copy(update={"name": "characters", "vocab_size": 64}),
            "search": given.search.model_copy(update={"beam": 2}),
            "evaluate": given.evaluate.model_copy(update={"bootstrap": 100}),
        }
    )


@pytest.fixture
def workplace(tmp_path, monkeypatch, params):
    """A repository in which everything before this stage has run."""
    monkeypatch.chdir(tmp_path)
    places.CORPUS.mkdir(parents=True)
    write_test_split(PAIRS)
    tokenizer = train_tokenizer(params.tokenizer, lambda: PAIRS, 1, ignore)
    tokenizer.save(places.CANDIDATE / "tokenizer")
    torch.manual_seed(2)
    model = build_model(params.model, tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    save_model(model, params.model, places.CANDIDATE)
    (places.CANDIDATE / "languages.json").write_text('{"source": "en", "target": "de"}')
    return tmp_path


def write_test_split(pairs):
    path = places.CORPUS / "test.tsv"
    path.unlink(missing_ok=True)
    with SplitWriter(path) as writer:
        for source, target in pairs:
            writer.write(Pair(source, target, "en-de", "c", "g"))


def contents():
    return {path: path.read_bytes() for path in OUTPUTS}


def test_scores_table_plot_and_page_are_written(workplace, params):
    heard = []
    run(params, heard.append)
    metrics = json.loads(places.EVALUATION_METRICS.read_text())
    assert metrics["segments"] == len(PAIRS)
    assert metrics["bleu"].keys() == {"score", "low", "high", "signature"}
    table = [line.split("\t") for line in (places.REPORT / "hypotheses.tsv").read_text().splitlines()][1:]
    assert [(line[0], line[1]) for line in table] == PAIRS
    assert [line[2] for line in table] == Translator.load(places.CANDIDATE, "cpu", params.search).translate(
        [source for source, _ in PAIRS]
    )
    with places.LENGTHS_PLOT.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"words", "segments", "bleu", "chrf"}
    assert sum(int(row["segments"]) for row in rows) == len(PAIRS)
    page = (places.REPORT / "index.html").read_text()
    assert "a&lt;b" in page
    assert {progress.task for progress in heard} == {"translate", "score"}
    assert {path for path in Path().rglob("*") if path.suffix == ".part"} == set()


def test_a_second_run_writes_the_same_bytes(workplace, params):
    run(params, ignore)
    first = contents()
    run(params, ignore)
    assert contents() == first


def test_what_stages_before_measured_is_on_the_page(workplace, params):
    places.TRAINING_PLOT.parent.mkdir()
    places.TRAINING_PLOT.write_text("step,loss,valid_loss,valid_bleu\n1,5.5,,\n2,4.5,4.6,3.0\n")
    places.TRAINING_METRICS.parent.mkdir()
    places.TRAINING_METRICS.write_text('{"steps": 4321, "stopped_because": "patience"}')
    places.CORPUS_METRICS.write_text(
        '{"raw": {"my_corpus": 98765}, "splits": {"train": 87654}, "leakage": {"test": {"near_copy_share": 0.0123}}}'
    )
    run(params, ignore)
    page = (places.REPORT / "index.html").read_text()
    for each in ("How it learned", "4,321", "patience", "my_corpus", "98,765", "87,654", "1.2%"):
        assert each in page


def test_without_a_pair_there_is_nothing_to_test(workplace, params):
    write_test_split([])
    with pytest.raises(EvaluationError, match=r"test\.tsv: holds no pair; raise prepare\.split\.test"):
        run(params, ignore)


def test_without_a_corpus_or_a_model_it_says_what_to_run(workplace, params):
    (places.CANDIDATE / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        run(params, ignore)
    (places.CORPUS / "test.tsv").unlink()
    with pytest.raises(FormatError, match="run the stage prepare_corpus"):
        run(params, ignore)


def test_a_broken_model_stops_before_anything_is_written(workplace, params):
    run(params, ignore)
    before = contents()
    model = load_model(places.CANDIDATE)
    with torch.no_grad():
        model.output_weight.fill_(float("nan"))
    save_model(model, params.model, places.CANDIDATE)
    with pytest.raises(EvaluationError, match="weights are broken"):
        run(params, ignore)
    assert contents() == before


def test_a_damaged_figure_of_another_stage_is_named(workplace, params):
    places.TRAINING_METRICS.parent.mkdir()
    places.TRAINING_METRICS.write_text("{")
    with pytest.raises(EvaluationError, match=r"training\.json: cannot be read"):
        run(params, ignore)
