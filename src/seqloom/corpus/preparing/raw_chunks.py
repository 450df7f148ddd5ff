"""Reads corpora in order and writes chunks of about equal size; workers are already busy with earlier ones.

`read.json` beside the chunks says which corpora are read completely, so after an interruption reading goes on with the
first corpus that is not.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.corpus.preparing import batches
from seqloom.corpus.preparing.batches import BatchWriter
from seqloom.corpus.preparing.items import CorpusItem, RawCorpus
from seqloom.corpus.reading import LeftOut
from seqloom.corpus.splits import Split
from seqloom.files import sha256_of, write_json
from seqloom.languages import Direction
from seqloom.sharding.step import Input

_READ = "read.json"
# Texts are bytes because raw ones may contain lone surrogates, which UTF-8 does not allow. `split` is -1 if the corpus
# provides none. `reason` is empty for pairs; for a text left out, `source` is the text and `group` its place.
_COLUMNS = {
    "corpus": "int32", "direction": "int32", "split": "int8", "reason": "string",
    "source": "binary", "target": "binary", "group": "binary",
}  # fmt: skip


class RawRow(NamedTuple):
    """A row of a chunk; the fields of `_COLUMNS`."""

    corpus: int
    direction: int
    split: int
    reason: str
    source: bytes
    target: bytes
    group: bytes


def raw_chunks(
    corpora: Sequence[RawCorpus], directions: Sequence[Direction], folder: Path, size: int
) -> Iterator[Input]:
    """Write the corpora as chunks of at least `size` bytes of text, and yield each one when it is complete.

    Chunks are not smaller than a quarter of `size`, except the last one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = _Record(folder, size)
    done = record.resume([corpus.identity for corpus in corpora])
    yield from record.inputs()
    writer = _Chunks(folder, len(record.chunks), size, {each: number for number, each in enumerate(directions)})
    try:
        for number, corpus in enumerate(corpora[done:], done):
            for item in corpus.read():
                if writer.add(number, item):
                    yield record.add(writer.close())
            if writer.bytes >= size // 4 or (number == len(corpora) - 1 and (writer.bytes or not record.chunks)):
                yield record.add(writer.close())
            record.end(corpus.identity, whole=not writer.bytes)
    finally:
        writer.abandon()


class _Chunk(NamedTuple):
    name: str
    sha256: str
    bytes: int


class _Record:
    """What is read, as in read.json: the chunks, and for each corpus the number of chunks when it ended.

    That number is None if the corpus ended in the middle of a chunk.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self.chunks: list[_Chunk] = []
        self._ended: list[tuple[str, int | None]] = []

    def resume(self, identities: Sequence[str]) -> int:
        """Take over what is there for these corpora, and return how many of them need not be read again."""
        try:
            stored = json.loads((self._folder / _READ).read_text(encoding="utf-8"))
            if stored["size"] != self._size:
                return 0
            ended = [(str(identity), count) for identity, count in stored["corpora"]]
            chunks = [_Chunk(*each) for each in stored["chunks"]]
        except (OSError, ValueError, TypeError, KeyError):
            return 0
        there = 0
        for chunk in chunks:
            path = self._folder / chunk.name
            if not path.is_file() or path.stat().st_size != chunk.bytes:
                break
            there += 1
        done = 0
        for number, ((identity, count), wanted) in enumerate(zip(ended, identities, strict=False), 1):
            if identity != wanted:
                break
            if count is not None and count <= there:
                done, self.chunks = number, chunks[:count]
        self._ended = ended[:done]
        return done

    def inputs(self) -> Iterator[Input]:
        for chunk in self.chunks:
            yield self._input(chunk)

    def add(self, path: Path) -> Input:
        chunk = _Chunk(path.name, sha256_of(path), path.stat().st_size)
        self.chunks.append(chunk)
        return self._input(chunk)

    def end(self, identity: str, *, whole: bool) -> None:
        self._ended.append((identity, len(self.chunks) if whole else None))
        write_json(self._folder / _READ, {"size": self._size, "corpora": self._ended, "chunks": self.chunks})

    def _input(self, chunk: _Chunk) -> Input:
        return Input(self._folder / chunk.name, chunk.sha256)


class _Chunks:
    """Writes one chunk after the other."""

    def __init__(self, folder: Path, number: int, size: int, directions: dict[Direction, int]) -> None:
        self._folder, self._number, self._size, self._directions = folder, number, size, directions
        self._writer: BatchWriter | None = None
        self._rows: list[tuple[Any, ...]] = []
        self._waiting = 0  # bytes of the texts of these rows
        self.bytes = 0  # of the texts of the chunk

    def add(self, corpus: int, item: CorpusItem) -> bool:
        """Add an item of a corpus, and return whether the chunk is large enough to be closed."""
        found, split = item.pair, -1 if item.split is None else int(item.split)
        if isinstance(found, LeftOut):
            reason, source, target, group = found.reason, _bytes(found.text), b"", _bytes(found.place)
        else:
            reason, source, target, group = "", _bytes(found.source), _bytes(found.target), _bytes(found.group)
        self._rows.append((corpus, self._directions[item.direction], split, reason, source, target, group))
        size = len(source) + len(target) + 1  # even a row of empty texts counts
        self.bytes += size
        self._waiting += size
        if len(self._rows) >= batches.ROWS or self._waiting >= batches.BYTES:
            self._flush()
        return self.bytes >= self._size

    def close(self) -> Path:
        """Finish the chunk, which may be empty, and return its path."""
        self._flush()
        assert self._writer is not None
        self._writer.__exit__(None, None, None)
        path = self._path
        self._writer, self.bytes = None, 0
        self._number += 1
        return path

    def abandon(self) -> None:
        """Close the file of a chunk that is not complete."""
        if self._writer is not None:
            self._writer.__exit__(None, None, None)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._number:05}.arrow"

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = BatchWriter(self._path, _COLUMNS)
        if self._rows:
            self._writer.write(list(zip(*self._rows, strict=True)))
        self._rows, self._waiting = [], 0


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def raw_rows(path: Path) -> Iterator[list[RawRow]]:
    """Yield the rows of a chunk, batch by batch."""
    for batch in batches.read_batches(path):
        yield list(map(RawRow, *(column.to_pylist() for column in batch.rows.columns)))


def split_in(row: RawRow) -> Split | None:
    """Return the split that the corpus of a row provides."""
    return None if row.split < 0 else Split(row.split)
