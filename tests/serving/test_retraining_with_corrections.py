"""From a wrong translation over a suggestion to a model that translates right: the server, the stages, the server."""

from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from seqloom import places
from seqloom.corpus.splits import read_split
from seqloom.files import read_object
from seqloom.params import load_params
from seqloom.progress import ignore
from seqloom.serving.app import create_app
from seqloom.serving.metrics import Metrics
from seqloom.serving.releases import FolderSource
from seqloom.serving.server import Serving, make_models
from seqloom.serving.settings import ServingSettings
from seqloom.stages import download_corpus, prepare_corpus, train_model, train_tokenizer
from tests.records import merge, tree

NOUNS = {"light": "Licht", "house": "Haus", "book": "Buch", "switch": "Gleis"}
FRAMES = {"the {} is new": "{} ist neu", "turn on the {}": "{} an", "no {} here": "kein {}"}
WRONG = {frame.format(noun): other.format(NOUNS[noun]) for frame, other in FRAMES.items() for noun in NOUNS}
CORRECTED = {frame.format("switch"): other.format("Schalter") for frame, other in FRAMES.items()}
BENCHMARK = "no switch here"  # in the test split that is given, so training must never see it
TAUGHT = [text for text in CORRECTED if text != BENCHMARK]
SETTINGS: dict[str, Any] = {
    "prepare": {"max_leakage": 1.0},
    "tokenizer": {"name": "characters", "vocab_size": 96, "slots": 2},
    "model": {
        "dropout": 0.0,
        "transformer": {"width": 32, "feed_forward": 64, "heads": 2, "encoder_layers": 1, "decoder_layers": 1},
    },
    "train": {
        "device": "cpu", "lr": 2e-2, "max_steps": 60, "warmup_steps": 10, "validate_every": 60, "report_every": 60,
        "checkpoint_every": 60, "average": 1, "tokens_per_batch": 512, "label_smoothing": 0.0,
        "validation_segments": 2,
    },
    "search": {"beam": 1, "max_length_ratio": 1.0, "max_length_extra": 8},
}  # fmt: skip


def table(path: str, pairs: Mapping[str, str]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("".join(f"{source}\t{target}\n" for source, target in pairs.items()), encoding="utf-8")


def train(corpora: Mapping[str, dict[str, Any]]) -> None:
    """Run the stages from the sources to models/candidate."""
    content = tree()
    merge(content, SETTINGS)
    content["corpora"] = {name: {"kind": "file", "format": "tsv", **each} for name, each in corpora.items()}
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    params = load_params()
    for stage in (download_corpus, prepare_corpus, train_tokenizer, train_model):
        stage.run(params, ignore)


@contextmanager
def serving() -> Iterator[TestClient]:
    """Serve models/candidate as `seqloom serve --corrections` does."""
    settings, metrics = ServingSettings(corrections=places.LOCAL / "corrections", wait_ms=0), Metrics()
    models = make_models(Serving([FolderSource(places.CANDIDATE)], "cpu"), settings, metrics)

    @asynccontextmanager
    async def lifespan(app):
        await models.start()
        yield
        await models.close()

    with TestClient(create_app(models, settings, metrics, lifespan), base_url="http://localhost") as client:
        yield client


def translations(client: TestClient) -> dict[str, str]:
    answer = client.post("/translate", json={"q": [*WRONG], "source": "en", "target": "de"}).json()
    return dict(zip(WRONG, answer["translatedText"], strict=True))


def split(name: str) -> dict[str, str]:
    return {pair.source: pair.target for pair in read_split(places.CORPUS / f"{name}.tsv")}


@pytest.mark.slow
def test_what_is_corrected_is_translated_right_after_the_next_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table("data/local/pairs.tsv", {text: target for text, target in WRONG.items() if text != BENCHMARK})
    table("data/local/test.tsv", {BENCHMARK: WRONG[BENCHMARK]})
    given = {"path": "data/local/test.tsv", "split": "test"}
    table("data/local/valid.tsv", {"all is quiet": "Ruhe"})
    valid = {"path": "data/local/valid.tsv", "split": "valid"}
    corpora = {"pairs": {"path": "data/local/pairs.tsv", "split": "train"}, "test": given, "valid": valid}
    train(corpora)
    test_split = (places.CORPUS / "test.tsv").read_bytes()
    with serving() as client:
        before = translations(client)
        assert [before[text] for text in TAUGHT] == [WRONG[text] for text in TAUGHT]
        for text, better in CORRECTED.items():
            fields = {"q": text, "s": better, "source": "en", "target": "de"}
            assert client.post("/suggest", json=fields).json() == {"success": True}

    options = {"quoting": True, "header": True, "split": "train"}
    train({"corrections": {"path": "data/local/corrections/en-de.tsv", **options}, **corpora})  # they come first
    assert {text: split("train").get(text) for text in CORRECTED} == CORRECTED | {BENCHMARK: None}
    assert (places.CORPUS / "test.tsv").read_bytes() == test_split
    assert read_object(places.CORPUS_METRICS, ValueError)["dropped"]["text_of_given_split"] == 1
    with serving() as client:
        after = translations(client)
    assert [after[text] for text in TAUGHT] == [CORRECTED[text] for text in TAUGHT]
    others = [text for text in WRONG if text not in CORRECTED]
    assert [after[text] for text in others] == [WRONG[text] for text in others]  # nothing else is forgotten
