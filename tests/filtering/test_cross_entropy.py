"""The cross-entropy of a pair is that of its target, whatever is in the batch beside it."""

import numpy as np
import pytest
import torch

from seqloom.corpus.splits import Pair, SplitWriter
from seqloom.decoding.translator import Translator
from seqloom.filtering import cross_entropy
from seqloom.filtering.cross_entropy import ENTROPIES, CrossEntropyShard
from seqloom.languages import Direction
from seqloom.sharding.step import input_of

WAY = Direction("en", "de")
PAIRS = [("the light is on", "a b"), ("off", "a b c d e"), ("set {name} now", "{name} is on"), ("the end", "off")]


def shard(folder, pairs=PAIRS, direction="en-de"):
    with SplitWriter(folder / "pairs.tsv") as writer:
        for source, target in pairs:
            writer.write(Pair(source, target, direction, "mine", ""))
    return input_of(folder / "pairs.tsv").path


def scored(path, folder, model, **changes):
    folder.mkdir()
    assert CrossEntropyShard(model, (WAY,), **changes).start()(path, folder) == len(PAIRS)
    return np.load(folder / ENTROPIES)


def test_each_pair_is_scored_as_if_it_were_alone(tmp_path, model, monkeypatch):
    path = shard(tmp_path)
    together = scored(path, tmp_path / "together", model)
    monkeypatch.setattr(cross_entropy, "_TOKENS", 1)
    assert scored(path, tmp_path / "alone", model) == pytest.approx(together, abs=1e-4)


def test_the_number_is_the_mean_over_the_tokens_with_eos(tmp_path, model):
    found = scored(shard(tmp_path), tmp_path / "out", model)
    translator = Translator.load(model, "cpu")
    tokenizer, symbols = translator.tokenizer, translator.tokenizer.symbols
    source, slots = tokenizer.encode_source(PAIRS[1][0])
    target = tokenizer.encode_target(PAIRS[1][1], slots)
    with torch.inference_mode():
        hidden = translator.model(
            torch.tensor([source]), torch.tensor([len(source)]), torch.tensor([[symbols.bos, *target]])
        )
        log_probabilities = translator.model.log_probabilities(hidden)[0]
    total = sum(float(log_probabilities[place, token]) for place, token in enumerate([*target, symbols.eos]))
    assert found[1] == pytest.approx(-total / (len(target) + 1), abs=1e-4)


def test_a_backward_model_reads_the_pair_in_reverse(tmp_path, model):
    turned = shard(tmp_path, [pair[::-1] for pair in PAIRS], "de-en")
    folder = tmp_path / "backward"
    folder.mkdir()
    CrossEntropyShard(model, (Direction("de", "en"),), reverse=True).start()(turned, folder)
    (tmp_path / "other").mkdir()
    assert np.load(folder / ENTROPIES) == pytest.approx(
        scored(shard(tmp_path / "other"), tmp_path / "forward", model), abs=1e-5
    )


def test_a_model_of_another_direction_is_named(model):
    with pytest.raises(Exception, match="does not translate de-en; it translates en-de"):
        CrossEntropyShard(model, (WAY,), reverse=True).start()
