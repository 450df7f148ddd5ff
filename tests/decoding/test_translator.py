"""The translator with a copying model, whose correct output is known, and with a real network."""

import pytest
import torch

from seqloom.decoding import mbr
from seqloom.decoding.ensemble import Ensemble
from seqloom.decoding.model_folder import DEFAULT_SEARCH, Languages
from seqloom.decoding.translator import Translator, pick_device
from seqloom.errors import ModelError, ParamsError, TokenizerError
from seqloom.languages import Direction
from tests.decoding.conftest import TEXTS, CopyModel, CopyState
from tests.records import model_settings

DIRECTION = Direction("en", "de")
MORE = [*TEXTS, "now", "light off", "a light", "the end of the light"]


def search(**more):
    return DEFAULT_SEARCH.model_copy(update=more)


@pytest.fixture
def translator(tokenizer, copy_model):
    def make(endless=False, tokenizer=tokenizer, languages=DIRECTION, **more):
        model = copy_model(tokenizer.target_vocab_size, endless)
        return Translator(model, tokenizer, search(**more), languages, "cpu")

    return make


@pytest.fixture(scope="module")
def network(tokenizer, make_network):
    return make_network(tokenizer.target_vocab_size, 5)


@pytest.mark.parametrize("beam", [1, 5])
@pytest.mark.parametrize("batch_tokens", [1, 40, 8192])
def test_translations_are_in_the_order_of_the_texts(translator, beam, batch_tokens):
    found = translator(beam=beam, batch_tokens=batch_tokens).translate(TEXTS)
    assert found == [" ".join(text.split()) for text in TEXTS]


@pytest.mark.parametrize("method", ["sampling", "mbr"])
def test_sampling_a_certain_model_equals_searching_it(translator, method):
    found = translator(method=method, samples=3).translate(TEXTS)
    assert found == [" ".join(text.split()) for text in TEXTS]


def test_batches_have_similar_lengths_longest_first_within_the_budget(translator):
    ours = translator(beam=2, batch_tokens=80)
    ours.translate(["abc"] * 20 + ["abcdefgh"] * 7 + ["a" * 100])
    rows, lengths = zip(*ours.model.batches, strict=True)
    assert sum(rows) == 28
    assert list(lengths) == sorted(lengths, reverse=True)
    assert ours.model.batches[0] == (1, 100)  # above the budget, so a batch of its own
    assert all(r * n <= 40 for r, n in ours.model.batches[1:])
    assert len(ours.model.batches) == 5  # 5 + 2 of eight characters with 3 of three, 13 and 4 of three


@pytest.mark.parametrize(
    ("method", "n_best", "rows"),
    [("beam", 1, 5), ("beam", 2, 5), ("sampling", 1, 20), ("sampling", 4, 5), ("mbr", 1, 2)],
)
def test_the_budget_counts_every_hypothesis_of_a_source(translator, method, n_best, rows):
    ours = translator(method=method, beam=4, samples=10, batch_tokens=60)
    ours.hypotheses(["abc"] * 40, n_best)
    assert ours.model.batches[0] == (rows, 3)


def test_empty_input_and_empty_texts_need_no_model(translator):
    ours = translator()
    assert ours.translate([]) == []
    assert ours.translate(["", " ", "\u200b\n"]) == ["", "", ""]
    assert ours.translate([""], prefixes=["the"]) == [""]
    assert ours.model.batches == []
    assert ours.hypotheses([""], 3) == [[("", 0.0, 0.0, [], False, False, True, 0)]]


def test_a_translation_respects_length_limits_and_records_that_it_was_cut(translator):
    ours = translator(endless=True, max_length_ratio=1.5, max_length_extra=2)
    found = ours.hypotheses(["abcd", "ab", "a" * 30])
    assert [len(each.text) for (each,) in found] == [8, 5, 47]
    assert all(each.cut for (each,) in found)
    ours = translator(min_length_ratio=1.5, min_length_extra=2, beam=3)
    found = ours.hypotheses(["abcd", "ab", "abcabc"], 3)
    assert [min(len(each.ids) for each in of_one) for of_one in found] == [8, 5, 11]
    assert not any(each.cut for of_one in found for each in of_one)


def test_the_models_maximal_length_overrides_the_minimal_length(translator):
    ours = translator(min_length_ratio=3.0, max_length_ratio=3.0, beam=2)
    ours.model.max_target_length = 9
    ((found,),) = ours.hypotheses(["abcd"])
    assert (len(found.ids), found.cut) == (8, True)  # one position is for BOS


