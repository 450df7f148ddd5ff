import json
import re
import subprocess
import sys
from itertools import accumulate, pairwise, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqloom.batching.shards import unpacked
from seqloom.batching.store import TokenStore
from seqloom.corpus.left_out import write_left_out
from seqloom.corpus.splits import Pair, SplitWriter, read_split, write_shards_of
from seqloom.errors import CorpusError, FormatError, TokenizerError
from seqloom.params import Params, load_params
from seqloom.places import CORPUS, SCORES, TOKENIZER, TOKENS
from seqloom.progress import Progress, ignore
from seqloom.sharding.manifest import describe_shard, read_manifest, shard_name
from seqloom.stages import train_tokenizer
from seqloom.tokenization.catalogue import load_tokenizer

PARAMS = Path(__file__).parents[1] / "whole_params.yaml"
THINGS = [("front door", "Haustür"), ("window", "Fenster"), ("lamp", "Lampe"), ("kitchen", "Küche"), ("gate", "Tor")]
STATES = [("open", "offen"), ("broken", "kaputt"), ("not connected", "nicht verbunden"), ("ready", "bereit")]


def params(languages: dict[str, object] | None = None, **other: object) -> Params:
    given = load_params(PARAMS).model_dump(by_alias=True)
    given["languages"].update(languages or {})
    given["tokenizer"].update({"vocab_size": 300, "slots": 2, "max_length": 40} | other)
    given["model"].update(tied_embeddings="target")
    return Params.model_validate(given)


