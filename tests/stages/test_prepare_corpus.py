import json
import zipfile
from pathlib import Path

import pytest

from seqloom.corpus.splits import read_shards_of, read_split
from seqloom.errors import ArchiveError, CorpusError, FormatError
from seqloom.params import load_params
from seqloom.places import CORPUS, CORPUS_METRICS, CORPUS_REPORT, RAW
from seqloom.progress import ignore
from seqloom.stages import prepare_corpus

PARAMS = Path(__file__).parents[2] / "params.yaml"
COLOURS = ["red", "blue", "green", "yellow", "black", "white", "grey", "brown"]
FORMS = {"en": "The {} in {} is {{state}}", "de": "{} in {} hat {{state}}", "fr": "{} en {} est {{state}}"}
THINGS = ["door", "window", "lamp", "garden", "kitchen", "garage", "roof", "wall"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a wheel of catalogues and a TSV file in data/raw."""
    monkeypatch.chdir(tmp_path)
    (RAW / "words").mkdir(parents=True)
    (RAW / "mine").mkdir()
    with zipfile.ZipFile(RAW / "words" / "words-1.0-py3-none-any.whl", "w") as wheel:
        for colour in COLOURS:
            for language, form in FORMS.items():
                texts = {thing: form.format(thing, colour) for thing in THINGS}
                wheel.writestr(f"w/{colour}/{language}.json", json.dumps(texts))
    rows = [f"my {colour} {thing}\tdein {thing} {colour}" for colour in COLOURS for thing in THINGS]
    (RAW / "mine" / "p.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


def params(languages=None, **mine):
    given = load_params(PARAMS).model_dump(by_alias=True)
    given["languages"] |= languages or {}
    given["corpora"] = {
        "words": {
            "kind": "package", "package": "words", "version": "1.0", "sha256": "0" * 64,
            "format": "json_catalogue", "members": "w/{group}/{lang}.json",
        },
        "mine": {"kind": "file", "path": "data/local/p.tsv", "format": "tsv", **mine},
    }  # fmt: skip
    given["prepare"]["split"].update(valid=0.2, test=0.3)
    given["prepare"]["max_leakage"] = 1.0
    return load_params(PARAMS).__class__.model_validate(given)


def contents():
    return {
        str(path): path.read_bytes() for root in ("data/corpus", "metrics") for path in sorted(Path(root).glob("*"))
    }


def test_corpora_mix_into_splits_and_metrics(project):
    reports = []
    prepare_corpus.run(params(), reports.append)
    pairs = [pair for name in ("train", "valid", "test") for pair in read_split(CORPUS / f"{name}.tsv")]
    assert {pair.corpus for pair in pairs} == {"words", "mine"}
    assert {pair.direction for pair in pairs} == {"en-de"}
    assert {pair.group for pair in pairs} == {"", *COLOURS}
    assert all("{state}" in pair.source and "{state}" in pair.target for pair in pairs if pair.corpus == "words")
    metrics = json.loads(CORPUS_METRICS.read_text())
    assert metrics["raw"] == {"words": 64, "mine": 64}
    assert metrics["kept"] == len(pairs) == 128 - sum(metrics["dropped"].values())
    assert metrics["leakage"]["test"]["sources"] == 0
    assert reports


def test_every_direction_is_read_but_from_a_tsv_only_the_given_one(project):
    chosen = params({"target": ["de", "fr"]}, direction={"source": "en", "target": "de"})
    prepare_corpus.run(chosen, ignore)
    pairs = [pair for name in ("train", "valid", "test") for pair in read_split(CORPUS / f"{name}.tsv")]
    assert {(pair.corpus, pair.direction) for pair in pairs} == {
        ("words", "en-de"), ("words", "en-fr"), ("mine", "en-de")
    }  # fmt: skip
    metrics = json.loads(CORPUS_METRICS.read_text())
    assert metrics["raw"] == {"words": 128, "mine": 64}
    assert set(metrics["directions"]) == {"en-de", "en-fr"}
    assert sum(sum(each.values()) for each in metrics["directions"].values()) == metrics["kept"] == len(pairs)


def test_a_corpus_with_its_own_split_is_not_split_again(project):
    (RAW / "mine" / "p.tsv").write_text("[one](x)\tone\n[one](x)\tone\n")
    prepare_corpus.run(params(split="test"), ignore)
    test = [pair for pair in read_split(CORPUS / "test.tsv") if pair.corpus == "mine"]
    assert [(pair.source, pair.target) for pair in test] == [("[one](x)", "one")] * 2


def test_a_corpus_for_training_only_changes_neither_valid_nor_test(project):
    rows = (RAW / "mine" / "p.tsv").read_text()
    (RAW / "mine" / "p.tsv").unlink()
    (RAW / "mine").rmdir()
    alone = params()
    del alone.corpora["mine"]
    prepare_corpus.run(alone, ignore)
    before = {name: list(read_split(CORPUS / f"{name}.tsv")) for name in ("train", "valid", "test")}
    known = [before[name][0] for name in ("valid", "test")]
    (RAW / "mine").mkdir()
    # One has a source of valid, one has a target of test, and one is in training already.
    wrong = [(known[0].source, "ein neuer Text {state}"), ("a new text {state}", known[1].target)]
    more = "".join(f"{source}\t{target}\n" for source, target in [*wrong, before["train"][0][:2]])
    (RAW / "mine" / "p.tsv").write_text(rows + more)
    prepare_corpus.run(params(training_only=True), ignore)
    after = {name: list(read_split(CORPUS / f"{name}.tsv")) for name in before}
    assert (after["valid"], after["test"]) == (before["valid"], before["test"])
    added = after["train"][len(before["train"]) :]
    assert after["train"][: len(before["train"])] == before["train"]
    assert [f"{pair.source}\t{pair.target}" for pair in added] == rows.splitlines()
    dropped = json.loads(CORPUS_METRICS.read_text())["dropped"]
    assert dropped["text_of_valid_or_test"] == 2


def test_odd_entries_are_logged_and_excluded_pairs_are_on_a_page(project, caplog):
    (RAW / "mine" / "p.tsv").write_text("source\ttarget\n\nmy red door\tdeine rote Tür\n")
    prepare_corpus.run(params(), ignore)
    assert "mine: p.tsv: line 1: the first row, 'source | target', looks like a header" in caplog.text
    assert json.loads(CORPUS_METRICS.read_text())["left_out"] == {"mine": {"blank line": 1}}
    assert "blank line: 1" in (CORPUS_REPORT / "index.html").read_text()


def test_a_second_run_gives_the_same_bytes(project):
    prepare_corpus.run(params(), ignore)
    before = contents()
    assert sorted(before) == [
        "data/corpus/test.tsv",
        "data/corpus/train.tsv",
        "data/corpus/valid.tsv",
        "metrics/corpus.json",
    ]
    prepare_corpus.run(params(), ignore)
    assert contents() == before


def with_shards(given, **shards):
    return given.model_copy(update={"shards": given.shards.model_copy(update=shards)})


def test_a_large_training_split_is_a_folder_of_shards(project):
    prepare_corpus.run(params(), ignore)
    train, before = list(read_split(CORPUS / "train.tsv")), contents()
    prepare_corpus.run(with_shards(params(), above=1000, size=2000), ignore)
    assert sorted(path.name for path in CORPUS.iterdir()) == ["test.tsv", "train", "valid.tsv"]
    manifest = read_shards_of(CORPUS / "train")
    assert len(manifest.shards) > 1
    assert manifest.rows == len(train)
    assert list(read_split(CORPUS / "train.tsv")) == train
    prepare_corpus.run(params(), ignore)
    assert contents() == before
    assert not Path("scratch/prepare_corpus").exists()


@pytest.mark.parametrize(
    ("spoil", "error", "fault"),
    [
        (lambda: (RAW / "mine/p.tsv").write_text("one\teins\nbad line\n"), FormatError, r"mine: p\.tsv: line 2"),
        (lambda: (RAW / "mine/p.tsv").rename("gone"), FormatError, "mine: there are 0 files"),
        (lambda: (RAW / "mine").rename("gone"), CorpusError, "mine: .*download_corpus"),
        (lambda: next((RAW / "words").iterdir()).write_bytes(b"PK\x03\x04 cut"), ArchiveError, "words: .*truncated"),
    ],
)
def test_bad_input_leaves_the_old_results(project, spoil, error, fault):
    prepare_corpus.run(params(), ignore)
    before = contents()
    spoil()
    with pytest.raises(error, match=fault):
        prepare_corpus.run(params(), ignore)
    assert contents() == before


def test_an_interruption_leaves_the_old_results(project):
    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_corpus.run(params(), interrupt)
    assert contents() == {}
