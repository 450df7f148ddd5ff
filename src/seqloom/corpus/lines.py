"""Lines of a text file that someone else wrote: UTF-8, plain or gzip, with or without BOM, LF or CRLF."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from seqloom.corpus.members import Members
from seqloom.errors import FormatError


def read_lines(members: Members, name: str) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line without its end) of a file.

    Raises:
        FormatError: naming the line that is not UTF-8, or the file whose gzip is broken.
    """
    with members.open(name) as stream, plain(stream) as content:
        number = 0
        try:
            for number, line in enumerate(content, 1):
                text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                yield number, text.rstrip(b"\r\n").decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{members.place}: {name}: line {number}: not UTF-8 at byte {error.start + 1} of the line "
                f"(0x{error.object[error.start]:02x}); convert the file, as with `iconv -t UTF-8`"
            ) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FormatError(
                f"{members.place}: {name}: line {number + 1}: the gzip is truncated or corrupt: {error}"
            ) from error


@contextmanager
def plain(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """Decompress what starts as gzip does, whatever its name is."""
    buffered = io.BufferedReader(cast(io.RawIOBase, stream))
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=buffered) as decompressed:
            yield cast(IO[bytes], decompressed)
    else:
        yield cast(IO[bytes], buffered)
