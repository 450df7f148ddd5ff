"""No placeholder is lost or invented, for every model family and search method.

Networks with random weights produce almost any output, unlike trained ones.
"""

from typing import Any

import pytest
import torch

from benchmarks.placeholder_guarantee import generate, is_exact
from seqloom.decoding.model_folder import DEFAULT_SEARCH
from seqloom.decoding.translator import Translator
from seqloom.languages import Direction
from seqloom.models.catalogue import build_model
from seqloom.models.pretrained_folder import from_folder
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import PretrainedArchitecture
from seqloom.text import FORMS, Forms
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tokenization.pretrained import PretrainedOptions, PretrainedTokenizer
from seqloom.tokenization.tokenizer import Tokenizer
from tests.records import model_settings, tokenizer_settings
from tests.tiny_pretrained import PAIRS, make_pretrained

EVERY = Forms(list(FORMS))
TEXTS = [source for source, _ in PAIRS] + ["Open the door, then the window.", "Is it on? It is."]
METHODS: dict[str, dict[str, Any]] = {
    "beam": {"beam": 3},
    "ngram": {"beam": 3, "no_repeat_ngram": 1},
    "greedy": {"beam": 1},
    "sampling": {"method": "sampling"},
    "mbr": {"method": "mbr", "samples": 3},
}
SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"width": 16, "feed_forward": 16, "heads": 2, "encoder_layers": 1, "decoder_layers": 1},
    "lstm": {"embedding": 8, "hidden": 8, "layers": 1},
    "attention_lstm": {"embedding": 8, "hidden": 8, "encoder_layers": 1, "decoder_layers": 1},
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    pairs = [*PAIRS, *zip(TEXTS, TEXTS, strict=True), ("Set {x} to <b>%s</b>", "Stelle {x} auf <b>%s</b>")]
    settings = tokenizer_settings(vocab_size=310, slots=4, max_length=64)
    return train_tokenizer(settings, lambda: pairs * 9, 1, lambda progress: None, (), EVERY)


def network(family: str, tokenizer: Tokenizer) -> Seq2Seq:
    torch.manual_seed(2)
    size = tokenizer.target_vocab_size
    model = build_model(model_settings(family, **SMALL[family]).architecture, size, size)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return model.eval()


def assert_kept(model: Seq2Seq, tokenizer: Tokenizer, changes: dict[str, Any], sources: list[str]) -> None:
    search = DEFAULT_SEARCH.model_copy(update=changes | {"max_length_ratio": 1.0, "max_length_extra": 3})
    translator = Translator(model, tokenizer, search, Direction("en", "de"), "cpu")
    for source, found in zip(sources, translator.hypotheses(sources), strict=True):
        assert is_exact(source, found[0].text, tokenizer.forms), (source, found[0].text)
        assert found[0].kept
        assert "\ufffd" not in found[0].text


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", SMALL)
def test_every_family_keeps_placeholders(family: str, method: str, tokenizer: Tokenizer) -> None:
    sources = [*generate(TEXTS, EVERY, 12, 50, 3), "{x}", "no placeholder at all"]
    assert_kept(network(family, tokenizer), tokenizer, METHODS[method], sources)


@pytest.fixture(scope="module", params=["marian", "t5", "bart"])
def pretrained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Seq2Seq, Tokenizer]:
    """A pretrained network and its tokenizer, which tests only read."""
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    make_pretrained(kind, folder, **({} if kind == "t5" else {"max_position_embeddings": 400}))
    model = from_folder(PretrainedArchitecture(name="pretrained", dropout=0.0), folder).eval()
    return model, PretrainedTokenizer(folder, PretrainedOptions(), EVERY)


@pytest.mark.parametrize("method", [*METHODS, "generate"])
def test_every_pretrained_family_keeps_placeholders(pretrained: tuple[Seq2Seq, Tokenizer], method: str) -> None:
    changes = METHODS.get(method, {"method": "generate", "beam": 2}) | {"normalization": "average"}
    assert_kept(*pretrained, changes, generate(TEXTS, EVERY, 6, 15, 4))


def test_a_thousand_placeholders_are_kept(tokenizer: Tokenizer) -> None:
    text = " ".join(f"open the {{door{number}}}" for number in range(1000))
    assert_kept(network("transformer", tokenizer), tokenizer, {"beam": 2}, [text, "{x} and " * 300 + "{x}"])
