import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqloom.corpus.keys import mask
from seqloom.corpus.reading import LeftOut, RawPair
from seqloom.corpus.splits import Split
from seqloom.errors import CorpusError
from seqloom.languages import Direction
from seqloom.progress import ignore
from tests.corpora import (
    DE_EN,
    EN_DE,
    EN_FR,
    WORDS,
    CorpusItem,
    generated,
    in_every,
    multi,
    prepare_items,
    written,
)
from tests.examples import examples


def run(pairs, settings, folder, listen=ignore):
    return run_all((CorpusItem(corpus, EN_DE, None, pair) for corpus, pair in pairs), [EN_DE], settings, folder, listen)


def run_all(items, directions, settings, folder, listen=ignore):
    return prepare_items(items, directions, settings, folder, listen)


def test_every_pair_is_kept_or_counted(prepare_settings, tmp_path):
    raw = [*generated(300, 40), *generated(300, 40), ("d", RawPair("", "x", "g")), ("d", RawPair("same", "same", "h"))]
    counts = run(raw, prepare_settings(drop_duplicates="source", drop_copies=True), tmp_path / "out")
    record, splits = counts.record(), written(tmp_path / "out")
    assert record["raw"] == {"c": 600, "d": 2}
    assert record["dropped"] == {
        "empty": 1, "copy": 1, "source_in_earlier_split": 0, "target_in_earlier_split": 0, "duplicate": 300,
    }  # fmt: skip
    assert record["kept"] == 300 == sum(map(len, splits.values()))
    assert record["splits"] == {split.name: len(pairs) for split, pairs in splits.items()}
    assert record["groups"] == {split.name: len({pair.group for pair in pairs}) for split, pairs in splits.items()}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test.tsv", "train.tsv", "valid.tsv"]


def test_equal_input_gives_equal_bytes_in_input_order(prepare_settings, tmp_path):
    for name in ("one", "two"):
        run(generated(300, 40), prepare_settings(), tmp_path / name)
    for split in Split:
        content = (tmp_path / "one" / split.file_name).read_bytes()
        assert content == (tmp_path / "two" / split.file_name).read_bytes()
    order = [raw.source for _, raw in generated(300, 40)]
    positions = [order.index(pair.source) for pair in written(tmp_path / "one")[Split.train]]
    assert positions == sorted(positions)


