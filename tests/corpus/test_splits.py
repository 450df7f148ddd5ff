import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqloom.corpus.preparing.pair_files import Shard
from seqloom.corpus.splits import Pair, Split, SplitWriter, read_split, write_shards_of
from seqloom.errors import FormatError, ShardError
from seqloom.sharding.manifest import describe_shard

HEADER = "source\ttarget\tdirection\tcorpus\tgroup\n"
fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.builds(Pair, fields, fields, st.just("en-de"), fields, fields), max_size=5))
def test_pairs_survive_a_round_trip(tmp_path, pairs):
    path = tmp_path / "s.tsv"
    path.unlink(missing_ok=True)
    with SplitWriter(path) as writer:
        for pair in pairs:
            writer.write(pair)
    assert writer.pairs == len(pairs)
    assert list(read_split(path)) == pairs
    assert path.read_bytes().startswith(HEADER.encode())


@pytest.mark.parametrize("breaker", ["\t", "\n", "\r"])
def test_a_text_with_a_tab_or_line_break_is_rejected(tmp_path, breaker):
    with pytest.raises(FormatError, match="pair 1 contains a TAB"), SplitWriter(tmp_path / "s.tsv") as writer:
        writer.write(Pair(f"a{breaker}b", "c", "en-de", "c", ""))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty and lacks even the header"),
        (b"source\ttarget\n", "line 1: must be the header"),
        (HEADER.encode() + b"a\tb\tc\td\te\na\tb\n", "line 3: found 2 columns, need 5"),
        (HEADER.encode() + b"\xff\tb\tc\td\te\n", "not UTF-8"),
    ],
)
def test_errors_for_malformed_files_describe_the_fault(tmp_path, content, fault):
    (tmp_path / "s.tsv").write_bytes(content)
    with pytest.raises(FormatError, match=rf"s\.tsv.*{fault}"):
        list(read_split(tmp_path / "s.tsv"))


def test_the_error_for_a_missing_file_names_the_stage_to_run(tmp_path):
    with pytest.raises(FormatError, match="run the stage prepare_corpus"):
        list(read_split(tmp_path / "s.tsv"))


def test_file_names_of_splits():
    assert [split.file_name for split in Split] == ["train.tsv", "valid.tsv", "test.tsv"]


@pytest.fixture
def shards(tmp_path):
    """A split of two shards, and its pairs."""
    pairs = [Pair(f"source {number}", f"target {number}", "en-de", "c", "") for number in range(5)]
    entries = []
    for number, part in enumerate((pairs[:3], pairs[3:])):
        path = tmp_path / "train" / f"{number:05}.parquet"
        path.parent.mkdir(exist_ok=True)
        with Shard(path) as file:
            file.write(pa.record_batch(list(map(pa.array, zip(*part, strict=True))), list(Pair._fields)))
        entries.append(describe_shard(path, len(part)))
    write_shards_of(tmp_path / "train", entries)
    return pairs


def test_shards_are_read_in_the_place_of_a_file(tmp_path, shards):
    assert list(read_split(tmp_path / "train.tsv")) == list(read_split(tmp_path / "train")) == shards
    with SplitWriter(tmp_path / "train.tsv") as writer:
        writer.write(shards[0])
    assert list(read_split(tmp_path / "train.tsv")) == shards[:1]


def test_errors_for_broken_shards_name_the_shard(tmp_path, shards):
    path = tmp_path / "train" / "00001.parquet"
    content = path.read_bytes()
    path.write_bytes(b"x" * len(content))
    with pytest.raises(FormatError, match=r"00001\.parquet: is not a shard of pairs: .*run the stage prepare_corpus"):
        list(read_split(tmp_path / "train.tsv"))
    path.unlink()
    with pytest.raises(ShardError, match=r"00001\.parquet: is missing; run the stage prepare_corpus"):
        list(read_split(tmp_path / "train.tsv"))
