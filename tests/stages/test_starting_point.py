"""The network before the first update: pretrained, or with embeddings from word vectors."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom import places
from seqloom.batching.store import TokenStore
from seqloom.corpus.splits import Pair, Split, SplitWriter
from seqloom.errors import ModelError
from seqloom.models.pretrained import Pretrained
from seqloom.params import Params, parse_params
from seqloom.progress import Progress, ignore
from seqloom.stages import download_pretrained, train_tokenizer
from seqloom.stages.training.identity import fingerprint, identify
from seqloom.stages.training.starting_point import starting_point
from seqloom.tokenization.catalogue import load_tokenizer
from seqloom.training.device import Placement
from tests.records import tree
from tests.tiny_pretrained import PAIRS, make_pretrained

CPU = Placement(torch.device("cpu"), "fp32")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("data/local").mkdir(parents=True)
    places.CORPUS.mkdir(parents=True)
    for split in (Split.train, Split.valid):
        with SplitWriter(places.CORPUS / split.file_name) as writer:
            for source, target in PAIRS:
                writer.write(Pair(source, target, "en-de", "toy", ""))
    return tmp_path


def params(name: str, **sections: Any) -> Params:
    content = tree()
    content["train"]["lr"] = float(content["train"]["lr"])
    content["tokenizer"] |= {"name": "characters", "vocab_size": 64, "byte_fallback": False}
    content["model"]["name"] = name
    content["model"]["transformer"] |= {"width": 8, "feed_forward": 8, "heads": 2, "encoder_layers": 1}
    for section, change in sections.items():
        content["model"][section] |= change
    return parse_params(json.dumps(content))


def prepare(given: Params) -> None:
    download_pretrained.run(given, ignore)
    train_tokenizer.run(given, ignore)


def start(given: Params, reports: list[Progress]) -> Any:
    torch.manual_seed(1)
    store = TokenStore.open(places.TOKENS / "train")
    return starting_point(given, load_tokenizer(places.TOKENIZER), store, reports.append)


def test_a_pretrained_network_comes_with_its_tokenizer() -> None:
    network = make_pretrained("marian", Path("data/local/base"))
    given = params("pretrained", pretrained={"source": "data/local/base"})
    prepare(given)
    model, coverage = start(given, [])
    assert isinstance(model, Pretrained)
    assert coverage == {}
    assert torch.equal(model.source_embedding.weight, network.get_input_embeddings().weight)
    store = TokenStore.open(places.TOKENS / "train")
    tokenizer = load_tokenizer(places.TOKENIZER)
    assert store.symbols == tokenizer.symbols
    assert store.source(0).tolist() == tokenizer.encode_source(PAIRS[0][0]).ids
    assert store.source_vocab_size == model.source_vocab_size


def test_pairs_that_are_too_long_for_the_model_are_an_error_before_training() -> None:
    make_pretrained("marian", Path("data/local/base"), max_position_embeddings=8)
    given = params("pretrained", pretrained={"source": "data/local/base"})
    prepare(given)
    with pytest.raises(ModelError, match=r"MarianMTModel, which has 8 positions; lower tokenizer\.max_length"):
        start(given, [])


def test_embeddings_start_from_vectors_and_the_coverage_is_reported() -> None:
    Path("data/local/letters.vec").write_text("2 8\na 1 0 0 0 0 0 0 0\ne 0 1 0 0 0 0 0 0\n")
    given = params("transformer", embeddings={"source": "data/local/letters.vec"})
    prepare(given)
    reports: list[Progress] = []
    model, coverage = start(given, reports)
    tokenizer = load_tokenizer(places.TOKENIZER)
    (letter,) = tokenizer.encode_source("a").ids
    direction = model.source_embedding.weight[letter] / model.source_embedding.weight[letter].norm()
    torch.testing.assert_close(direction.detach(), torch.eye(8)[0])
    text = "".join(source for source, _ in PAIRS)
    share = round((text.count("a") + text.count("e")) / len(text), 4)
    assert coverage["source"]._asdict() == {
        "pieces": tokenizer.source_vocab_size, "exact": 2, "lower_cased": 0,
        "unmatched": tokenizer.source_vocab_size - 2, "covered_tokens": share,
    }  # fmt: skip
    (report,) = reports
    assert (report.task, report.done) == ("start source embeddings", 2)
    assert report.note == f"from vectors, {share:.1%} of the training tokens"


def test_other_vectors_are_another_run() -> None:
    vectors = Path("data/local/letters.vec")
    vectors.write_text("a 1 0 0 0 0 0 0 0\n")
    given = params("transformer", embeddings={"source": str(vectors)})
    prepare(given)
    before = fingerprint(identify(given, CPU))
    assert fingerprint(identify(given, CPU)) == before
    vectors.write_text("a 0 1 0 0 0 0 0 0\n")
    download_pretrained.run(given, ignore)
    assert fingerprint(identify(given, CPU)) != before
