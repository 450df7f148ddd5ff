"""Compare with SentencePiece: the best splits of a unigram model, and the merges of byte pair encoding."""

from collections import Counter
from random import Random

import pytest
from sentencepiece import SentencePieceProcessor

from seqloom.symbols import SPECIAL_IDS
from seqloom.tokenization import subword_sampling
from seqloom.tokenization.sentencepiece import SentencePieceVocabulary
from seqloom.tokenization.slots import slot_symbols
from seqloom.tokenization.subword_sampling import SPACE, SubwordSampler, bpe_dropout_splits, unigram_splits

SLOTS = slot_symbols(2)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Lines of words that share syllables."""
    random = Random(1)
    syllables = [a + b + c for a in "bdgklmnprst" for b in "aeiou" for c in ("", "n", "rt")]
    words = ["".join(random.choices(syllables, k=random.randint(1, 5))) for _ in range(300)]
    return [" ".join(random.choices(words, k=6)) for _ in range(400)]


@pytest.fixture(scope="module")
def learnt(lines, settings_of):
    """The vocabulary of an algorithm, and its pieces with their ids and scores."""

    def learn(algorithm):
        chosen = settings_of(vocab_size=300, byte_fallback=False, algorithm=algorithm)
        vocabulary = SentencePieceVocabulary.train(lines, chosen, SLOTS)
        model = SentencePieceProcessor(model_proto=vocabulary.to_bytes())
        first = 4 + len(SLOTS)
        return vocabulary, model, {model.id_to_piece(i): (i, model.get_score(i)) for i in range(first, len(model))}

    return {algorithm: learn(algorithm) for algorithm in ("unigram", "bpe")}


@pytest.fixture(scope="module")
def words(lines) -> list[str]:
    return sorted({word for line in lines for word in line.split()})


def test_the_most_likely_splits_equal_those_of_sentencepiece(learnt, words):
    _, model, pieces = learnt["unigram"]
    splits = unigram_splits(pieces, 0.2)
    for word in words:
        found = splits(SPACE + word)
        assert next(iter(found)) == tuple(model.encode(word))
        best = [tuple(ids) for ids in model.nbest_encode(word, nbest_size=64, out_type=int)]
        scores = [[sum(model.get_score(i) for i in ids) for ids in side] for side in (found, best)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-5)  # equally likely splits may be in another order
        assert len(set(found)) == len(best)
        assert {model.decode(list(ids)) for ids in found} == {word}
    assert any(len(splits(SPACE + word)) == 64 for word in words)


def test_merges_without_dropout_equal_those_of_sentencepiece(learnt, words):
    _, model, pieces = learnt["bpe"]
    splits = bpe_dropout_splits(pieces, 1e-12)
    for word in [*words, *(one + other for one, other in zip(words, reversed(words), strict=True))]:
        assert splits(SPACE + word) == {tuple(model.encode(word)): 64}


def test_dropout_skips_merges(learnt, words):
    _, model, pieces = learnt["bpe"]
    lengths = []
    for dropout in (0.1, 0.5, 1.0):
        splits = bpe_dropout_splits(pieces, dropout)
        found = {word: splits(SPACE + word) for word in words}
        assert all(sum(counts.values()) == 64 for counts in found.values())
        assert all({model.decode(list(ids)) for ids in found[word]} == {word} for word in words)
        lengths.append(sum(len(ids) * count for counts in found.values() for ids, count in counts.items()))
    assert sorted(lengths) == lengths
    assert lengths[-1] == 64 * sum(len(SPACE + word) for word in words)


def test_each_merge_is_skipped_with_the_dropout_probability(monkeypatch):
    """By hand: `abc` with the merges bc, then ab. Nothing is merged if both are skipped: p * p."""
    pieces = {"a": (0, -9.0), "b": (1, -9.0), "c": (2, -9.0), "bc": (3, -1.0), "ab": (4, -2.0)}
    monkeypatch.setattr(subword_sampling, "_MOST", 20_000)
    found = bpe_dropout_splits(pieces, 0.3)("abc")
    shares = {split: count / 20_000 for split, count in found.items()}
    assert shares == pytest.approx({(0, 3): 0.7, (4, 2): 0.3 * 0.7, (0, 1, 2): 0.3 * 0.3}, abs=0.01)


def test_a_draw_follows_the_weights():
    written, draws = ["▁ab", "▁a", "b", "▁"], 10_000
    resample, random = SubwordSampler(written, lambda text: {(0,): 5.0, (1, 2): 3.0, (3, 0): 2.0}), Random(1)
    counts = Counter(tuple(resample([0], random)) for _ in range(draws))
    assert {split: count / draws for split, count in counts.items()} == pytest.approx(
        {(0,): 0.5, (1, 2): 0.3, (3, 0): 0.2}, abs=0.015
    )


def test_words_are_cut_at_spaces_at_fixed_ids_and_at_the_maximal_length():
    seen = []

    def splits(text):
        seen.append(text)
        return {tuple(map(written.index, text)): 1}

    written = ["▁", "a", "b", None]
    ids = [1, 2, 0, 1, 3, 3, 2, 0, *[1] * 9]
    resample = SubwordSampler(written, splits)
    assert resample(ids, Random(1)) == ids
    assert seen == ["ab", "▁a", "b", "▁aaaaaaa", "aa"]
    assert resample(ids, Random(1)) == ids
    assert len(seen) == 5  # each is cached
    assert resample([], Random(1)) == []


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_draws_do_not_depend_on_earlier_draws(learnt, lines, algorithm, monkeypatch):
    vocabulary, _, _ = learnt[algorithm]
    segments = [vocabulary.encode(line) for line in lines[:40]]
    fresh = [vocabulary.subword_sampler(0.2)(ids, Random(seed)) for seed, ids in enumerate(segments)]
    monkeypatch.setattr(subword_sampling, "_REMEMBERED", 3)  # drops most words
    forgetful = vocabulary.subword_sampler(0.2)
    assert [forgetful(ids, Random(seed)) for seed, ids in enumerate(segments)] == fresh
    assert sum(ids != other for ids, other in zip(segments, fresh, strict=True)) > 20


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_slots_and_unk_stay_in_place(learnt, algorithm):
    vocabulary, _, _ = learnt[algorithm]
    ids = vocabulary.encode(f"bartna{SLOTS[1]}dinko 字tarta {SLOTS[0]}{SLOTS[0]}")
    resample, random = vocabulary.subword_sampler(0.2), Random(1)
    symbols = [SPECIAL_IDS.unk, *map(vocabulary.id_of, SLOTS)]
    drawn = [resample(ids, random) for _ in range(20)]
    assert {vocabulary.decode(other) for other in drawn} == {vocabulary.decode(ids)}
    assert all([i for i in other if i in symbols] == [i for i in ids if i in symbols] for other in drawn)
    assert len(set(map(tuple, drawn))) > 5