def test_a_source_longer_than_the_model_reads_is_cut_and_marked(translator):
    ours = translator()
    ours.model.max_source_length = 6
    found = ours.hypotheses(["a b c d", "a b c"])
    assert [(each.text, each.source_cut) for (each,) in found] == [("a b cd", True), ("a b c", False)]
    assert not any(each.cut for (each,) in found)


def test_a_text_far_beyond_the_training_length_is_translated(translator):
    text = "the light is on " * 60
    assert translator(beam=2).translate([text]) == [text.strip()]


def test_progress_reaches_the_number_of_sentences(translator):
    heard = []
    translator(batch_tokens=40, beam=1).translate(TEXTS, heard.append)
    assert [p.done for p in heard] == sorted(p.done for p in heard)
    assert heard[0].done == 3  # empty texts need no work, and a single placeholder is copied
    assert heard[-1].done == heard[-1].total == len(TEXTS)
    assert {(p.task, p.unit) for p in heard} == {("translate", "sentences")}


@pytest.mark.parametrize(
    "more", [{"beam": 1}, {"beam": 4}, {"no_repeat_ngram": 2}, {"method": "sampling"}, {"method": "mbr"}]
)
def test_a_sentence_does_not_depend_on_its_batch(network, tokenizer, more):
    ours = Translator(network, tokenizer, search(samples=4, **more), DIRECTION, "cpu")
    together = ours.translate(MORE)
    assert together == [ours.translate([text])[0] for text in MORE]
    assert together == ours.translate(MORE[::-1])[::-1]
    assert len(set(together)) > 5


def test_hypotheses_are_distinct_ranked_and_scored(network, tokenizer):
    ours = Translator(network, tokenizer, search(beam=4), DIRECTION, "cpu")
    found = ours.hypotheses(TEXTS, 4)
    assert [each[0].text for each in found] == ours.translate(TEXTS)
    for of_one in found[:4]:
        assert len(of_one) == 4
        assert [each.score for each in of_one] == sorted((each.score for each in of_one), reverse=True)
        assert len({tuple(each.ids) for each in of_one}) == 4
        for each in of_one:
            assert each.score == pytest.approx(each.log_probability / ((6 + len(each.ids)) / 6))


def test_more_translations_than_the_search_finds_are_rejected(translator):
    with pytest.raises(ParamsError, match=r"6 translations .* search.beam is 5"):
        translator(beam=5).hypotheses(["a"], 6)
    with pytest.raises(ParamsError, match=r"4 translations .* search.samples is 3"):
        translator(method="mbr", samples=3).hypotheses(["a"], 4)


def test_equal_seeds_give_equal_samples(network, tokenizer):
    def drawn(seed):
        settings = search(method="sampling", seed=seed, temperature=2.0)
        return Translator(network, tokenizer, settings, DIRECTION, "cpu").hypotheses(MORE, 3)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_minimum_bayes_risk_ranks_the_texts_of_the_samples(network, tokenizer):
    settings = search(method="mbr", samples=6, temperature=0.7, max_length_ratio=1.0, max_length_extra=3)
    drawn = Translator(network, tokenizer, settings.model_copy(update={"method": "sampling"}), DIRECTION, "cpu")
    found = Translator(network, tokenizer, settings, DIRECTION, "cpu").hypotheses(["the light", "off"], 2)
    for samples, best in zip(drawn.hypotheses(["the light", "off"], 6), found, strict=True):
        ranked = mbr.rank([each.text for each in samples])[:2]
        assert best == [samples[first]._replace(score=utility) for first, utility in ranked]


def test_a_translation_begins_with_its_prefix(network, tokenizer):
    ours = Translator(network, tokenizer, search(beam=3), DIRECTION, "cpu")
    texts = ["the light", "off", "set {name} on"]
    found = ours.translate(texts, prefixes=["a b", "", "{name} is"])
    assert found[0].startswith("a b")
    assert found[1] == ours.translate(["off"])[0]
    assert found[2].startswith("{name} is")
    free = ours.hypotheses(texts[:1])[0][0]
    forced = ours.hypotheses(texts[:1], prefixes=[free.text[:3]])[0][0]
    assert forced.ids == free.ids
    assert forced.log_probability == pytest.approx(free.log_probability, abs=1e-4)


def test_the_tokenizers_prefix_is_forced(network, tokenizer, monkeypatch):
    first = tokenizer.encode_target("on", [])
    monkeypatch.setattr(type(tokenizer), "prefix", lambda self, language=None: list(first))
    found = Translator(network, tokenizer, search(), DIRECTION, "cpu").hypotheses(["the light", "off"])
    assert all(each.ids[:2] == first for (each,) in found)


