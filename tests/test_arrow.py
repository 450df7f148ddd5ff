import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqloom.arrow import array_of, numbers_of, read_parquet

KINDS = [
    ("string", ["a", "", "\u00e4\U0001f600"]),
    ("binary", [b"a", b"", b"\xed\xa0\x80"]),
    ("int32", [1, -2, 2**31 - 1]),
    ("int8", (-128, 0, 127)),
    ("bool", [True, False] * 5),
]


@pytest.mark.parametrize(("kind", "values"), KINDS)
def test_an_array_is_the_one_that_pyarrow_makes(kind: str, values: list[object]) -> None:
    expected = pa.array(values, kind)
    array = array_of(values, expected.type)
    array.validate(full=True)
    assert array.equals(expected)
    assert array_of([], expected.type).equals(pa.array([], kind))


def test_numbers_of_a_part_of_an_array() -> None:
    array = pa.array([3, 1, 4, 1, 5], pa.int32())
    assert numbers_of(array).tolist() == [3, 1, 4, 1, 5]
    assert numbers_of(array.slice(1, 3)).tolist() == [1, 4, 1]
    assert numbers_of(array.slice(5)).dtype == np.int32


def test_a_parquet_file_is_read_a_group_of_rows_at_a_time(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).integers(0, 1 << 62, (2, 400_000))
    columns = dict(zip(("a", "b"), numbers, strict=True))
    pq.write_table(pa.table(columns), tmp_path / "file", row_group_size=10_000, use_dictionary=False)
    before, held, first = pa.total_allocated_bytes(), 0, []
    for batch in read_parquet(tmp_path / "file", ["b"], 4_000):
        assert batch.num_rows <= 4_000
        held = max(held, pa.total_allocated_bytes() - before)
        first.append(batch.column(0)[0].as_py())
    assert first[1] == numbers[1, 4_000]
    assert len(first) >= 100
    assert held < (tmp_path / "file").stat().st_size / 10


def test_what_prepare_corpus_does_with_arrow_does_not_import_pandas(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from pathlib import Path
import numpy as np
from seqloom.arrow import array_of, numbers_of, pa
from seqloom.corpus.preparing.batches import BatchWriter, read_batches
from seqloom.corpus.preparing.pair_files import Lines, Shard
from seqloom.corpus.statistics import Tally
from seqloom.corpus.splits import Pair
from seqloom.languages import Direction

columns = dict.fromkeys(Pair._fields, "string")
with BatchWriter(Path("pairs.arrow"), columns) as writer:
    writer.write(list(zip(*[Pair("a" * 50, "b", "en-de", "made", "")] * 3)))
tally = Tally([Direction("en", "de")])
with Lines(Path("train.lines")) as lines, Shard(Path("train.parquet")) as shard:
    for batch in read_batches(Path("pairs.arrow")):
        kept = batch.rows.filter(array_of(np.array([True, False, True]), pa.bool_()))
        tally.count(kept)
        lines.write(kept)
        shard.write(kept)
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert (tmp_path / "train.lines").read_text(encoding="utf-8") == f"{'a' * 50}\tb\ten-de\tmade\t\n" * 2
