"""Text files of unknown origin: the encoding is determined, never guessed, and sizes are limited.

The encoding is, in this order: that of a byte order mark, the one set in params.yaml, UTF-16 if every other byte is
zero, the one that the file declares, UTF-8. gzip is recognised by its first bytes. A binary file, such as a compiled
catalogue, is read as one character per byte (`BINARY`).
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, cast

from seqloom.errors import FormatError

BLOCK = 1 << 16  # bytes
LONGEST_LINE = 1 << 24  # characters
LARGEST_CATALOGUE = 1 << 28  # characters; catalogues are read whole, other files line by line

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark is a prefix of it
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NO_TEXT = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}

Declared = Callable[[bytes], str | None]
"""Returns the encoding declared in a file's first bytes, or None."""

BINARY = "binary"
"""What `Declared` returns for a binary file: each byte is read as the character with its number."""


class TextFile:
    """A text file, to be read once. Write it back with `encoding` and `bom`; `setting` is the user's choice."""

    def __init__(
        self,
        stream: IO[bytes],
        where: str,
        encoding: str | None = None,
        declared: Declared = lambda head: None,
    ) -> None:
        """Read the first bytes of `stream`; `where` names the file in errors.

        Raises:
            FormatError: Python does not support the encoding, or the gzip is broken.
        """
        self.where = where
        self._content = _Content(stream, where)
        head = self._content.peek()
        self.setting = encoding
        named = declared(head)
        self.bom = next((mark for mark in _BOMS if head.startswith(mark)), b"") if named != BINARY else b""
        self.binary = named == BINARY
        if self.binary:
            self.encoding = "iso8859-1"
        elif self.bom:
            self.encoding = _BOMS[self.bom]
        elif encoding is not None:
            self.encoding = self.supported_encoding(encoding, "the setting `encoding`")
        else:
            named = _utf16_without_bom(head) or named
            self.encoding = "utf-8" if named is None else self.supported_encoding(named, "the file")

    def blocks(self) -> Iterator[str]:
        """Yield the text in blocks, without the byte order mark and with line ends unchanged.

        Raises:
            FormatError: some bytes are invalid in the encoding; the error names line, bytes and remedy.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)()
        lines, skipped = 0, len(self.bom)
        while True:
            block = self._content.read(BLOCK)
            try:
                text = decoder.decode(block[skipped:], final=not block)
            except UnicodeDecodeError as error:
                raise FormatError(self._undecodable(error, lines)) from error
            except ValueError as error:  # some codecs raise a plain ValueError
                raise FormatError(f"{self.where}: after line {lines + 1}: not {self.encoding}: {error}") from error
            skipped = 0
            if text:
                yield text
            lines += text.count("\n")
            if not block:
                return

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield (number from 1, line with its end). Lines end with LF or CR LF only.

        Raises:
            FormatError: as for `blocks`; or a line exceeds `LONGEST_LINE`; or lines end with CR only.
        """
        number, parts, length = 1, [], 0
        for block in self.blocks():
            begin = 0
            while (end := block.find("\n", begin)) >= 0:
                parts.append(block[begin : end + 1])
                yield number, "".join(parts)
                number, parts, length, begin = number + 1, [], 0, end + 1
            if begin < len(block):
                parts.append(block[begin:])
                length += len(block) - begin
                if length > LONGEST_LINE:
                    raise FormatError(f"{self.where}: line {number}: is longer than {LONGEST_LINE:,} characters")
        if parts:
            rest = "".join(parts)
            if number == 1 and rest.rstrip("\r").count("\r") > 1:
                raise FormatError(
                    f"{self.where}: lines end with CR only, as on classic Mac OS; convert the file, "
                    r"for example with `tr '\r' '\n'`"
                )
            yield number, rest

    def read(self) -> str:
        """Return the whole text. Raises `FormatError` as for `blocks`, or if it exceeds `LARGEST_CATALOGUE`."""
        parts, length = [], 0
        for block in self.blocks():
            parts.append(block)
            length += len(block)
            if length > LARGEST_CATALOGUE:
                raise FormatError(f"{self.where}: the file is larger than {LARGEST_CATALOGUE:,} characters")
        return "".join(parts)

    def seekable(self) -> IO[bytes]:
        """Return the bytes of the file as a stream that can be read at any position.

        Raises:
            FormatError: the file is compressed as a whole, or is read from something without positions.
        """
        return self._content.at_start()

    def encode(self, text: Iterable[str]) -> Iterator[bytes]:
        """Yield the bytes of a text in this file's encoding, starting with its byte order mark.

        Raises:
            FormatError: the encoding cannot represent a character.
        """
        encoder = codecs.getincrementalencoder(self.encoding)()
        yield self.bom
        for part in text:
            try:
                yield encoder.encode(part)
            except UnicodeEncodeError as error:
                character = error.object[error.start]
                raise FormatError(
                    f"{self.where}: the translation contains {character!r}, which {self.encoding} cannot represent: "
                    "convert the file to UTF-8 first"
                ) from error
        yield encoder.encode("", final=True)

    def supported_encoding(self, name: str, who: str) -> str:
        """Return Python's name for the encoding that `who` names. Raises `FormatError` if it is not a text encoding."""
        try:
            "".encode(name)  # fails for codecs that are not text encodings, such as zip
            found = codecs.lookup(name).name
        except (LookupError, ValueError, UnicodeError):
            found = ""
        if not found or found.replace("_", "-") in _NO_TEXT:
            raise FormatError(
                f"{self.where}: {who} names the encoding {name[:40]!r}, which is not supported; set "
                "`encoding` of this corpus to a valid one, such as utf-8 or cp1252"
            )
        return "utf-8" if found == "utf-8-sig" else found

    def _undecodable(self, error: UnicodeDecodeError, lines: int) -> str:
        content = bytes(error.object)
        line = lines + content[: error.start].decode(self.encoding, "replace").count("\n") + 1
        begin = max(error.start - 20, content.rfind(b"\n", 0, error.start) + 1)
        sample = content[begin : error.start + 20].splitlines()[0]
        bad = content[error.start : max(error.end, error.start + 1)][:8].hex(" ")
        likely = _likely_encoding(content, error.start)
        hint = ""
        if likely is not None:
            read = sample.decode(likely, "replace")
            hint = f"; as {likely} the text is {read!r}: if that is right, set `encoding: {likely}`"
        return f"{self.where}: line {line}: the bytes {bad} are not {self.encoding}{hint or '; set `encoding`'}"