def test_a_group_stays_together(prepare_settings, tmp_path):
    run(generated(600, 60), prepare_settings(), tmp_path / "out")
    groups = [{pair.group for pair in pairs} for pairs in written(tmp_path / "out").values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 60


def test_shares_are_close_to_the_settings(prepare_settings, tmp_path):
    counts = run(generated(4000, 4000), prepare_settings(valid=0.1, test=0.2, by="pair"), tmp_path / "out")
    assert counts.splits[Split.valid] / 4000 == pytest.approx(0.1, abs=0.02)
    assert counts.splits[Split.test] / 4000 == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize(
    ("mode", "kept"),
    [
        ("no", ["Port 1=Anschluss 1", "Port 2=Anschluss 2", "Port 3=Steckplatz 3"]),
        ("pair", ["Port 1=Anschluss 1", "Port 3=Steckplatz 3"]),
        ("source", ["Port 1=Anschluss 1"]),
    ],
)
def test_duplicates_are_dropped_as_set(prepare_settings, tmp_path, mode, kept):
    texts = [("Port 1", "Anschluss 1"), ("Port 2", "Anschluss 2"), ("Port 3", "Steckplatz 3")]
    raw = [*(("c", RawPair(*pair, "")) for pair in texts), *generated(200, 50)]
    run(raw, prepare_settings(drop_duplicates=mode), tmp_path / "out")
    every = [pair for pairs in written(tmp_path / "out").values() for pair in pairs]
    assert [f"{pair.source}={pair.target}" for pair in every if pair.source.startswith("Port")] == kept


# --- the two guarantees of splitting, on corpora full of repetitions

raw_pairs = st.lists(
    st.tuples(
        st.just("c"),
        st.builds(
            RawPair,
            source=st.sampled_from([f"{word} {n}" for word in "abcdefgh" for n in range(2)] + ["{x} i", "{y} i"]),
            target=st.sampled_from([f"{word} {n}" for word in "ABCDEFGH" for n in range(2)]),
            group=st.sampled_from(["", *"qrstuvw"]),
        ),
    ),
    max_size=40,
)
anchors = list(generated(60, 30))  # so that no split is empty


def splits_of(splits):
    return {(pair.source, pair.target, pair.group): split for split, pairs in splits.items() for pair in pairs}


@settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    old=raw_pairs, new=raw_pairs, by=st.sampled_from(["group", "pair"]), apart=st.sampled_from(["source", "both"]),
    mode=st.sampled_from(["no", "pair", "source"]), front=st.booleans(),
)  # fmt: skip
def test_pairs_never_change_splits_and_no_text_is_in_two(
    prepare_settings, tmp_path_factory, old, new, by, apart, mode, front
):
    settings, folder = prepare_settings(by=by, apart=apart, drop_duplicates=mode), tmp_path_factory.mktemp("splits")
    grown = [*new, *old] if front else [*old, *new]
    run([*anchors, *old], settings, folder / "old")
    run([*anchors, *grown], settings, folder / "grown")
    before, after = written(folder / "old"), written(folder / "grown")

    was, now = splits_of(before), splits_of(after)
    assert all(was[pair] == now[pair] for pair in was.keys() & now.keys())
    if mode == "no":  # otherwise a new pair may replace an old one with the same text
        assert {pair for pair in was if was[pair] == Split.train} <= now.keys()

    for text in ("source", "target") if apart == "both" else ("source",):
        masked = [{mask(getattr(pair, text)) for pair in pairs} for pairs in after.values()]
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert not masked[one] & masked[other]
    if by == "pair" and apart == "source":
        # Then a source text stays in one split forever, in whichever pair it is.
        by_source = {mask(pair[0]): split for pair, split in was.items()}
        assert all(by_source.get(mask(pair[0]), split) == split for pair, split in now.items())


# --- several directions


def test_every_direction_is_split_and_counted(prepare_settings, tmp_path):
    directions = [EN_DE, EN_FR]
    counts = run_all(in_every(directions, 200), directions, prepare_settings(apart="both"), tmp_path / "out")
    splits, record = written(tmp_path / "out"), counts.record()
    assert record["kept"] == 400
    assert list(record) == [
        "raw",
        "dropped",
        "kept",
        "splits",
        "directions",
        "groups",
        "leakage",
        "lengths",
        "language",
    ]
    for direction in map(str, directions):
        found = {split.name: sum(pair.direction == direction for pair in pairs) for split, pairs in splits.items()}
        assert record["directions"][direction] == found
    assert record["splits"] == {split.name: len(pairs) for split, pairs in splits.items()}
    assert "train en-fr" in counts.table()
    one = run_all(in_every([EN_DE], 200), [EN_DE], prepare_settings(apart="both"), tmp_path / "one")
    assert "directions" not in one.record()
    assert written(tmp_path / "one") == {
        split: [pair for pair in pairs if pair.direction == "en-de"] for split, pairs in splits.items()
    }


@pytest.mark.parametrize("directions", [[EN_DE, DE_EN], [DE_EN, Direction("fr", "en")], [EN_DE, EN_FR]])
@pytest.mark.parametrize("groups", [0, 40])
def test_a_text_in_many_languages_stays_in_one_split(prepare_settings, tmp_path, directions, groups):
    settings = prepare_settings(apart="both", drop_duplicates="source")
    counts = run_all(in_every(directions, 300, groups), directions, settings, tmp_path / "out")
    assert counts.splits.total() == 600  # nothing was dropped
    sides = [{pair.source.split()[0].split(".")[0] for pair in pairs} for pairs in written(tmp_path / "out").values()]
    assert sum(map(len, sides)) == len(set().union(*sides))


@pytest.mark.parametrize("mode", ["pair", "source"])
def test_duplicates_are_sought_within_a_direction(prepare_settings, tmp_path, mode):
    directions = [EN_DE, EN_FR]
    items = [*in_every(directions, 200), *in_every(directions, 200)]
    counts = run_all(items, directions, prepare_settings(drop_duplicates=mode), tmp_path / "out")
    assert (counts.splits.total(), counts.dropped["duplicate"]) == (400, 400)


