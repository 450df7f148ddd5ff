"""Token ids as a folder of compressed shards, and how a machine that trains unpacks them.

A shard is a Parquet file with a row per pair: the ids of both sides, and the number of its direction. The folder also
has the `meta.json` of a store. Unpacked, the shards are the store that a `TokenWriter` would have written for the same
pairs, byte for byte, so batches do not depend on how the ids are stored.
"""

import fcntl
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from seqloom.arrow import pa, pq, read_parquet
from seqloom.errors import CorpusError, ShardError
from seqloom.files import sha256_of
from seqloom.places import SCRATCH
from seqloom.sharding.manifest import MANIFEST, Shard, read_manifest
from seqloom.symbols import Symbols

SIDES = ("source", "target")
DIRECTIONS = "directions.bin"
META = "meta.json"
FORMAT = 2
COLUMNS = (*SIDES, "direction")
UNPACKED = SCRATCH / "tokens"  # on each machine that trains; a link to a fast disk may stand in its place
_ROWS = 1 << 14  # pairs of a group of rows: what is held in memory
_REMEDY = "run train_tokenizer again, or `dvc pull`"


class Vocabularies(NamedTuple):
    """The vocabularies of a store of token ids, and the names of its directions."""

    source_size: int
    target_size: int
    symbols: Symbols
    directions: Sequence[str]

    @property
    def kind(self) -> np.dtype[Any]:
        """The type of the ids."""
        return np.dtype("<u2" if max(self.source_size, self.target_size) <= 1 << 16 else "<i4")

    def meta(self, pairs: int, tokens: Sequence[int]) -> dict[str, Any]:
        """Return the content of `meta.json`, given the number of pairs and of the tokens of each side."""
        return {
            "format": FORMAT,
            "pairs": pairs,
            "dtype": self.kind.str,
            "symbols": self.symbols._asdict(),
            "directions": list(self.directions),
            "source": {"vocab_size": self.source_size, "tokens": tokens[0]},
            "target": {"vocab_size": self.target_size, "tokens": tokens[1]},
        }


def write_shard(path: Path, pairs: Iterable[tuple[list[int], list[int], int]], kind: np.dtype[Any]) -> None:
    """Write the ids of pairs, each with the number of its direction, as a shard; `kind` is the type of the ids."""
    ids = pa.list_(pa.from_numpy_dtype(kind))
    schema = pa.schema([(side, ids) for side in SIDES] + [("direction", pa.uint16())])
    waiting = iter(pairs)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while rows := list(islice(waiting, _ROWS)):
            columns = [
                pa.array(column, each.type) for column, each in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def unpacked(folder: Path) -> Path:
    """Return the folder of the store in `folder`: itself, or where its shards are unpacked, once for this machine.

    Raises:
        CorpusError: the folder holds neither.
        ShardError: a shard is missing or damaged.
    """
    if not (folder / MANIFEST).is_file():
        return folder
    digest = sha256_of(folder / MANIFEST)
    store = UNPACKED / folder.name / digest
    store.parent.mkdir(parents=True, exist_ok=True)
    with (store.parent / "lock").open("w") as lock:  # other processes of this machine wait until it is unpacked
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (store / META).is_file():
            for older in store.parent.iterdir():
                if older.is_dir():
                    shutil.rmtree(older, ignore_errors=True)
            _unpack(folder, store)
    return store


def _unpack(folder: Path, store: Path) -> None:
    """Write the shards as the files of a store; `meta.json` comes last."""
    manifest = read_manifest(folder, _REMEDY)
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        kind, several = np.dtype(str(meta["dtype"])), len(meta["directions"]) > 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{folder / META}: cannot be read ({error!r}); {_REMEDY}") from error
    store.mkdir()
    with ExitStack() as files:

        def new(name: str) -> BinaryIO:
            return files.enter_context((store / name).open("wb"))

        columns = [_Column(new(f"{side}.ids.bin"), new(f"{side}.offsets.bin"), kind) for side in SIDES]
        directions = new(DIRECTIONS) if several else None
        for shard in manifest.shards:
            for batch in _batches(folder, shard):
                for column, ids in zip(columns, batch.columns[:2], strict=True):
                    column.add(ids)
                if directions:
                    directions.write(batch.columns[2].to_numpy().astype("<u2").data)
    shutil.copyfile(folder / META, store / META)


def _batches(folder: Path, shard: Shard) -> Iterable[Any]:
    path = folder / shard.name
    if sha256_of(path) != shard.sha256:
        raise ShardError(f"{path}: is damaged: its SHA-256 is not that of the manifest; {_REMEDY}")
    try:
        yield from read_parquet(path, COLUMNS, _ROWS)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ShardError(f"{path}: is not a shard of token ids: {error}; {_REMEDY}") from error


class _Column:
    """The files of one side."""

    def __init__(self, ids: BinaryIO, offsets: BinaryIO, kind: np.dtype[Any]) -> None:
        self._ids, self._offsets, self._kind = ids, offsets, kind
        self._tokens = 0
        offsets.write(bytes(8))  # the first segment starts at 0

    def add(self, segments: Any) -> None:
        """Append segments, an array of lists."""
        ends = segments.offsets.to_numpy().astype(np.int64)
        self._ids.write(segments.flatten().to_numpy().astype(self._kind).data)
        self._offsets.write((ends[1:] - ends[0] + self._tokens).astype("<u8").data)
        self._tokens += int(ends[-1] - ends[0])
