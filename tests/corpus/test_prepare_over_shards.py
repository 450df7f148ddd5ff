"""prepare_corpus over many chunks, ranges and shards: memory, equality, interruptions."""

import gc
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqloom.corpus import leakage, minhash, statistics
from seqloom.corpus.prepare import Means, RawCorpus, prepare
from seqloom.corpus.preparing import batches
from seqloom.corpus.preparing import items as package
from seqloom.corpus.preparing.means import Sizes
from seqloom.corpus.preparing.raw_chunks import raw_chunks
from seqloom.corpus.reading import LeftOut, RawPair
from seqloom.corpus.splits import Split
from seqloom.errors import CorpusError, FormatError
from seqloom.progress import ignore
from seqloom.sharding.local import LocalLauncher
from tests.corpora import (
    DE_EN,
    EN_DE,
    EN_FR,
    WORDS,
    CorpusItem,
    corpora_of,
    generated,
    in_every,
    multi,
    plainly,
    prepare_items,
    written,
)
from tests.examples import examples
from tests.memory import peak_memory


def test_memory_holds_keys_not_texts(prepare_settings, tmp_path, monkeypatch):
    # Doubling the pairs doubles the chunks, but not what is held at once. A pair has about 1,300 bytes here.
    settings = prepare_settings(valid=0.04, test=0.04, sample=5, drop_duplicates="source", apart="both")
    monkeypatch.setattr(statistics, "_SAMPLE", 5)
    for module, name in ((batches, "ROWS"), (leakage, "_BATCH"), (minhash, "_BATCH")):
        monkeypatch.setattr(module, name, 8)
    monkeypatch.setattr(minhash, "_CACHED", 4)
    statistics._recogniser()  # loads its model, once
    sizes = {}

    def write(pairs):
        folder = Path(tempfile.mkdtemp(dir=tmp_path)) / "out"
        run_lazily(pairs, settings, folder)
        sizes[pairs] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    few, many = peak_memory(lambda: write(125), tries=2), peak_memory(lambda: write(250), tries=2)
    assert sizes[250] - sizes[125] > 150_000
    assert many - few < 40_000


def run_lazily(pairs, settings, folder):
    def collect(progress):
        gc.collect()  # numpy leaves 1.4 kB of cyclic garbage for each file that it loads

    def read():
        return (package.CorpusItem(EN_DE, None, pair) for _, pair in generated(pairs, 100, length=105))

    folder.mkdir()
    means = Means(LocalLauncher(1), folder.parent / "scratch", collect, Sizes(chunk=100_000, bucket=50))
    prepare([RawCorpus("c", "1", read)], [EN_DE], settings, folder, means)


# --- many shards, several workers, interruptions

SMALL = Sizes(above=10**9, shard=10**9, chunk=3000, bucket=100)
SHARDED = Sizes(above=300, shard=3000, chunk=3000, bucket=100)


