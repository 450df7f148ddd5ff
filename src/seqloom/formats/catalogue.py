"""All supported formats by name, as used in params.yaml, on the command line and by the server.

Readers are named, not imported: settings use this table too, and a stage that only downloads files must not depend on
every reader.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import PurePath
from typing import Any, NamedTuple

from seqloom.formats.encoding import Declared, TextFile
from seqloom.formats.pieces import Options, Piece, write


def _nothing(head: bytes) -> str | None:
    return None


def _load(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(f"seqloom.formats.{module}"), function)


class Format(NamedTuple):
    """How to read and write one file format. Functions are named as MODULE:FUNCTION of this package."""

    reader: str
    bilingual: bool  # True: a file holds sources and targets. False: there is one file per language
    suffixes: tuple[str, ...]  # lower case, with the leading dot
    charset: str | None = None  # finds the encoding that the first bytes of a file declare
    ordered: bool = False  # texts of two files are paired by position; else by key
    complete: bool = False  # an untranslated text is an error; else it is only skipped
    writer: str | None = None  # None: use `pieces.write`
    read_only: bool = False  # no translations can be written back

    @property
    def read(self) -> Callable[[TextFile, Options], Iterator[Piece]]:
        """The function that reads a file."""
        function: Callable[[TextFile, Options], Iterator[Piece]] = _load(self.reader)
        return function

    @property
    def declared(self) -> Declared:
        """The function that returns the encoding which the first bytes of a file declare, or None."""
        function: Declared = _nothing if self.charset is None else _load(self.charset)
        return function

    @property
    def write(self) -> Callable[[TextFile, Options, Mapping[str, str]], Iterator[str]] | None:
        """The function that writes translations back; None: use `pieces.write`."""
        return None if self.writer is None else _load(self.writer)


FORMATS: dict[str, Format] = {
    "android": Format("android:read_android", False, (".xml",), "xml:declared_encoding"),
    "apple_strings": Format("apple_strings:read_apple_strings", False, (".strings",)),
    "csv": Format("tables:read_table", True, (".csv",), complete=True),
    "gettext": Format(
        "gettext:read_gettext", True, (".po", ".pot", ".mo", ".gmo"), "gettext:declared", writer="gettext:write_gettext"
    ),
    "html": Format("html:read_html", False, (".html", ".htm", ".xhtml"), "html:declared_charset", ordered=True),
    "json_catalogue": Format("json_catalogue:read_json_catalogue", False, (".json",)),
    "markdown": Format("markdown:read_markdown", False, (".md", ".markdown"), ordered=True),
    "moses": Format("lines:read_text_lines", False, (".txt",), ordered=True),
    "parquet": Format("parquet:read_parquet", True, (".parquet",), "parquet:declared", read_only=True),
    "properties": Format("properties:read_properties", False, (".properties",), "properties:declared"),
    "subrip": Format("subrip:read_subrip", False, (".srt",)),
    "tmx": Format("tmx:read_tmx", True, (".tmx",), "xml:declared_encoding"),
    "tsv": Format("tables:read_table", True, (".tsv",), complete=True),
    "xliff": Format(
        "xliff:read_xliff", True, (".xliff", ".xlf", ".sdlxliff", ".mqxliff", ".mxliff"), "xml:declared_encoding"
    ),
    "yaml_catalogue": Format("yaml_catalogue:read_yaml_catalogue", False, (".yml", ".yaml")),
}


def translated(name: str, file: TextFile, options: Options, translations: Mapping[str, str]) -> Iterator[str]:
    """Yield the text of a file in the format `name` with `translations`, which maps the keys of units to targets.

    Raises:
        FormatError: the file is broken.
    """
    chosen = FORMATS[name]
    if chosen.write is not None:
        return chosen.write(file, options, translations)
    return write(chosen.read(file, options), translations)


def document_suffixes() -> list[str]:
    """Return the suffixes of files that translations can be written into."""
    return sorted({suffix for each in FORMATS.values() if not each.read_only for suffix in each.suffixes})


def format_of(name: str) -> str | None:
    """Return the format that a file's name suggests, ignoring a suffix such as `.gz`; None if it suggests none."""
    path = PurePath(name.lower())
    if path.suffix in (".gz", ".bz2", ".xz"):
        path = path.with_suffix("")
    return next((known for known, each in FORMATS.items() if path.suffix in each.suffixes), None)
