"""Texts are cleaned, chosen, translated in shards, and become pairs; a second run translates nothing again."""

import json
from collections import Counter

import pytest

from seqloom.corpus.reading import RawPair
from seqloom.corpus.settings import Languages
from seqloom.decoding.settings import SearchSettings
from seqloom.errors import CorpusError
from seqloom.languages import Direction
from seqloom.progress import ignore
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import Workshop
from seqloom.synthesis import making, texts
from seqloom.synthesis.making import make
from seqloom.synthesis.pairs import read_synthetic
from seqloom.synthesis.plan import plans
from seqloom.synthesis.settings import SynthesisSettings
from seqloom.synthesis.texts import Selection
from seqloom.synthesis.translating import TranslateTexts
from seqloom.text import STANDARD_FORMS
from tests.records import prepare_settings

SEARCH = SearchSettings(method="beam", beam=2, length_penalty=1.0, max_length_ratio=1.0, max_length_extra=2)
SAMPLING = SEARCH.model_copy(update={"method": "sampling"})
PAIRS = [RawPair(f"the light {letter} is on", f"das Licht {letter} ist an", "") for letter in "abcdefghijklmnop"]


def plan_of(**changes):
    given = {"corpus": "mine", "model": "data/local/m", "search": SAMPLING} | changes
    (plan,) = plans({"made": SynthesisSettings(**given)}, Languages(source="en", target="de"), {})
    return plan


def selection(share=1.0):
    return Selection(prepare_settings(), STANDARD_FORMS, share)


@pytest.fixture
def run(tmp_path, model, monkeypatch):
    """Returns a function that translates `PAIRS` and returns the pairs and the record."""
    monkeypatch.setattr(texts, "SHARD", 5)
    monkeypatch.setattr(TranslateTexts, "_fault", lambda step, result: "")  # random weights translate badly

    def run(**changes):
        plan, chosen = plan_of(**changes), selection()
        work = Workshop(tmp_path / "scratch", LocalLauncher(1), "cpu")
        (tmp_path / "out").mkdir(exist_ok=True)
        for old in (tmp_path / "out").iterdir():
            old.unlink()
        make(plan, model, chosen.parallel(PAIRS, 0, 0, None), chosen, work, ignore).write(tmp_path / "out")
        (made,) = read_synthetic(tmp_path / "out")
        return list(made.pairs()), json.loads((tmp_path / "out" / "made.json").read_text())

    return run


def test_the_pairs_of_the_training_split_are_translated(run):
    pairs, record = run()
    chosen = selection()
    wanted = [original.text for original in chosen.parallel(PAIRS, 0, 0, None)]
    assert [source for source, _ in pairs] == wanted
    assert any(target for _, target in pairs)
    assert 5 < len(wanted) < len(PAIRS) == record["counts"]["read"]
    assert record["counts"]["pairs"] == len(wanted)
    assert "model.safetensors" in record["model_sha256"]


def test_what_is_translated_is_not_translated_again(run, monkeypatch):
    first, _ = run(tag="\u21c4")
    monkeypatch.setattr(TranslateTexts, "start", None)
    assert run(noise={})[0] == first  # neither a tag nor noise changes the translations


def test_of_several_translations_the_most_similar_is_taken(run):
    assert run(n_best=4)[0] != run()[0]


def test_a_model_of_another_direction_is_named(tmp_path, model):
    step = TranslateTexts(model, Direction("de", "en"), SEARCH)
    with pytest.raises(Exception, match="does not translate de-en, only en-de"):
        step.start()


def test_no_text_left_is_an_error(tmp_path, model):
    plan, chosen = plan_of(), selection()
    work = Workshop(tmp_path / "scratch", LocalLauncher(1), "cpu")
    with pytest.raises(CorpusError, match=r"no text is left to translate: 1 texts read; left out: 1 min_words"):
        make(plan, model, chosen.monolingual(["on"]), chosen, work, ignore)


def test_monolingual_texts_are_cleaned_before_they_cost_anything():
    chosen = selection()
    found = [original.text for original in chosen.monolingual(["[Open](x) the **door**", "see https://x.org now"])]
    assert found == ["Open the door"]
    assert chosen.counts == Counter(read=2, url=1, **{texts.NOT_CHOSEN: 0})


def test_a_share_of_the_texts_does_not_depend_on_their_order():
    some = [f"the light number {letter} is on" for letter in "abcdefghijklmnopqrstuvwxyz"]
    one, other = (
        {original.text for original in selection(0.5).monolingual(listed)} for listed in (some, list(reversed(some)))
    )
    assert one == other
    assert 5 < len(one) < 21


def test_counts_are_shown():
    assert making.shown(Counter(read=3, cut=1, other=0)) == "3 texts read; left out: 1 cut"