def test_a_model_with_several_target_languages_needs_the_language(translator, tokenizer_of_two):
    ours = translator(tokenizer=tokenizer_of_two, languages=Languages(("en",), ("de", "fr")))
    # The model also copies the language symbol, which has no text.
    (german,), (french,) = (ours.hypotheses(["the end"], language=language)[0] for language in ("de", "fr"))
    assert german.ids[1:] == french.ids[1:] == tokenizer_of_two.encode_target("the end", [])
    assert german.ids[0] != french.ids[0]
    with pytest.raises(ModelError, match=r"does not write 'es'; it writes de, fr"):
        ours.translate(["the end"], language="es")
    with pytest.raises(TokenizerError, match="no target language is given"):
        ours.translate(["the end"])


def test_the_only_target_language_may_be_given(translator):
    assert translator().translate(["the end"], language="de") == ["the end"]
    with pytest.raises(ModelError, match="does not write 'en'"):
        translator().translate(["the end"], language="en")


def test_languages_with_one_and_with_several_directions():
    several = Languages(("en", "de"), ("de", "fr"))
    assert several.directions == [("en", "de"), ("en", "fr"), ("de", "fr")]
    assert Languages(("en",), ("en",)).directions == [("en", "en")]
    with pytest.raises(ModelError, match="reads several languages, en, de"):
        _ = several.source
    with pytest.raises(ModelError, match="writes several languages, de, fr"):
        _ = several.target
    assert (Languages(("en",), ("de",)).source, Languages(("en",), ("de",)).target) == DIRECTION


def test_attention_works_for_the_best_and_for_a_given_target(network, tokenizer):
    ours = Translator(network, tokenizer, search(), DIRECTION, "cpu")
    text = "set {name}"
    found = ours.hypotheses([text])[0][0]
    seen = ours.attention(text)
    assert torch.equal(seen.weights, ours.attention(text, found.ids).weights)
    assert seen.source == tokenizer.source_pieces(tokenizer.encode_source(text).ids)
    assert seen.target == tokenizer.target_pieces([*found.ids, tokenizer.symbols.eos])
    assert seen.weights.shape == (len(seen.target), len(seen.source))
    assert torch.allclose(seen.weights.sum(dim=1), torch.ones(len(seen.target)), atol=1e-5)
    given = ours.attention(text, "on {name}")
    assert given.target[:-1] == tokenizer.target_pieces(tokenizer.encode_target("on {name}", ["{name}"]))


def test_attention_needs_a_network_with_attention_and_a_text(tokenizer, make_network):
    lstm = model_settings("lstm", 0.1, "none", embedding=8, hidden=8, layers=1).architecture
    ours = Translator(make_network(tokenizer.target_vocab_size, 1, lstm), tokenizer, search(), DIRECTION, "cpu")
    with pytest.raises(ModelError, match="no attention"):
        ours.attention("the light")
    with pytest.raises(ModelError, match="the text is empty"):
        ours.attention(" ")


def test_an_ensemble_translates_and_returns_attention(network, tokenizer, make_network):
    other = make_network(tokenizer.target_vocab_size, 4)
    ours = Translator(Ensemble([network, other]), tokenizer, search(), DIRECTION, "cpu")
    alone = [Translator(model, tokenizer, search(), DIRECTION, "cpu").translate(MORE) for model in (network, other)]
    assert ours.translate(MORE) not in alone
    assert ours.attention("the light", "off").weights.shape == (4, 9)
    twice = Translator(Ensemble([network, network]), tokenizer, search(), DIRECTION, "cpu")
    assert twice.translate(MORE) == alone[0]


def test_the_method_generate_needs_a_pretrained_model(translator):
    with pytest.raises(ModelError, match="valid are beam, sampling, mbr"):
        translator(method="generate", normalization="average").translate(["a"])


