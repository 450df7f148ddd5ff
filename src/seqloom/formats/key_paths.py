"""Paths of keys in nested files, as JSON pointers (RFC 6901), and limits on their length and depth."""

from seqloom.errors import FormatError

MOST_NESTED = 200
LONGEST_PATH = 10_000  # characters


def child_path(path: str, key: str, where: str) -> str:
    """Return the path of `key` below `path`. Raises `FormatError`, prefixed with `where`, if it is too long."""
    if "~" in key or "/" in key:
        key = key.replace("~", "~0").replace("/", "~1")
    found = f"{path}/{key}"
    if len(found) > LONGEST_PATH:
        raise FormatError(f"{where}: the path of keys is longer than {LONGEST_PATH:,} characters")
    return found