class _Content:
    """A file's bytes, decompressed if gzipped."""

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self._where = where
        buffered = io.BufferedReader(cast(io.RawIOBase, stream), BLOCK)
        self._stream: IO[bytes] = cast(IO[bytes], buffered)
        self._compressed = buffered.peek(2)[:2] == b"\x1f\x8b"
        if self._compressed:
            self._stream = cast(IO[bytes], gzip.GzipFile(fileobj=buffered))
        self._head = b""

    def peek(self) -> bytes:
        """Return the first bytes, at most `BLOCK`, without consuming them."""
        self._head = self._read(BLOCK)
        return self._head

    def at_start(self) -> IO[bytes]:
        """Return the stream, to be read from its first byte."""
        if self._compressed or not self._stream.seekable():
            raise FormatError(f"{self._where}: cannot be read while it is compressed: unpack it first")
        self._stream.seek(0)
        return self._stream

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; empty only at the end."""
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._read(size)

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FormatError(f"{self._where}: the gzip is truncated or corrupt: {error}") from error


def _utf16_without_bom(head: bytes) -> str | None:
    """Detect UTF-16 without a byte order mark: in mostly Latin text nearly every other byte is zero."""
    pairs = len(head) // 2
    if pairs < 2 or (len(head) < BLOCK and len(head) % 2):
        return None
    even, odd = (head[start::2].count(0) / pairs for start in (0, 1))
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.05 else None


def _likely_encoding(content: bytes, bad: int) -> str | None:
    """Guess the encoding around an invalid byte, for the error message only."""
    sample = content[max(0, bad - 4096) : bad + 4096]
    high = sum(byte > 0x7F for byte in sample)
    if high >= 64:
        try:
            from charset_normalizer import from_bytes
        except ImportError:
            pass
        else:
            best = from_bytes(sample).best()
            if best is not None:
                return best.encoding
    try:
        shown = content[bad : bad + 1].decode("cp1252")
    except UnicodeDecodeError:
        return None
    return "cp1252" if shown.isalpha() or shown in "€„“”‚‘’–—…°§«»©®" else None