@settings(deadline=None, max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=multi, by=st.sampled_from(["group", "pair"]), apart=st.sampled_from(["source", "both"]))
def test_no_text_of_a_language_is_in_two_splits_of_any_directions(prepare_settings, tmp_path_factory, items, by, apart):
    folder, directions = tmp_path_factory.mktemp("splits"), [EN_DE, DE_EN, EN_FR]
    base = in_every(directions, 40, 30)
    run_all([*base, *items], directions, prepare_settings(by=by, apart=apart), folder / "out")

    def texts(split, sides):
        pairs = written(folder / "out")[split]
        return {(pair.direction.split("-")[side], mask(pair[side])) for pair in pairs for side in sides}

    held_out_sides = (0, 1) if apart == "both" else (0,)
    for split in (Split.valid, Split.test):
        assert not texts(split, held_out_sides) & texts(Split.train, (0, 1))
    if apart == "both":
        assert not texts(Split.valid, (0, 1)) & texts(Split.test, (0, 1))


# --- splits provided by the corpus


def test_a_provided_test_split_stays_complete_and_training_yields(prepare_settings, tmp_path):
    given_test = [("<i>Hi</i> *1*", "Hi"), ("x", "x"), ("x", "x"), ("a shared source", "unlike"), ("unlike", "Teil")]
    raw = [
        *(CorpusItem("t", EN_DE, Split.test, RawPair(*pair, "")) for pair in given_test),
        CorpusItem("t", EN_DE, Split.test, RawPair(" ", "nothing to read", "")),
        CorpusItem("v", EN_DE, Split.valid, RawPair("x", "y", "")),
        CorpusItem("v", EN_DE, Split.valid, RawPair("a valid one", "ein gültiges", "")),
        CorpusItem("c", EN_DE, Split.train, RawPair("a shared source", "eine Quelle", "")),
        CorpusItem("c", EN_DE, Split.train, RawPair("other words", "Teil", "")),
        CorpusItem("c", EN_DE, Split.train, RawPair("a valid one", "eines", "")),
        CorpusItem("c", EN_DE, Split.train, RawPair("to be cleaned away", "to be cleaned away", "")),
        CorpusItem("c", EN_DE, Split.train, RawPair("kept as *it* is", "bleibt", "")),
    ]
    rules = {"apart": "both", "drop_duplicates": "source", "drop_copies": True, "strip_markup": True, "min_words": 2}
    counts = run_all(raw, [EN_DE], prepare_settings(**rules, max_words=9), tmp_path / "out")
    splits = {split: [pair[:2] for pair in pairs] for split, pairs in written(tmp_path / "out").items()}
    assert splits[Split.test] == given_test
    assert splits[Split.valid] == [("a valid one", "ein gültiges")]
    assert splits[Split.train] == [("kept as it is", "bleibt")]
    assert {reason: n for reason, n in counts.dropped.items() if n} == {
        "empty": 1, "copy": 1, "text_of_given_split": 4
    }  # fmt: skip


def test_a_provided_training_split_is_not_split_further(prepare_settings, tmp_path):
    raw = [*in_every([EN_DE], 100, 0, Split.train)]
    more = [CorpusItem(*each[:2], None, RawPair(*(f"new {text}" for text in each.pair[:2]), "")) for each in raw]
    counts = run_all([*raw, *more], [EN_DE], prepare_settings(apart="both"), tmp_path / "out")
    splits = written(tmp_path / "out")
    assert counts.splits.total() == 200
    assert sum(not pair.source.startswith("new ") for pair in splits[Split.train]) == 100
    assert all(pair.source.startswith("new ") for split in (Split.valid, Split.test) for pair in splits[split])


# --- long texts, as in summarisation


