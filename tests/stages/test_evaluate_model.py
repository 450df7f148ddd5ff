"""The whole stage in a temporary folder, with a small untrained network."""

import csv
import json
from pathlib import Path

import pytest
import torch

from seqloom import places
from seqloom.corpus.splits import Pair, SplitWriter
from seqloom.errors import EvaluationError, FormatError, ModelError
from seqloom.models.catalogue import build_model, load_model, save_model
from seqloom.params import Params
from seqloom.progress import ignore
from seqloom.stages.evaluate_model import run
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.translation.results import Flag
from seqloom.translation.texts import TextTranslator
from tests.records import tree

PAIRS = [("the light is on", "das Licht ist an"), ("set {name}", "setze {name}"), ("off", "aus"), ("a<b", "a<b")] * 3
OUTPUTS = (
    places.REPORT / "index.html", places.REPORT / "hypotheses.tsv", places.REPORT / "attention.png",
    places.EVALUATION_METRICS, places.LENGTHS_PLOT,
)  # fmt: skip


SMALL = {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1}


def changed(**sections):
    """Return params for a small network on the CPU, with some sections changed."""
    given = tree()
    given["model"]["transformer"] |= SMALL
    given["train"] |= {"device": "cpu"}
    given["tokenizer"] |= {"name": "characters", "vocab_size": 64}
    given["search"] |= {"beam": 2}
    given["evaluate"] |= {"bootstrap": 100}
    for name, change in sections.items():
        given[name] = given[name] | change if isinstance(change, dict) else change
    return Params.model_validate(given)


@pytest.fixture(scope="module")
def params():
    return changed()


def furnish(params):
    """Write the outputs of earlier stages, with a model of random weights."""
    directions = [str(direction) for direction in params.languages.directions]
    write_test_split(PAIRS, *directions)
    tokenizer = train_tokenizer(params.tokenizer, lambda: PAIRS, 1, ignore, params.languages.target_languages)
    tokenizer.save(places.CANDIDATE / "tokenizer")
    torch.manual_seed(2)
    model = build_model(params.model.architecture, tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    save_model(model, params.model.architecture, places.CANDIDATE)
    (places.CANDIDATE / "languages.json").write_text(params.languages.model_dump_json())


def test_a_model_without_attention_has_no_picture(workplace):
    lstm = changed(
        model={"name": "lstm", "lstm": tree()["model"]["lstm"] | {"embedding": 8, "hidden": 16, "layers": 1}}
    )
    furnish(lstm)
    run(lstm, ignore)
    assert {path.name for path in places.REPORT.iterdir()} == {"index.html", "hypotheses.tsv"}


@pytest.fixture
def workplace(tmp_path, monkeypatch, params):
    """A repository with the outputs of all earlier stages."""
    monkeypatch.chdir(tmp_path)
    places.CORPUS.mkdir(parents=True)
    furnish(params)
    return tmp_path


def write_test_split(pairs, *directions):
    path = places.CORPUS / "test.tsv"
    path.unlink(missing_ok=True)
    with SplitWriter(path) as writer:
        for source, target in pairs:
            for direction in directions or ["en-de"]:
                writer.write(Pair(source, target, direction, "c", "g"))


def contents():
    return {path: path.read_bytes() for path in OUTPUTS}


def test_scores_table_plot_and_report_are_written(workplace, params):
    heard = []
    run(params, heard.append)
    metrics = json.loads(places.EVALUATION_METRICS.read_text())
    assert metrics["segments"] == len(PAIRS)
    assert metrics["bleu"].keys() == {"score", "low", "high", "signature"}
    assert "by_direction" not in metrics
    table = [line.split("\t") for line in (places.REPORT / "hypotheses.tsv").read_text().splitlines()][1:]
    assert [(line[0], line[1]) for line in table] == PAIRS
    found = TextTranslator.load(places.CANDIDATE, "cpu", params.search).translate([source for source, _ in PAIRS])
    assert [line[2] for line in table] == [" ".join(each.text.split()) for each in found]
    assert metrics["flagged"] == {flag.value: sum(flag in each.flags for each in found) for flag in Flag}
    with places.LENGTHS_PLOT.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0].keys() == {"words", "segments", "bleu", "chrf"}
    assert sum(int(row["segments"]) for row in rows) == len(PAIRS)
    page = (places.REPORT / "index.html").read_text()
    assert "a&lt;b" in page
    assert {progress.task for progress in heard} == {"translate", "score"}
    assert {path for path in Path().rglob("*") if path.suffix == ".part"} == set()


def test_a_large_test_split_is_translated_over_shards(workplace, params, monkeypatch):
    run(params, ignore)
    first = contents()
    heard = []
    monkeypatch.setattr("seqloom.stages.evaluate_model.SHARD", 5)
    monkeypatch.setenv("SEQLOOM_WORKERS", "1")
    run(changed(shards={"above": 10}), heard.append)
    assert contents() == first  # so few sentences round alike in any batch
    assert {progress.task for progress in heard} == {"translate", "score"}
    assert not (places.SCRATCH / "evaluation").exists()


def test_a_second_run_writes_the_same_bytes(workplace, params):
    run(params, ignore)
    first = contents()
    run(params, ignore)
    assert contents() == first


