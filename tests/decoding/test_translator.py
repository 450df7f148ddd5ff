"""The translator around a model that copies, whose right answer is known, and around a real network."""

import json
from typing import Self

import pytest
import torch

from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import DEFAULT_SEARCH, Direction, Translator, pick_device
from seqloom.errors import EvaluationError, ModelError, TokenizerError
from seqloom.models.catalogue import build_model, save_model
from seqloom.models.seq2seq import Seq2Seq, State
from seqloom.models.settings import ModelSettings
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tokenization.settings import TokenizerSettings
from seqloom.tokenization.tokenizer import EOS, PAD

DIRECTION = Direction("en", "de")
TEXTS = ["the light is on", "off", "set {name} to %s now", "a b c d e f g h", "", "the end", "  \t ", "{name}"]


class CopyState(State):
    def __init__(self, source, position):
        self.source, self.position = source, position

    def select(self, rows) -> Self:
        return type(self)(self.source[rows], self.position)


class CopyModel(Seq2Seq):
    """Repeats its source, then ends; `endless` never wants to end. Remembers the batches that it was given."""

    def __init__(self, vocabulary, endless=False):
        super().__init__()
        self.source_vocab_size = self.target_vocab_size = vocabulary
        self.endless = endless
        self.batches = []

    @property
    def output_weight(self):
        raise NotImplementedError

    @property
    def output_bias(self):
        raise NotImplementedError

    def forward(self, source, source_lengths, target):
        raise NotImplementedError

    def start(self, source, source_lengths):
        self.batches.append(tuple(source.shape))
        assert not self.training
        assert ((source == PAD).sum(dim=1) == source.shape[1] - source_lengths).all()
        return CopyState(torch.cat([source, torch.full((len(source), 1), PAD)], dim=1), 0)

    def step(self, token, state):
        at = min(state.position, state.source.shape[1] - 1)
        wanted = state.source[:, at].masked_fill(state.source[:, at] == PAD, 9 if self.endless else EOS)
        logits = torch.zeros(len(token), self.target_vocab_size)
        logits[torch.arange(len(token)), wanted] = 20.0
        return torch.log_softmax(logits, dim=1), CopyState(state.source, state.position + 1)


def search(**more):
    return DEFAULT_SEARCH.model_copy(update=more)


@pytest.fixture(scope="module")
def tokenizer():
    settings = TokenizerSettings(
        name="characters", algorithm="unigram", vocab_size=64, joint=True, byte_fallback=False, character_coverage=1.0,
        max_training_lines=100, slots=4, max_length=64,
    )  # fmt: skip
    return train_tokenizer(settings, lambda: [(text, text) for text in TEXTS], 1, lambda progress: None)


def translator(tokenizer, **more):
    endless = more.pop("endless", False)
    return Translator(CopyModel(tokenizer.target_vocab_size, endless), tokenizer, search(**more), DIRECTION, "cpu")


@pytest.mark.parametrize("beam", [1, 5])
@pytest.mark.parametrize("batch_tokens", [1, 40, 8192])
def test_texts_come_back_in_their_order_whatever_the_batches(tokenizer, beam, batch_tokens):
    found = translator(tokenizer, beam=beam, batch_tokens=batch_tokens).translate(TEXTS)
    assert found == [" ".join(text.split()) for text in TEXTS]


def test_batches_are_of_like_length_longest_first_and_keep_the_budget(tokenizer):
    ours = translator(tokenizer, beam=2, batch_tokens=80)
    ours.translate(["abc"] * 20 + ["abcdefgh"] * 7 + ["a" * 100])
    rows, lengths = zip(*ours.model.batches, strict=True)
    assert sum(rows) == 28
    assert list(lengths) == sorted(lengths, reverse=True)
    assert ours.model.batches[0] == (1, 100)  # above the budget: alone
    assert all(r * n <= 40 for r, n in ours.model.batches[1:])
    assert len(ours.model.batches) == 5  # 5 + 2 of eight characters with 3 of three, 13 and 4 of three


def test_no_text_and_only_empty_texts_need_no_model(tokenizer):
    ours = translator(tokenizer)
    assert ours.translate([]) == []
    assert ours.translate(["", " ", "\u200b\n"]) == ["", "", ""]
    assert ours.model.batches == []


def test_a_translation_stays_within_its_limit(tokenizer):
    ours = translator(tokenizer, endless=True, max_length_ratio=1.5, max_length_extra=2)
    assert [len(found) for found in ours.translate(["abcd", "ab", "a" * 30])] == [8, 5, 47]