def test_texts_of_thousands_of_words_pass_if_the_limits_are_off(prepare_settings, tmp_path):
    draw = random.Random(1)
    texts = [" ".join(f"{draw.choice(WORDS)}{draw.randrange(999)}" for _ in range(5000)) for _ in range(40)]
    direction = Direction("en", "en")
    raw = [CorpusItem("c", direction, None, RawPair(text, f"{text[:30]} in short", "")) for text in texts]
    everything = {"unescape_html": True, "strip_markup": True, "min_letter_share": 0.5, "drop_duplicates": "source"}
    settings = prepare_settings(by="pair", **everything)
    counts = run_all(raw, [direction], settings, tmp_path / "out")
    assert counts.splits.total() == 40
    assert max(len(pair.source.split()) for pair in written(tmp_path / "out")[Split.train]) == 5000


# --- errors


def test_a_direction_without_pairs_in_a_split_is_an_error(prepare_settings, tmp_path):
    raw = [*in_every([EN_DE], 100), *in_every([EN_FR], 1)]
    with pytest.raises(CorpusError, match=r"of en-fr and \w+ of en-fr got no pairs"):
        run_all(raw, [EN_DE, EN_FR], prepare_settings(), tmp_path / "out")


def test_the_error_for_an_empty_result_names_the_rule_that_dropped_the_most(prepare_settings, tmp_path):
    raw = [("c", RawPair(f"a {n}", "b", "g")) for n in range(50)] + [("c", RawPair("", "b", "g"))]
    with pytest.raises(CorpusError) as caught:
        run(raw, prepare_settings(min_words=9), tmp_path / "out")
    message, *table = str(caught.value).splitlines()
    assert message == "no pairs are left; the rule 'min_words' dropped the most: 50 of 51"
    assert [row.split() for row in table] == [
        ["51", "c", "(raw)"], ["-1", "empty"], ["-50", "min_words"], ["0", "train"], ["0", "valid"], ["0", "test"],
    ]  # fmt: skip


def test_an_empty_corpus_is_an_error(prepare_settings, tmp_path):
    with pytest.raises(CorpusError, match="no pairs are left"):
        run([], prepare_settings(), tmp_path / "out")


def test_an_empty_split_is_an_error(prepare_settings, tmp_path):
    raw = [("c", RawPair(f"text {n:x}z", f"Text {n:x}z", "one group")) for n in range(50)]
    with pytest.raises(CorpusError, match=r"got no pairs; increase the shares in prepare.split, or add groups"):
        run(raw, prepare_settings(), tmp_path / "out")


def test_too_many_near_copies_are_an_error(prepare_settings, tmp_path):
    def near_copies():
        for number, word in enumerate(a + b for a in WORDS for b in WORDS):
            text = f"a long sentence, the same but for its very last word, {word}"
            yield "c", RawPair(text, text.upper(), f"g{number}")

    with pytest.raises(CorpusError, match=r"test segments \(\d+\.\d%\) have a near-copy in training, .*max_leakage"):
        run(near_copies(), prepare_settings(max_leakage=0.05), tmp_path / "out")
    counts = run(near_copies(), prepare_settings(max_leakage=1.0), tmp_path / "allowed")
    assert counts.leakage[Split.test].share > 0.9


def test_progress_counts_the_shards_of_each_step(prepare_settings, tmp_path):
    reports = []
    run(generated(1200, 100), prepare_settings(), tmp_path / "out", reports.append)
    last = {report.task: report for report in reports}
    assert list(last) == ["clean pairs", "compare splits", "find duplicates", "write pairs", "check leakage"]
    assert all(report.done == report.total == 1 for report in last.values())


def test_texts_left_out_are_counted_and_shown(prepare_settings, tmp_path):
    missing = [("c", LeftOut("not translated", f"f: line {n}", f"text {n}")) for n in range(3)]
    counts = run([*generated(200, 20), *missing], prepare_settings(max_characters=42), tmp_path / "out")
    assert counts.record()["left_out"] == {"c": {"not translated": 3}}
    assert counts.record()["raw"] == {"c": 200}
    assert {each.place for each in counts.examples.of("c", "not translated")} == {each.place for _, each in missing}
    dropped = counts.record()["dropped"]["max_characters"]
    assert dropped == counts.examples.counts["c"]["max_characters"] > 0
    assert "text 1" in counts.examples.page()