def write_split(name: str, pairs: list[tuple[str, str]], *directions: str) -> None:
    with SplitWriter(CORPUS / f"{name}.tsv") as writer:
        for (source, target), direction in product(pairs, directions or ["en-de"]):
            writer.write(Pair(source, target, direction, "mine", ""))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with 90 training pairs, two of them long, and 10 validation pairs."""
    monkeypatch.chdir(tmp_path)
    CORPUS.mkdir(parents=True)
    pairs = [
        (f"The {{name}} {thing} {number} is {state}", f"{{name}}: {ding} {number} ist {stand}")
        for number, (thing, ding), (state, stand) in product(range(5), THINGS, STATES)
    ]
    long = ("very " * 40 + "long", "lang")
    write_split("train", [*pairs[:50], long, *pairs[50:88], long[::-1]])
    write_split("valid", pairs[88:98])
    return tmp_path


def outputs() -> dict[str, bytes]:
    files = [file for root in (TOKENIZER, TOKENS) for file in sorted(root.rglob("*")) if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def test_the_stores_have_the_splits_in_order(project):
    train_tokenizer.run(params(), ignore)
    tokenizer = load_tokenizer(TOKENIZER)
    for name in ("train", "valid"):
        store = TokenStore.open(TOKENS / name)
        pairs = [pair for pair in read_split(CORPUS / f"{name}.tsv") if "very" not in pair.source + pair.target]
        assert len(store) == len(pairs)
        assert (store.source_vocab_size, store.target_vocab_size) == (300, 300)
        for index, pair in enumerate(pairs):
            encoded = tokenizer.encode_source(pair.source)
            assert encoded.slots == ("{name}",)
            assert store.source(index).tolist() == encoded.ids
            assert tokenizer.decode(store.target(index).tolist(), encoded.slots) == pair.target


def test_pairs_that_are_long_on_either_side_are_left_out_and_counted(project):
    train_tokenizer.run(params(), ignore)
    counts = json.loads((TOKENS / "counts.json").read_text())
    store = TokenStore.open(TOKENS / "train")
    assert (counts["train"]["pairs"], counts["train"]["too_long"]) == (88, 2)
    assert (counts["valid"]["pairs"], counts["valid"]["too_long"]) == (10, 0)
    assert counts["train"]["source"] == {
        "tokens": int(store.source_lengths.sum()),
        "tokens_per_segment": round(float(store.source_lengths.mean()), 3),
        "unknown_share": 0.0,
    }
    assert store.source_lengths.max() <= 40
    assert store.target_lengths.max() <= 40


def test_several_directions_are_counted_separately(project):
    pairs = [(pair.source, pair.target) for pair in read_split(CORPUS / "train.tsv")]
    for name, part in (("train", pairs), ("valid", pairs[:3])):
        (CORPUS / f"{name}.tsv").unlink()
        write_split(name, part, "en-de", "en-fr")
    train_tokenizer.run(params({"target": ["de", "fr"]}), ignore)
    tokenizer, store = load_tokenizer(TOKENIZER), TokenStore.open(TOKENS / "train")
    assert tokenizer.languages == ("de", "fr")
    assert store.directions == ("en-de", "en-fr")
    assert store.direction_numbers.tolist() == [0, 1] * 88
    firsts = [tokenizer.source_pieces(store.source(index).tolist())[0] for index in range(len(store))]
    assert firsts == ["<2de>", "<2fr>"] * 88
    counts = json.loads((TOKENS / "counts.json").read_text())["train"]
    assert (counts["pairs"], counts["too_long"]) == (176, 4)
    assert counts["directions"] == {name: {"pairs": 88, "too_long": 2} for name in ("en-de", "en-fr")}


def test_with_one_direction_there_are_no_counts_by_direction(project):
    train_tokenizer.run(params(), ignore)
    assert "directions" not in json.loads((TOKENS / "counts.json").read_text())["train"]
    assert not (TOKENS / "train" / "directions.bin").exists()
    assert TokenStore.open(TOKENS / "train").directions == ("en-de",)


def test_unknown_tokens_are_counted(project):
    (CORPUS / "valid.tsv").unlink()
    write_split("valid", [("door", "Tor"), ("字", "Tor 字")])
    train_tokenizer.run(params(name="characters"), ignore)
    counts = json.loads((TOKENS / "counts.json").read_text())
    assert counts["valid"]["source"]["unknown_share"] == round(1 / 5, 6)
    assert counts["valid"]["target"]["unknown_share"] == round(1 / 8, 6)


def test_the_vocabulary_does_not_depend_on_validation_text(project):
    train_tokenizer.run(params(), ignore)
    before = (TOKENIZER / "joint.model").read_bytes()
    (CORPUS / "valid.tsv").unlink()
    write_split("valid", [("something else entirely", "etwas ganz anderes")] * 50)
    train_tokenizer.run(params(), ignore)
    assert (TOKENIZER / "joint.model").read_bytes() == before


@pytest.mark.parametrize("joint", [True, False])
def test_a_second_run_gives_the_same_bytes(project, joint):
    chosen = params(joint=joint, algorithm="unigram" if joint else "bpe")
    train_tokenizer.run(chosen, ignore)
    once = outputs()
    train_tokenizer.run(chosen, ignore)
    assert outputs() == once
    assert not list(project.rglob("*.part"))


def test_progress_reaches_the_end_of_each_part(project):
    reports = []
    train_tokenizer.run(params(), reports.append)
    last = {report.task: (report.done, report.total, report.unit, report.note) for report in reports}
    assert last == {
        "read pairs": (90, 90, "pairs", ""),
        "learn pieces": (300, 300, "pieces", ""),
        "encode train": (90, 90, "pairs", "2 too long"),
        "encode valid": (10, 10, "pairs", ""),
    }


def test_a_split_of_only_long_pairs_is_an_error(project):
    (CORPUS / "valid.tsv").unlink()
    write_split("valid", [("very " * 40, "lang")] * 3)
    with pytest.raises(CorpusError, match=r"valid\.tsv: none of its 3 pairs has at most 40 tokens on both sides"):
        train_tokenizer.run(params(), ignore)
    assert not (TOKENS / "valid").exists()
    assert not (TOKENS / "counts.json").exists()


def test_the_error_names_a_direction_that_params_yaml_lacks(project):
    with pytest.raises(CorpusError, match=r"train\.tsv: has en-de, which is not a direction of languages; run"):
        train_tokenizer.run(params({"target": "fr"}), ignore)


def test_a_vocabulary_too_large_writes_nothing(project):
    with pytest.raises(TokenizerError, match=r"supports at most \d+ pieces"):
        train_tokenizer.run(params(vocab_size=8000), ignore)
    assert outputs() == {}


def test_the_error_names_an_invalid_line(project):
    with (CORPUS / "train.tsv").open("a") as file:
        file.write("only one column\n")
    with pytest.raises(FormatError, match=r"train\.tsv: line 92"):
        train_tokenizer.run(params(), ignore)
    assert outputs() == {}


def test_the_module_runs_the_stage(project):
    text = re.sub(
        r"(vocab_size|slots): \d+", lambda found: f"{found[1]}: {300 if found[1] != 'slots' else 2}", PARAMS.read_text()
    )
    (project / "params.yaml").write_text(text)
    command = [sys.executable, "-m", "seqloom.stages", "train_tokenizer"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "encode train  90/90 pairs" in done.stdout
    (CORPUS / "train.tsv").unlink()
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: data/corpus/train.tsv does not exist")
    assert failed.stderr.count("\n") == 1


def make_shards(name: str, *sizes: int) -> None:
    """Replace the file of a split by shards with so many pairs, the last with all others."""
    pairs, folder = list(read_split(CORPUS / f"{name}.tsv")), CORPUS / name
    folder.mkdir()
    starts = [0, *accumulate(sizes), len(pairs)]
    entries = []
    for number, (start, end) in enumerate(pairwise(starts)):
        path = folder / shard_name(number, "parquet")
        pq.write_table(pa.Table.from_pylist([pair._asdict() for pair in pairs[start:end]]), path)
        entries.append(describe_shard(path, end - start))
    write_shards_of(folder, entries)
    (CORPUS / f"{name}.tsv").unlink()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_shards_are_encoded_as_the_file_of_the_same_pairs(project, monkeypatch, workers):
    SCORES.mkdir(parents=True)
    write_left_out(SCORES, np.array([3, 49, 52, 60]))
    train_tokenizer.run(params(), ignore)
    before, counts = outputs(), json.loads((TOKENS / "counts.json").read_text())
    plain = {path.name: path.read_bytes() for path in (TOKENS / "train").iterdir()}
    make_shards("train", 50, 1, 30)  # the second has only the long pair
    monkeypatch.setenv("SEQLOOM_WORKERS", workers)
    heard = []
    train_tokenizer.run(params(), heard.append)
    assert json.loads((TOKENS / "counts.json").read_text()) == counts
    assert {name: content for name, content in outputs().items() if "/train/" not in name} == {
        name: content for name, content in before.items() if "/train/" not in name
    }
    assert [shard.rows for shard in read_manifest(TOKENS / "train", "").shards] == [48, 28, 8]
    assert {path.name: path.read_bytes() for path in unpacked(TOKENS / "train").iterdir()} == plain
    assert Progress("encode", 4, 4, "shards").done in {each.done for each in heard if each.unit == "shards"}
    assert not Path("scratch/encode/train").exists()


def test_shards_without_a_short_pair_are_an_error(project):
    make_shards("train", 50)
    with pytest.raises(CorpusError, match=r"corpus/train: none of its pairs has at most 8 tokens"):
        train_tokenizer.run(params(max_length=8), ignore)