def test_a_text_far_beyond_the_training_length_is_translated(tokenizer):
    text = "the light is on " * 60
    assert translator(tokenizer, beam=2).translate([text]) == [text.strip()]


def test_progress_counts_sentences_up_to_the_total(tokenizer):
    heard = []
    translator(tokenizer, batch_tokens=40, beam=1).translate(TEXTS, heard.append)
    assert [p.done for p in heard] == sorted(p.done for p in heard)
    assert heard[0].done == 2  # the empty ones need no work
    assert heard[-1].done == heard[-1].total == len(TEXTS)
    assert {(p.task, p.unit) for p in heard} == {("translate", "sentences")}


MODEL = ModelSettings(
    name="transformer", preset="tiny", width=32, feed_forward=32, heads=2, encoder_layers=1, decoder_layers=1,
    dropout=0.5, tied_embeddings="all",
)  # fmt: skip


@pytest.fixture(scope="module")
def network(tokenizer):
    torch.manual_seed(3)
    model = build_model(MODEL, tokenizer.source_vocab_size, tokenizer.target_vocab_size)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)  # fresh weights give nearly the same for every source
    return model


@pytest.fixture
def folder(tmp_path, network, tokenizer):
    save_model(network, MODEL, tmp_path / "model")
    tokenizer.save(tmp_path / "model/tokenizer")
    (tmp_path / "model/languages.json").write_text('{"source": "en", "target": "de"}')
    return tmp_path / "model"


@pytest.mark.parametrize("beam", [1, 4])
def test_a_sentence_does_not_depend_on_its_batch(network, tokenizer, beam):
    ours = Translator(network, tokenizer, search(beam=beam), DIRECTION, "cpu")
    texts = [*TEXTS, "now", "light off", "a light"]
    together = ours.translate(texts)
    assert together == [ours.translate([text])[0] for text in texts]
    assert len(set(together)) > 5


def test_a_loaded_folder_translates_as_the_model_that_was_saved(folder, network, tokenizer):
    loaded = Translator.load(folder, "cpu")
    assert loaded.languages == DIRECTION
    assert loaded.search == DEFAULT_SEARCH
    assert loaded.translate(TEXTS) == Translator(network, tokenizer, DEFAULT_SEARCH, DIRECTION, "cpu").translate(TEXTS)


def test_search_json_counts_unless_a_search_is_given(folder):
    (folder / "search.json").write_text(search(beam=3).model_dump_json())
    assert Translator.load(folder, "cpu").search.beam == 3
    assert Translator.load(folder, "cpu", search(beam=2)).search.beam == 2


def test_broken_weights_are_told(folder, network, tokenizer):
    loaded = Translator.load(folder, "cpu")
    with torch.no_grad():
        next(iter(loaded.model.parameters())).fill_(float("nan"))
    with pytest.raises(EvaluationError, match="weights are broken"):
        loaded.translate(["the light"])


def without(name):
    return lambda folder: (folder / name).unlink()


def with_text(name, text):
    return lambda folder: (folder / name).write_text(text)


def of_another_vocabulary(folder):
    description = json.loads((folder / "model.json").read_text())
    torch.manual_seed(0)
    save_model(build_model(MODEL, 70, 70), MODEL, folder)
    assert description["source_vocab_size"] != 70


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (without("languages.json"), ModelError, "languages.json is missing"),
        (with_text("languages.json", "{"), ModelError, "languages.json: cannot be read"),
        (with_text("languages.json", "[]"), ModelError, "languages.json: must look like"),
        (with_text("languages.json", '{"source": "en", "target": 1}'), ModelError, "languages.json: must look like"),
        (without("model.json"), ModelError, "model.json"),
        (without("model.safetensors"), ModelError, "model.safetensors"),
        (without("tokenizer/joint.model"), TokenizerError, "joint.model"),
        (with_text("search.json", '{"beam": 0}'), ModelError, "search.json: beam: "),
        (with_text("search.json", "no"), ModelError, "search.json: cannot be read"),
        (of_another_vocabulary, ModelError, "source_vocab_size is 70, its tokenizer's"),
    ],
)
def test_a_damaged_folder_is_refused_with_its_file(folder, damage, error, message):
    damage(folder)
    with pytest.raises(error, match=message) as raised:
        Translator.load(folder, "cpu")
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="is not a folder with a model"):
        Translator.load(tmp_path / "nowhere")


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(ModelError, match="torch sees no GPU"):
        pick_device("cuda")
    with pytest.raises(ModelError, match="valid are auto, cpu and cuda"):
        pick_device("gpu0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")


def test_the_default_search_is_valid():
    assert SearchSettings.model_validate(DEFAULT_SEARCH.model_dump()) == DEFAULT_SEARCH
