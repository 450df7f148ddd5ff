"""The text of a file that someone else wrote: its encoding is found, never guessed, and its bytes are bounded.

A file that is no text at all, such as a compiled catalogue, comes as one character per byte (`BINARY`).
A byte order mark decides; then what params.yaml says; then what the file declares; then zero bytes, which only UTF-16
has in every other place; then UTF-8. gzip is recognised by its first bytes.
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
LARGEST_CATALOGUE = 1 << 28  # characters; a catalogue is read whole, other files line by line

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark is its beginning
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NO_TEXT = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}

Declared = Callable[[bytes], str | None]
"""Finds the encoding that a file declares in its first bytes, or None."""

BINARY = "binary"
"""What `Declared` returns for a file that is no text: each byte becomes the character of the same number."""


class TextFile:
    """A file as text, read once. `encoding` and `bom` say how to write it back; `setting` is what the user set."""

    def __init__(
        self,
        stream: IO[bytes],
        where: str,
        encoding: str | None = None,
        declared: Declared = lambda head: None,
    ) -> None:
        """Look at the first bytes of `stream`; `where` names the file in errors.

        Raises:
            FormatError: the encoding is not one that Python knows, or the gzip is broken.
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
            self.encoding = self.known(encoding, "the setting `encoding`")
        else:
            named = _zeros(head) or named
            self.encoding = "utf-8" if named is None else self.known(named, "the file")

    def blocks(self) -> Iterator[str]:
        """Yield the text block by block, without the byte order mark, line ends as they are.

        Raises:
            FormatError: bytes that are no text in this encoding; line, bytes and remedy are named.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)()
        lines, skipped = 0, len(self.bom)
        while True:
            block = self._content.read(BLOCK)
            try:
                text = decoder.decode(block[skipped:], final=not block)
            except UnicodeDecodeError as error:
                raise FormatError(self._undecodable(error, lines)) from error
            except ValueError as error:  # some codecs raise no UnicodeDecodeError
                raise FormatError(f"{self.where}: after line {lines + 1}: not {self.encoding}: {error}") from error
            skipped = 0
            if text:
                yield text
            lines += text.count("\n")
            if not block:
                return

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield (number from 1, line with its end). Only LF, alone or behind CR, ends a line.

        Raises:
            FormatError: as `blocks`, or a line is longer than `LONGEST_LINE`, or only CR ends the lines.
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
                    f"{self.where}: its lines end in CR alone, which old Mac programs write; convert it, "
                    r"as with `tr '\r' '\n'`"
                )
            yield number, rest

    def read(self) -> str:
        """Return the whole text. Raises `FormatError` as `blocks`, or if it is larger than a catalogue ever is."""
        parts, length = [], 0
        for block in self.blocks():
            parts.append(block)
            length += len(block)
            if length > LARGEST_CATALOGUE:
                raise FormatError(f"{self.where}: is larger than {LARGEST_CATALOGUE:,} characters")
        return "".join(parts)

    def encode(self, text: Iterable[str]) -> Iterator[bytes]:
        """Yield the bytes of a text in the encoding of this file, its byte order mark first.

        Raises:
            FormatError: a character does not exist in this encoding.
        """
        encoder = codecs.getincrementalencoder(self.encoding)()
        yield self.bom
        for part in text:
            try:
                yield encoder.encode(part)
            except UnicodeEncodeError as error:
                character = error.object[error.start]
                raise FormatError(
                    f"{self.where}: the translation holds {character!r}, which {self.encoding} cannot write: "
                    "convert the file to UTF-8 first"
                ) from error
        yield encoder.encode("", final=True)

    def known(self, name: str, who: str) -> str:
        """Return Python's name of the encoding that `who` names. Raises `FormatError` if text cannot be read in it."""
        try:
            "".encode(name)  # fails for codecs that are no text encodings, such as zip
            found = codecs.lookup(name).name
        except (LookupError, ValueError, UnicodeError):
            found = ""
        if not found or found.replace("_", "-") in _NO_TEXT:
            raise FormatError(
                f"{self.where}: {who} names the encoding {name[:40]!r}, which is none that text is read in; set "
                "`encoding` of this corpus to the right one, such as utf-8 or cp1252"
            )
        return "utf-8" if found == "utf-8-sig" else found

    def _undecodable(self, error: UnicodeDecodeError, lines: int) -> str:
        content = bytes(error.object)
        line = lines + content[: error.start].decode(self.encoding, "replace").count("\n") + 1
        begin = max(error.start - 20, content.rfind(b"\n", 0, error.start) + 1)
        sample = content[begin : error.start + 20].splitlines()[0]
        bad = content[error.start : max(error.end, error.start + 1)][:8].hex(" ")
        likely = _likely(content, error.start)
        hint = ""
        if likely is not None:
            read = sample.decode(likely, "replace")
            hint = f"; in {likely} it reads {read!r}: if that is right, set `encoding: {likely}`"
        return f"{self.where}: line {line}: the bytes {bad} are not {self.encoding}{hint or '; set `encoding`'}"


class _Content:
    """Bytes of a file, decompressed if they are gzip."""

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self._where = where
        buffered = io.BufferedReader(cast(io.RawIOBase, stream), BLOCK)
        self._stream: IO[bytes] = cast(IO[bytes], buffered)
        if buffered.peek(2)[:2] == b"\x1f\x8b":
            self._stream = cast(IO[bytes], gzip.GzipFile(fileobj=buffered))
        self._head = b""

    def peek(self) -> bytes:
        """Return the first bytes, at most `BLOCK`, which `read` returns again."""
        self._head = self._read(BLOCK)
        return self._head

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none only at the end."""
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._read(size)

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FormatError(f"{self._where}: the gzip is truncated or corrupt: {error}") from error


def _zeros(head: bytes) -> str | None:
    """UTF-16 without a mark: nearly every other byte of mostly Latin text is zero."""
    pairs = len(head) // 2
    if pairs < 2 or (len(head) < BLOCK and len(head) % 2):
        return None
    even, odd = (head[start::2].count(0) / pairs for start in (0, 1))
    if odd > 0.4 and even < 0.05:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.05 else None


def _likely(content: bytes, bad: int) -> str | None:
    """The encoding that the bytes around a wrong one are probably in, for a message only."""
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
