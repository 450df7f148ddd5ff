"""A saved model folder loads unchanged; a damaged folder, or one with another tokenizer, is rejected by name."""

import json

import pytest
import torch

from seqloom.decoding.ensemble import Ensemble
from seqloom.decoding.model_folder import DEFAULT_SEARCH, Languages, read_longest_source
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translator
from seqloom.errors import EvaluationError, ModelError, TokenizerError
from seqloom.languages import Direction
from seqloom.models.catalogue import build_model, save_model
from tests.decoding.conftest import ARCHITECTURE, TEXTS


def search(**more):
    return DEFAULT_SEARCH.model_copy(update=more)


def store(folder, network, tokenizer):
    save_model(network, ARCHITECTURE, folder)
    tokenizer.save(folder / "tokenizer")
    (folder / "languages.json").write_text('{"source": "en", "target": "de"}')
    return folder


@pytest.fixture(scope="module")
def network(tokenizer, make_network):
    return make_network(tokenizer.target_vocab_size)


@pytest.fixture
def folder(tmp_path, network, tokenizer):
    return store(tmp_path / "model", network, tokenizer)


def test_a_loaded_folder_translates_like_the_saved_model(folder, network, tokenizer):
    loaded = Translator.load(folder, "cpu")
    assert loaded.languages == (("en",), ("de",))
    assert loaded.search == DEFAULT_SEARCH
    saved = Translator(network, tokenizer, DEFAULT_SEARCH, Direction("en", "de"), "cpu")
    assert loaded.translate(TEXTS) == saved.translate(TEXTS)


def test_search_settings_without_early_stopping_default_to_exact_search(folder):
    older = search(beam=3).model_dump()
    del older["early_stopping"]
    (folder / "search.json").write_text(json.dumps(older))
    assert Translator.load(folder, "cpu").search == search(beam=3, early_stopping=False)


def test_search_json_is_used_unless_a_search_is_given(folder):
    (folder / "search.json").write_text(search(beam=3, top_k=7).model_dump_json())
    assert Translator.load(folder, "cpu").search == search(beam=3, top_k=7)
    assert Translator.load(folder, "cpu", search(beam=2)).search.beam == 2


def test_the_longest_source_is_read_if_it_is_recorded(folder):
    assert read_longest_source(folder) is None
    (folder / "lengths.json").write_text('{"source": 196, "target": 210}')
    assert read_longest_source(folder) == 196


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"source": 0}', '{"source": "9"}', '{"source": true}'])
def test_invalid_lengths_are_rejected(folder, text):
    (folder / "lengths.json").write_text(text)
    with pytest.raises(ModelError, match=r"lengths\.json: (must look like|cannot be read)"):
        read_longest_source(folder)


def test_a_side_may_have_several_languages(folder):
    (folder / "languages.json").write_text('{"source": ["en", "de"], "target": "fr"}')
    assert Translator.load(folder, "cpu").languages == Languages(("en", "de"), ("fr",))


def test_broken_weights_raise_an_error(folder):
    loaded = Translator.load(folder, "cpu")
    with torch.no_grad():
        next(iter(loaded.model.parameters())).fill_(float("nan"))
    with pytest.raises(EvaluationError, match="weights are broken"):
        loaded.translate(["the light"])


def test_several_folders_make_an_ensemble(folder, tmp_path, network, tokenizer, make_network):
    other = make_network(tokenizer.target_vocab_size, 4)
    second = store(tmp_path / "second", other, tokenizer)
    (second / "search.json").write_text(search(beam=2).model_dump_json())
    loaded = Translator.load(folder, "cpu", others=[second])
    assert isinstance(loaded.model, Ensemble)
    assert loaded.search == DEFAULT_SEARCH
    ensemble = Translator(Ensemble([network, other]), tokenizer, DEFAULT_SEARCH, Direction("en", "de"), "cpu")
    assert loaded.translate(TEXTS) == ensemble.translate(TEXTS)


def test_an_ensemble_with_different_tokenizers_is_rejected(folder, tmp_path, make_network, tokenizer_of_two):
    second = store(tmp_path / "second", make_network(tokenizer_of_two.source_vocab_size), tokenizer_of_two)
    with pytest.raises(ModelError, match=r"second: has another tokenizer than .*model; an ensemble needs"):
        Translator.load(folder, "cpu", others=[second])


def without(name):
    return lambda folder: (folder / name).unlink()


def with_text(name, text):
    return lambda folder: (folder / name).write_text(text)


def of_another_vocabulary(folder):
    description = json.loads((folder / "model.json").read_text())
    save_model(build_model(ARCHITECTURE, 70, 70), ARCHITECTURE, folder)
    assert description["source_vocab_size"] != 70


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (without("languages.json"), ModelError, "languages.json is missing"),
        (with_text("languages.json", "{"), ModelError, "languages.json: cannot be read"),
        (with_text("languages.json", "[]"), ModelError, "languages.json: must look like"),
        (with_text("languages.json", '{"source": "en", "target": 1}'), ModelError, "languages.json: must look like"),
        (with_text("languages.json", '{"source": "en", "target": []}'), ModelError, "languages.json: must look like"),
        (with_text("languages.json", '{"source": ["en", 1], "target": "de"}'), ModelError, "must look like"),
        (without("model.json"), ModelError, "model.json"),
        (without("model.safetensors"), ModelError, "model.safetensors"),
        (without("tokenizer/joint.model"), TokenizerError, "joint.model"),
        (with_text("search.json", json.dumps(search(beam=0).model_dump())), ModelError, "search.json: beam: "),
        (with_text("search.json", '{"beam": 5}'), ModelError, "search.json: method: "),
        (with_text("search.json", "no"), ModelError, "search.json: cannot be read"),
        (of_another_vocabulary, ModelError, "source_vocab_size is 70, but its tokenizer's"),
    ],
)
def test_a_damaged_folder_is_rejected_naming_the_file(folder, damage, error, message):
    damage(folder)
    with pytest.raises(error, match=message) as raised:
        Translator.load(folder, "cpu")
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_folder_is_rejected(tmp_path):
    with pytest.raises(ModelError, match="is not a model folder"):
        Translator.load(tmp_path / "nowhere")


def test_the_default_search_is_valid():
    assert SearchSettings.model_validate(DEFAULT_SEARCH.model_dump()) == DEFAULT_SEARCH