def test_the_report_has_the_figures_of_earlier_stages(workplace, params):
    places.TRAINING_PLOT.parent.mkdir()
    places.TRAINING_PLOT.write_text("step,loss,valid_loss,valid_bleu\n1,5.5,,\n2,4.5,4.6,3.0\n")
    places.TRAINING_METRICS.parent.mkdir()
    places.TRAINING_METRICS.write_text('{"steps": 4321, "stopped_because": "patience"}')
    places.CORPUS_METRICS.write_text(
        '{"raw": {"my_corpus": 98765}, "splits": {"train": 87654}, "leakage": {"test": {"near_copy_share": 0.0123}}}'
    )
    places.TOKENS.mkdir(parents=True)
    (places.TOKENS / "counts.json").write_text('{"train": {"too_long": 7654}, "valid": {"too_long": 0}}')
    run(params, ignore)
    page = (places.REPORT / "index.html").read_text()
    for each in ("Learning curves", "4,321", "patience", "my_corpus", "98,765", "87,654", "1.2%"):
        assert each in page
    assert "<td>train pairs left out, too long</td><td>7,654</td>" in page
    for name, value in (("name", "transformer"), ("width", "16"), ("norm order", "pre"), ("method", "beam")):
        assert f"<td>{name}</td><td>{value}</td>" in page


def test_cut_segments_are_counted_and_shown(workplace):
    run(changed(search={"max_length_ratio": 0.01, "max_length_extra": 1}), ignore)
    metrics = json.loads(places.EVALUATION_METRICS.read_text())
    assert 0 < metrics["cut_hypotheses"] <= len(PAIRS)
    assert metrics["cut_sources"] == 0
    page = (places.REPORT / "index.html").read_text()
    assert f"<td>hypotheses cut at the length limit</td><td>{metrics['cut_hypotheses']}</td>" in page


def test_each_direction_is_translated_into_its_language_and_scored_separately(workplace):
    params = changed(languages={"source": "en", "target": ["de", "fr"]})
    furnish(params)
    heard = []
    run(params, heard.append)
    assert {progress.task for progress in heard} == {"translate en-de", "translate en-fr", "score"}
    table = [line.split("\t") for line in (places.REPORT / "hypotheses.tsv").read_text().splitlines()]
    assert table[0] == ["source", "reference", "hypothesis", "chrf", "lost_placeholders", "direction"]
    sources = [source for source, _ in PAIRS]
    translator = TextTranslator.load(places.CANDIDATE, "cpu", params.search)
    for language in ("de", "fr"):
        written = [line[2] for line in table[1:] if line[5] == f"en-{language}"]
        found = translator.translate(sources, language=language)
        assert written == [" ".join(each.text.split()) for each in found]
    metrics = json.loads(places.EVALUATION_METRICS.read_text())
    assert metrics["segments"] == 2 * len(PAIRS)
    assert list(metrics["by_direction"]) == ["en-de", "en-fr"]
    chrf = [each["chrf"]["score"] for each in metrics["by_direction"].values()]
    assert metrics["chrf"]["score"] == pytest.approx(sum(chrf) / 2, abs=1e-3)
    assert "By direction" in (places.REPORT / "index.html").read_text()


def test_the_error_names_a_direction_that_the_model_lacks(workplace, params):
    write_test_split(PAIRS, "en-de", "en-fr")
    with pytest.raises(EvaluationError, match=r"test\.tsv: has en-fr, but the model has en-de; run prepare_corpus"):
        run(params, ignore)


def test_a_summary_is_scored_with_rouge(workplace):
    params = changed(task="summarization", languages={"source": "en", "target": "en"})
    furnish(params)
    run(params, ignore)
    metrics = json.loads(places.EVALUATION_METRICS.read_text())
    assert metrics["leading"] == "rougeL"
    assert {"rouge1", "rouge2", "rougeL", "bleu", "chrf"} < metrics.keys()
    with places.LENGTHS_PLOT.open() as file:
        assert next(csv.DictReader(file)).keys() == {"words", "segments", "rougeL", "bleu", "chrf"}
    assert "Summarization test report" in (places.REPORT / "index.html").read_text()


def test_an_empty_test_split_is_an_error(workplace, params):
    write_test_split([])
    with pytest.raises(EvaluationError, match=r"test\.tsv: has no pair; raise prepare\.split\.test"):
        run(params, ignore)


def test_without_a_corpus_or_a_model_the_error_says_what_to_run(workplace, params):
    (places.CANDIDATE / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        run(params, ignore)
    (places.CORPUS / "test.tsv").unlink()
    with pytest.raises(FormatError, match="run the stage prepare_corpus"):
        run(params, ignore)


def test_with_a_damaged_model_nothing_is_written(workplace, params):
    run(params, ignore)
    before = contents()
    model = load_model(places.CANDIDATE)
    with torch.no_grad():
        model.output_weight.fill_(float("nan"))
    save_model(model, params.model.architecture, places.CANDIDATE)
    with pytest.raises(EvaluationError, match="weights are broken"):
        run(params, ignore)
    assert contents() == before


def test_the_error_names_damaged_metrics_of_another_stage(workplace, params):
    places.TRAINING_METRICS.parent.mkdir()
    places.TRAINING_METRICS.write_text("{")
    with pytest.raises(EvaluationError, match=r"training\.json: cannot be read"):
        run(params, ignore)
