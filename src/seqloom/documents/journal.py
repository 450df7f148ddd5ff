"""The journal of a run: finished translations and documents, so that a killed run continues where it stopped.

It is a file of JSON lines beside the output. The first line identifies the model and its settings; with others, the
journal is begun anew. A line that a kill cut off is ignored. The journal is removed when the run has succeeded.
"""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from seqloom.documents.document import Translate
from seqloom.errors import DocumentError
from seqloom.progress import Listener, Progress, ignore
from seqloom.translation.results import Flag, Result

CHUNK = 64  # texts that are translated and written to the journal together
_VERSION = 1


class Journal:
    """The journal in a file. Use it as a context manager: it holds a lock, so that no other run writes the same output.

    A journal without entries is removed at the end.
    """

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self._path, self._head = path, {"version": _VERSION, "identity": dict(identity)}
        self._results: dict[str, Result] = {}
        self._documents: dict[str, tuple[str, str]] = {}  # output -> hashes of the document and of the output
        self._file: IO[bytes] | None = None
        self._size = 0  # bytes of the file that are valid

    def __enter__(self) -> Self:
        """Open the file and read what a run with this identity has left.

        Raises:
            DocumentError: another run uses it.
            OSError: it cannot be opened.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise DocumentError(f"{self._path}: another run is writing there; wait until it has ended") from error
        self._file.seek(0)
        self._read(self._file.read())
        self._file.truncate(self._size)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; remove it if it has no entry."""
        if self._file is not None:
            if not self._size:
                self._path.unlink(missing_ok=True)
            self._file.close()

    @property
    def results(self) -> int:
        """How many translations it has."""
        return len(self._results)

    def translating(self, translate: Translate, listen: Listener = ignore, task: str = "translate") -> Translate:
        """Return a function that looks texts up, and translates and records the others in chunks."""

        def translated(texts: Sequence[str]) -> list[Result]:
            missing = [text for text in texts if text not in self._results]
            for begin in range(0, len(missing), CHUNK):
                listen(Progress(task, len(texts) - len(missing) + begin, len(texts), "texts"))
                chunk = missing[begin : begin + CHUNK]
                found = dict(zip(chunk, translate(chunk), strict=True))
                self._write(*({"source": text, **_as_plain(each)} for text, each in found.items()))
                self._results |= found
            listen(Progress(task, len(texts), len(texts), "texts"))
            return [self._results[text] for text in texts]

        return translated

    def finish(self, output: str, document: str, written: str) -> None:
        """Record that an output was written from a document; both are SHA-256 hashes."""
        self._documents[output] = document, written
        self._write({"output": output, "document": document, "written": written})

    def finished(self, output: str, document: str) -> str | None:
        """Return the hash of the output if it was written from this document, else None."""
        found = self._documents.get(output)
        return found[1] if found and found[0] == document else None

    def wrote(self, output: str) -> str | None:
        """Return the hash of an output that the run has written, or None."""
        found = self._documents.get(output)
        return found[1] if found else None

    def remove(self) -> None:
        """Delete all entries, and with them the file."""
        self._size = 0

    def _read(self, content: bytes) -> None:
        for number, line in enumerate(content.splitlines(keepends=True)):
            try:
                entry = json.loads(line) if line.endswith(b"\n") else None
                if number == 0 and entry != self._head:
                    return
                if number:
                    self._take(entry)
            except (ValueError, TypeError, KeyError, RecursionError):
                return  # cut off, or not ours; what follows is translated again
            self._size += len(line)

    def _take(self, entry: Any) -> None:
        if "output" in entry:
            self._documents[str(entry["output"])] = str(entry["document"]), str(entry["written"])
        else:
            flags = tuple(map(Flag, entry["flags"]))
            confidence = None if entry["confidence"] is None else float(entry["confidence"])
            self._results[str(entry["source"])] = Result(str(entry["text"]), flags, confidence)

    def _write(self, *entries: Mapping[str, Any]) -> None:
        if self._file is None:
            raise ValueError("the journal is not open")
        if not self._size:
            entries = (self._head, *entries)
        # JSON escapes lone surrogates, which UTF-8 cannot represent.
        written = "".join(f"{json.dumps(entry)}\n" for entry in entries).encode()
        self._file.write(written)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._size += len(written)


def _as_plain(result: Result) -> dict[str, Any]:
    return {"text": result.text, "flags": list(map(str, result.flags)), "confidence": result.confidence}