def outputs(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@settings(deadline=None, max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=multi, by=st.sampled_from(["group", "pair"]), apart=st.sampled_from(["source", "both"]),
    mode=st.sampled_from(["no", "pair", "source"]), sizes=st.sampled_from([Sizes(), SMALL, SHARDED]),
)  # fmt: skip
def test_the_splits_are_those_of_a_plain_implementation(
    prepare_settings, tmp_path_factory, items, by, apart, mode, sizes
):
    every, directions = [*in_every([EN_DE, DE_EN, EN_FR], 12, 9), *items], [EN_DE, DE_EN, EN_FR]
    every += [*in_every(directions, 2, 0, Split.valid), *in_every(directions, 2, 0, Split.test)]
    chosen = prepare_settings(by=by, apart=apart, drop_duplicates=mode, drop_copies=True, max_words=6)
    plain = plainly(every, directions, chosen)
    folder = tmp_path_factory.mktemp("plain") / "out"
    if not all({pair.direction for pair in pairs} == {"en-de", "de-en", "en-fr"} for pairs in plain.splits.values()):
        with pytest.raises(CorpusError, match="got no pairs"):
            prepare_items(every, directions, chosen, folder, sizes=sizes)
        return
    counts = prepare_items(every, directions, chosen, folder, sizes=sizes)
    assert written(folder) == plain.splits
    assert +counts.dropped == +plain.dropped
    assert counts.groups == {s: len({pair.group for pair in pairs if pair.group}) for s, pairs in plain.splits.items()}
    assert (folder / "train.tsv").exists() == (sizes is not SHARDED)


def mixed():
    """A corpus with everything that is counted."""
    directions = [EN_DE, DE_EN, EN_FR]
    raw = [*in_every(directions, 120, 30), *in_every(directions[:1], 40, 9)]
    raw += [CorpusItem("d", EN_DE, split, RawPair(f"*given* text {split:d}", "gegeben", "")) for split in Split]
    raw += [CorpusItem("e", EN_DE, None, RawPair(f"Please close the door of the kitchen {w}", w, "")) for w in WORDS]
    return [*raw, CorpusItem("e", EN_FR, None, LeftOut("not translated", "f: line 1", "text"))], directions


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sizes", [SMALL, SHARDED])
def test_bytes_and_counts_do_not_depend_on_shards_and_workers(prepare_settings, tmp_path, sizes, workers):
    items, directions = mixed()
    chosen = prepare_settings(apart="both", drop_duplicates="source", drop_copies=True, strip_markup=True)
    whole = prepare_items(items, directions, chosen, tmp_path / "whole")
    parts = prepare_items(items, directions, chosen, tmp_path / "parts", sizes=sizes, workers=workers)
    assert parts.record() == whole.record()
    assert list(parts.record()["dropped"]) == list(whole.record()["dropped"])
    assert parts.examples.page() == whole.examples.page()
    assert written(tmp_path / "parts") == written(tmp_path / "whole")
    found = outputs(tmp_path / "parts")
    if sizes is SMALL:
        assert found == outputs(tmp_path / "whole")
    else:
        other = sizes._replace(chunk=7000, bucket=300)
        prepare_items(items, directions, chosen, tmp_path / "other", sizes=other)
        assert found == outputs(tmp_path / "other")
        assert sum(name.endswith(".parquet") for name in found) > 2


@pytest.mark.parametrize("after", range(1, 6))
def test_after_an_interruption_only_unfinished_work_is_repeated(prepare_settings, tmp_path, after):
    items, directions = mixed()
    corpora, chosen = corpora_of(items), prepare_settings(apart="both", drop_duplicates="pair")
    prepare_items(items, directions, chosen, tmp_path / "whole", sizes=SHARDED)
    steps = ["clean pairs", "compare splits", "find duplicates", "write pairs", "check leakage"][:after]

    def interrupt(progress):
        if progress.task == steps[-1] and progress.done >= 2:
            raise KeyboardInterrupt

    def go_on(name, listen):
        folder = tmp_path / name
        folder.mkdir()
        means = Means(LocalLauncher(1), tmp_path / "scratch", listen, SHARDED)
        return prepare(corpora, directions, chosen, folder, means)

    with pytest.raises(KeyboardInterrupt):
        go_on("interrupted", interrupt)
    left = {path: path.stat().st_mtime_ns for path in (tmp_path / "scratch").rglob("done.json")}
    assert len(left) > after
    go_on("finished", ignore)
    assert outputs(tmp_path / "finished") == outputs(tmp_path / "whole")
    assert left == {path: path.stat().st_mtime_ns for path in left}  # nothing was done twice


def test_corpora_that_are_read_are_not_read_again(tmp_path):
    read, texts = [], [RawPair(f"{number:09}", f"{number:010}", "") for number in range(6)]  # 20 bytes each

    def corpus(name, pairs, identity="1"):
        def items():
            read.append(name)
            return iter([package.CorpusItem(EN_DE, None, pair) for pair in pairs])

        return RawCorpus(name, f"{name} {identity}", items)

    def chunks(changed=""):
        read.clear()
        corpora = [corpus("c", texts), corpus("d", texts[:1], changed), corpus("e", texts[1:5])]
        return [(each.path.name, each.identity) for each in raw_chunks(corpora, [EN_DE], tmp_path / "raw", 80)]

    first = chunks()
    assert read == ["c", "d", "e"]
    assert [name for name, _ in first] == [f"{number:05}.arrow" for number in range(4)]  # 4, 2, 1 and 4 texts
    assert chunks() == first
    assert read == []
    (tmp_path / "raw" / "00003.arrow").unlink()
    assert chunks() == first
    assert read == ["e"]
    assert chunks("changed") == first
    assert read == ["d", "e"]


def test_a_fault_of_a_corpus_ends_the_work_and_is_told(prepare_settings, tmp_path):
    def read():
        yield from (package.CorpusItem(EN_DE, None, pair) for _, pair in generated(200, 40))
        raise FormatError("c: p.tsv: line 201: needs 2 columns")

    means = Means(LocalLauncher(2), tmp_path / "scratch", ignore, SMALL)
    (tmp_path / "out").mkdir()
    with pytest.raises(FormatError, match="line 201"):
        prepare([RawCorpus("c", "1", read)], [EN_DE], prepare_settings(), tmp_path / "out", means)
