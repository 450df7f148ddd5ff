"""The format `subrip`: `.srt` subtitles, one file per language. The lines of a cue form one text.

A cue's key is its start time: cues of two languages are paired if they start at the same time. Cue numbers and times
are copied.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial

from seqloom.errors import FormatError
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Piece, Skip, Unit

_TIME = re.compile(r"\s*(-?[0-9]{1,3}:[0-9]{1,2}:[0-9]{1,2}[,.][0-9]{1,3})\s*-->\s*-?[0-9]{1,3}:[0-9]{1,2}:[0-9]{1,2}")
_LINE_END = re.compile(r"\r\n|\r|\n")
_MOST_LINES = 1000  # per cue


def read_subrip(file: TextFile, options: Options) -> Iterator[Piece]:
    """Yield a unit for every cue that has text.

    Raises:
        FormatError: the file has text but no cue, or a cue is longer than `_MOST_LINES` lines.
    """
    cue: _Cue | None = None
    seen: Counter[str] = Counter()
    strays = 0
    for number, line in file.lines():
        time = _TIME.match(line)
        if time is not None:
            yield from cue.pieces(before_cue=True) if cue else ()
            start = time[1].replace(".", ",")
            seen[start] += 1
            cue = _Cue(start if seen[start] == 1 else f"{start} #{seen[start]}", number + 1)
            yield line
        elif not line.strip():
            yield from cue.pieces() if cue else ()
            cue = None
            yield line
        elif cue is not None:
            cue.lines.append(line)
            if len(cue.lines) > _MOST_LINES:
                raise FormatError(f"{file.where}: line {cue.line}: a cue is longer than {_MOST_LINES:,} lines")
        elif line.strip().isdecimal():
            yield line
        else:
            strays = strays or number
            yield Skip(line, "text outside a cue", number, line.strip())
    yield from cue.pieces() if cue else ()
    if strays and not seen:
        raise FormatError(
            f"{file.where}: line {strays}: not SubRip: no line of the file has times such as "
            "00:00:01,000 --> 00:00:02,500"
        )


class _Cue:
    """The text lines of a cue."""

    def __init__(self, key: str, line: int) -> None:
        self.key, self.line = key, line
        self.lines: list[str] = []

    def pieces(self, before_cue: bool = False) -> Iterator[Piece]:
        """Yield the text. If the next cue follows directly (`before_cue`), the last line may be its number."""
        number = self.lines.pop() if before_cue and self.lines and self.lines[-1].strip().isdecimal() else ""
        if self.lines:
            last = self.lines[-1]
            end = last[len(last.rstrip("\r\n")) :]
            self.lines[-1] = last.rstrip("\r\n")
            source = "\n".join(line.rstrip("\r\n") for line in self.lines)
            line_end = "\r\n" if self.lines[0].endswith("\r\n") or end == "\r\n" else "\n"
            yield Unit("".join(self.lines), self.key, source, None, self.line, partial(_put, line_end=line_end))
            yield end
        yield number


def _put(translation: str, line_end: str) -> str:
    """Drop blank lines, which would end the cue, and rewrite arrows, which could start another."""
    lines = (line.replace("-->", "->") for line in _LINE_END.split(translation))
    return line_end.join(line for line in lines if line.strip())
