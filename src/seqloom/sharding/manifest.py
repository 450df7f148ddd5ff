"""A folder of shards and its manifest, which names the shards in order with their rows, bytes and SHA-256.

A few large files, so that DVC and object stores handle a corpus of any size: the rows of a shard follow those of the
shard before it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seqloom.errors import ShardError
from seqloom.files import read_object, sha256_of, write_json

MANIFEST = "manifest.json"
_FORMAT = 1


class Shard(NamedTuple):
    """A file of the folder."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Manifest(NamedTuple):
    """The shards of a folder in order, and the names of their columns."""

    columns: tuple[str, ...]
    shards: tuple[Shard, ...]

    @property
    def rows(self) -> int:
        """The rows of all shards."""
        return sum(shard.rows for shard in self.shards)


def shard_name(number: int, ending: str) -> str:
    """Return the name of a shard, such as `00012.parquet`."""
    return f"{number:05}.{ending}"


def describe_shard(path: Path, rows: int) -> Shard:
    """Return the manifest's entry for a file."""
    return Shard(path.name, rows, path.stat().st_size, sha256_of(path))


def write_manifest(folder: Path, columns: Sequence[str], shards: Sequence[Shard]) -> Manifest:
    """Write the manifest of a folder. Without it, the folder counts as unfinished."""
    manifest = Manifest(tuple(columns), tuple(shards))
    record = {
        "format": _FORMAT,
        "columns": list(columns),
        "rows": manifest.rows,
        "shards": [shard._asdict() for shard in shards],
    }
    write_json(folder / MANIFEST, record)
    return manifest


def read_manifest(folder: Path, remedy: str) -> Manifest:
    """Return the manifest of a folder.

    Args:
        folder: the folder of the shards.
        remedy: what the user can do about a missing or broken manifest; ends the error message.

    Raises:
        ShardError: the manifest is missing or malformed, or a file's size differs from its entry.
    """
    record = read_object(folder / MANIFEST, ShardError, remedy)
    try:
        if record["format"] != _FORMAT:
            raise ValueError(f"format is {record['format']!r}, must be {_FORMAT}")
        shards = tuple(
            Shard(str(each["name"]), int(each["rows"]), int(each["bytes"]), str(each["sha256"]))
            for each in record["shards"]
        )
        columns = tuple(map(str, record["columns"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ShardError(f"{folder / MANIFEST}: not a manifest of shards ({error}); {remedy}") from error
    for shard in shards:
        path = folder / Path(shard.name).name  # a manifest must not point elsewhere
        size = path.stat().st_size if path.is_file() else None
        if size != shard.bytes:
            found = "is missing" if size is None else f"has {size:,} bytes, not {shard.bytes:,}"
            raise ShardError(f"{path}: {found}; {remedy}")
    return Manifest(columns, shards)
