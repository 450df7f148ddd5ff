"""The fast search gives what ours gives, or calls it."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.placeholder_guarantee import generate, is_exact
from seqloom.decoding.length_penalty import average, wu
from seqloom.decoding.methods import METHODS
from seqloom.decoding.settings import SearchSettings
from seqloom.decoding.translator import Translation, Translator
from seqloom.export.fast_search import FastSearch, Tally
from seqloom.export.folder import find_export, write_export
from seqloom.export.loading import load_translator
from seqloom.export.settings import Precision
from seqloom.symbols import SPECIAL_IDS
from tests.export.networks import EVERY, LEARNT, TEXTS, network, save
from tests.tiny_pretrained import PAIRS

PLAIN = [source for source, _ in PAIRS[:4]]
LENGTHS = {"max_length_ratio": 1.0, "max_length_extra": 12}


def translators(
    folder: Path, precision: Precision = "float32", **changes: Any
) -> tuple[Translator, Translator, FastSearch]:
    """Return a translator on torch, a fast one, and its search."""
    ours = Translator.load(folder, "cpu")
    ours.search = ours.search.model_copy(update=LENGTHS | changes)
    export = find_export(folder, precision)
    assert export is not None
    fast = FastSearch.load(export, 1)
    theirs = Translator(ours.model, ours.tokenizer, ours.search, ours.languages, "cpu", fast)
    return ours, theirs, fast


def test_loading_an_export_leaves_the_number_of_threads_alone(model_folder: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        export = find_export(model_folder, "int8")
        assert export is not None
        several = [FastSearch.load(export) for _ in range(2)]  # CTranslate2 shares OpenMP with torch
        assert [each.threads for each in several] == [2, 2]
        FastSearch.load(export, 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_greedy_search_is_that_of_torch(model_folder: Path) -> None:
    ours, theirs, fast = translators(model_folder, beam=1)
    texts = [*TEXTS, *[source for source, _ in LEARNT]]
    for slow, quick in zip(ours.hypotheses(texts), theirs.hypotheses(texts), strict=True):
        assert quick[0].ids == slow[0].ids
        assert quick[0].log_probability == pytest.approx(slow[0].log_probability, abs=1e-3)
    assert fast.tally.ctranslate2 + fast.tally.torch == len(texts)
    assert fast.tally.ctranslate2 > 0


def test_slots_that_the_export_writes_rightly_are_taken(model_folder: Path) -> None:
    _, theirs, fast = translators(model_folder, beam=3)
    assert theirs.translate(["Set {name} to <i>%d</i>", "Hi {{you}}"]) == ["Stelle {name} auf <i>%d</i>", "{{you}}!"]
    assert fast.tally == Tally(2, 0)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("beam", [1, 4])
def test_every_placeholder_is_kept_whatever_the_network_writes(
    beam: int, precision: Precision, model_folder: Path, tmp_path: Path
) -> None:
    ours, _, _ = translators(model_folder, precision, beam=beam)
    random = network(ours.tokenizer.target_vocab_size)
    save(random, tmp_path)
    fast = FastSearch.load(write_export(tmp_path, SPECIAL_IDS, precision, tmp_path / "export"), 1)
    theirs = Translator(random, ours.tokenizer, ours.search, ours.languages, "cpu", fast)
    sources = [*generate(TEXTS, EVERY, 8, 40, 3), "{x}", "<b>{x}</b> and %s", "no placeholder at all"]
    for source, found in zip(sources, theirs.hypotheses(sources), strict=True):
        assert is_exact(source, found[0].text, theirs.tokenizer.forms), (source, found[0].text)
        assert found[0].kept
        assert "\ufffd" not in found[0].text
    assert fast.tally.torch > 0


def mean_penalty(found: Translation, normalization: str, alpha: float) -> float:
    return {"wu": wu, "average": average}[normalization](len(found.ids) + 1, alpha)


@pytest.mark.parametrize(("normalization", "alpha"), [("wu", 1.0), ("average", 0.6), ("average", 0.0)])
def test_beam_scores_are_ours_and_best_first(normalization: Any, alpha: float, model_folder: Path) -> None:
    ours, theirs, fast = translators(model_folder, beam=4, normalization=normalization, length_penalty=alpha)
    for slow, quick in zip(ours.hypotheses(PLAIN, 3), theirs.hypotheses(PLAIN, 3), strict=True):
        assert len(quick) == len(slow) == 3
        assert [each.score for each in quick] == sorted((each.score for each in quick), reverse=True)
        assert len({tuple(each.ids) for each in quick}) == 3
        assert quick[0].score <= slow[0].score + 1e-3  # ours continues until none can be better
        for each in quick:
            assert each.score == pytest.approx(each.log_probability / mean_penalty(each, normalization, alpha))
        same = {tuple(each.ids): each.log_probability for each in slow}
        for each in quick:
            assert same.get(tuple(each.ids), each.log_probability) == pytest.approx(each.log_probability, abs=1e-3)
    assert fast.tally.ctranslate2 > 0


@pytest.mark.parametrize("changes", [{"method": "sampling", "seed": 4}, {"method": "mbr", "samples": 3}])
def test_other_methods_are_left_to_torch(changes: dict[str, Any], model_folder: Path) -> None:
    ours, theirs, fast = translators(model_folder, beam=2, **changes)
    assert theirs.hypotheses(PLAIN) == ours.hypotheses(PLAIN)
    assert fast.tally == Tally(0, len(PLAIN))


@pytest.mark.parametrize("size", [1, 2])
def test_blocked_repeats_are_those_of_torch(size: int, model_folder: Path) -> None:
    texts = [f"{a} {b}" for a, b in pairwise([*PLAIN, *[source for source, _ in LEARNT]])]
    ours, theirs, fast = translators(model_folder, beam=1, no_repeat_ngram=size)
    free = ours.search.model_copy(update={"no_repeat_ngram": 0})
    without = Translator(ours.model, ours.tokenizer, free, ours.languages, "cpu").hypotheses(texts)
    slow, quick = ours.hypotheses(texts), theirs.hypotheses(texts)
    assert [each[0].ids for each in quick] == [each[0].ids for each in slow]
    assert any(each[0].ids != other[0].ids for each, other in zip(slow, without, strict=True))
    assert fast.tally.ctranslate2 > len(texts) / 2


def test_a_prefix_and_a_long_source_are_left_to_torch(model_folder: Path) -> None:
    ours, theirs, fast = translators(model_folder, beam=1, max_length_ratio=0.01)
    asked = [PLAIN[0], "door " * 1100], [LEARNT[0][1][:3], ""]
    slow, quick = (each.hypotheses(asked[0], prefixes=asked[1]) for each in (ours, theirs))
    assert [each[0].ids for each in quick] == [each[0].ids for each in slow]
    assert fast.tally == Tally(0, 2)


def test_limits_of_length_hold(model_folder: Path) -> None:
    _, theirs, _ = translators(
        model_folder, beam=3, min_length_ratio=0.5, min_length_extra=1, max_length_ratio=0.5, max_length_extra=3
    )
    for text, found in zip(PLAIN, theirs.hypotheses(PLAIN), strict=True):
        length = len(theirs.tokenizer.encode_source(text).ids)
        assert length // 2 + 1 <= len(found[0].ids) <= length // 2 + 3


def test_attention_is_that_of_torch(model_folder: Path) -> None:
    ours = Translator.load(model_folder, "cpu")
    theirs = load_translator(model_folder, "cpu")
    assert theirs.engine is not None
    assert (theirs.attention("the door", "die").weights == ours.attention("the door", "die").weights).all()


def test_what_is_left_to_torch_is_searched_together_at_the_end(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, theirs, fast = translators(model_folder, beam=3, batch_tokens=30)
    texts = [*PLAIN, LEARNT[0][0]] * 3
    expected = theirs.translate(texts)
    monkeypatch.setattr("seqloom.export.fast_search.accepted", lambda written, *_: [False] * len(written))
    searched: list[tuple[list[int], bool]] = []
    beam = METHODS["beam"]

    def recorded(model: Any, batch: Any, settings: SearchSettings, *rest: Any) -> Any:
        searched.append((batch.lengths.tolist(), settings.early_stopping))
        return beam(model, batch, settings, *rest)

    monkeypatch.setitem(METHODS, "beam", recorded)
    fast.batches, fast.tally = 1000, Tally()
    assert theirs.translate(texts) == expected
    assert fast.tally == Tally(0, len(texts))
    lengths = [length for each, _ in searched for length in each]
    assert lengths == sorted(lengths, reverse=True)  # of all texts, which are divided only to fit into a batch
    assert all(len(each) == 1 or len(each) * each[0] <= 10 for each, _ in searched)
    assert all(stops_early for _, stops_early in searched)


@pytest.mark.parametrize("threads", [1, 3])
def test_results_do_not_depend_on_how_a_call_is_divided(
    threads: int, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, theirs, fast = translators(model_folder, beam=3)
    texts = [*PLAIN, *[source for source, _ in LEARNT]] * 2
    expected = [each[0].ids for each in theirs.hypotheses(texts)]
    export = find_export(model_folder, "float32")
    assert export is not None
    monkeypatch.setattr("seqloom.export.fast_search._LEAST_PART", 1)
    other = FastSearch.load(export, threads)
    again = Translator(theirs.model, theirs.tokenizer, theirs.search, theirs.languages, "cpu", other)
    assert [each[0].ids for each in again.hypotheses(texts)] == expected
    assert other.tally == fast.tally