def test_a_device_is_picked_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(ModelError, match="torch finds no GPU"):
        pick_device("cuda")
    with pytest.raises(ModelError, match="valid are auto, cpu and cuda"):
        pick_device("gpu0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("method", ["beam", "sampling", "mbr"])
def test_a_text_with_many_placeholders_is_translated_in_chunks(translator, method):
    ours = translator(method=method, samples=3, beam=4)
    text = "the light {a} is on set {b} to %s now {c} and {d} on {e} the end {f} off"
    (found,) = ours.hypotheses([text])[0]
    assert (found.text, found.kept, found.placed) == (text, True, 0)
    assert sum(rows for rows, _ in ours.model.batches) > 1
    assert not found.cut


def test_the_hypotheses_of_chunks_are_joined_by_rank(network, tokenizer):
    ours = Translator(network, tokenizer, search(beam=3), DIRECTION, "cpu")
    parts = ["the light {name} is %s on.", "set %(a)s {b} {c} now"]
    assert tokenizer.placeholders_at_once == 4
    joined = ours.hypotheses([" ".join(parts)], 3)[0]
    alone = [ours.hypotheses([part], 3)[0] for part in parts]
    assert len(joined) == 3
    for found, *of_parts in zip(joined, *alone, strict=True):
        assert found.ids == [index for each in of_parts for index in each.ids]
        assert found.log_probability == pytest.approx(sum(each.log_probability for each in of_parts), abs=1e-4)
        assert found.kept


def test_a_copied_placeholder_needs_no_model_but_a_prefix_does(translator):
    ours = translator()
    assert ours.translate(["{name}", "%s \u2014 {x}"]) == ["{name}", "%s \u2014 {x}"]
    assert ours.model.batches == []
    assert ours.translate(["{name}"], prefixes=["the"])[0].startswith("the")


def test_a_placeholder_in_the_prefix_counts(translator):
    ((found,), (other,)) = translator().hypotheses(["the {name}", "the light"], prefixes=["{name} a", "a %s"])
    assert (found.text.count("{name}"), found.kept) == (1, True)
    assert found.text.startswith("{name} a")
    assert (other.text[:1], other.kept) == ("a", True)  # the vocabulary has no %


def test_a_source_without_placeholders_gets_none(translator):
    (found,) = translator(endless=True).hypotheses(["the light"])[0]
    assert "{" not in found.text
    assert found.kept


def test_slots_have_room_whatever_the_maximal_length(translator):
    ours = translator(max_length_ratio=0.01, max_length_extra=1)
    (found,) = ours.hypotheses(["a {a} {b} {a}"])[0]
    assert found.text == "{a} {b} {a}", "there is no room for the letter"
    assert (found.kept, found.placed) == (True, 3)


class Forgetful(CopyModel):
    """Copies its source without slots. Its first target piece attends to the first slot, the others to the start."""

    def __init__(self, vocabulary, slots, attends):
        super().__init__(vocabulary)
        self.slots, self.attends = list(slots), attends

    def start(self, source, source_lengths):
        kept = [[index for index in row if index not in self.slots] for row in source.tolist()]
        width = max(map(len, kept)) + 1
        return CopyState(torch.tensor([[*row, *[0] * (width - len(row))] for row in kept]), 0)

    def attention(self, source, source_lengths, target):
        if not self.attends:
            raise ModelError("no attention")
        weights = torch.zeros(1, target.shape[1], source.shape[1])
        weights[0, :, 0] = 1.0
        weights[0, 0] = torch.tensor([float(index in self.slots) for index in source[0].tolist()])
        return weights


@pytest.mark.parametrize(
    ("attends", "text", "expected"),
    [
        (True, "the light is {name} on", "{name} the light is on"),
        (False, "the light is {name} on", "the light is {name} on"),
        (False, "the {name} light <b>on</b> now", "the {name} light <b>on</b> now"),
    ],
)
def test_a_placeholder_that_the_model_leaves_out_is_placed_by_attention(tokenizer, attends, text, expected):
    model = Forgetful(tokenizer.target_vocab_size, tokenizer.non_text_ids.slots, attends)
    (found,) = Translator(model, tokenizer, search(beam=1), DIRECTION, "cpu").hypotheses([text])[0]
    slots = [index for index in found.ids if index in model.slots]
    assert found.ids[-len(slots) :] == slots, "the search had to write them at the end"
    assert (found.text, found.kept, found.placed) == (expected, True, len(slots))


def test_words_after_a_forced_placeholder_keep_it_in_place(tokenizer):
    class GoesOn(Forgetful):
        def step(self, token, state):
            scores, after = super().step(token, state)
            if int(token[0]) in self.slots:  # start again
                after = CopyState(state.source, 0)
                scores, after = super().step(token, after)
            return scores, after

    model = GoesOn(tokenizer.target_vocab_size, tokenizer.non_text_ids.slots, True)
    (found,) = Translator(model, tokenizer, search(beam=1), DIRECTION, "cpu").hypotheses(["off {name}"])[0]
    assert found.text.split("{name}")[1].strip().startswith("off")
    assert (found.kept, found.placed) == (True, 0)


def test_placeholders_beyond_the_models_positions_are_inserted_afterwards(translator):
    ours = translator()
    ours.model.max_target_length = 3  # including BOS
    (found,) = ours.hypotheses(["a {a} {b} {c}"])[0]
    assert sorted(found.text.split()) == ["{a}", "{b}", "{c}"]
    assert (found.kept, found.placed, found.cut) == (True, 3, True)
