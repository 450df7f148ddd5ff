"""The format `moses`: a file per language, aligned by line; plain or gzip."""

from collections.abc import Iterator
from itertools import zip_longest

from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.lines import read_lines
from seqloom.corpus.members import Members
from seqloom.errors import FormatError
from seqloom.languages import Direction


def read_moses(members: Members, pattern: str, direction: Direction) -> Iterator[RawPair]:
    """Yield the pairs of every two files that the pattern, with its `{lang}`, matches.

    A line may be empty, which is how this format leaves a line without translation.

    Raises:
        FormatError: a side is missing, or the sides have different numbers of lines.
    """
    sources, targets = members.sides(pattern, direction.source), members.sides(pattern, direction.target)
    if not sources and not targets:
        raise FormatError(f"{members.place}: no file matches {pattern!r}; there are {', '.join(members.names[:5])}")
    for key in sorted(sources.keys() | targets.keys()):
        if key not in sources or key not in targets:
            there, missing = (sources, direction.target) if key in sources else (targets, direction.source)
            raise FormatError(f"{members.place}: {there[key].name} has no file for {missing!r} beside it ({pattern})")
        yield from _aligned(members, sources[key].name, targets[key].name)


def _aligned(members: Members, source: str, target: str) -> Iterator[RawPair]:
    source_lines = target_lines = 0
    for left, right in zip_longest(read_lines(members, source), read_lines(members, target)):
        source_lines += left is not None
        target_lines += right is not None
        if left is not None and right is not None:
            yield RawPair(left[1], right[1], "")
    if source_lines != target_lines:
        raise FormatError(
            f"{members.place}: {source} has {source_lines:,} lines and {target} has {target_lines:,}; "
            "line N of the one must be the translation of line N of the other"
        )
