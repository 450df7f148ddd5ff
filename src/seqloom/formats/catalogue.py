"""All supported formats by name, as used in params.yaml, on the command line and by the server."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import NamedTuple

from seqloom.formats.android import read_android
from seqloom.formats.apple_strings import read_apple_strings
from seqloom.formats.encoding import Declared, TextFile
from seqloom.formats.gettext import declared as gettext_charset
from seqloom.formats.gettext import read_gettext, write_gettext
from seqloom.formats.html import declared_charset, read_html
from seqloom.formats.json_catalogue import read_json_catalogue
from seqloom.formats.lines import read_text_lines
from seqloom.formats.markdown import read_markdown
from seqloom.formats.pieces import Options, Piece, write
from seqloom.formats.properties import declared as properties_encoding
from seqloom.formats.properties import read_properties
from seqloom.formats.subrip import read_subrip
from seqloom.formats.tables import read_table
from seqloom.formats.tmx import read_tmx
from seqloom.formats.xliff import read_xliff
from seqloom.formats.xml import declared_encoding
from seqloom.formats.yaml_catalogue import read_yaml_catalogue


def _nothing(head: bytes) -> str | None:
    return None


class Format(NamedTuple):
    """How to read and write one file format."""

    read: Callable[[TextFile, Options], Iterator[Piece]]
    bilingual: bool  # one file holds sources and targets; else there is one file per language
    suffixes: tuple[str, ...]  # lower case, with the leading dot
    declared: Declared = _nothing
    ordered: bool = False  # texts of two files are paired by position; else by key
    complete: bool = False  # an untranslated text is an error; else it is only skipped
    write: Callable[[TextFile, Options, Mapping[str, str]], Iterator[str]] | None = None  # None: use `pieces.write`


FORMATS: dict[str, Format] = {
    "android": Format(read_android, False, (".xml",), declared_encoding),
    "apple_strings": Format(read_apple_strings, False, (".strings",)),
    "csv": Format(read_table, True, (".csv",), complete=True),
    "gettext": Format(
        read_gettext, True, (".po", ".pot", ".mo", ".gmo"), declared=gettext_charset, write=write_gettext
    ),
    "html": Format(read_html, False, (".html", ".htm", ".xhtml"), declared_charset, ordered=True),
    "json_catalogue": Format(read_json_catalogue, False, (".json",)),
    "markdown": Format(read_markdown, False, (".md", ".markdown"), ordered=True),
    "moses": Format(read_text_lines, False, (".txt",), ordered=True),
    "properties": Format(read_properties, False, (".properties",), declared=properties_encoding),
    "subrip": Format(read_subrip, False, (".srt",)),
    "tmx": Format(read_tmx, True, (".tmx",), declared_encoding),
    "tsv": Format(read_table, True, (".tsv",), complete=True),
    "xliff": Format(read_xliff, True, (".xliff", ".xlf", ".sdlxliff", ".mqxliff", ".mxliff"), declared_encoding),
    "yaml_catalogue": Format(read_yaml_catalogue, False, (".yml", ".yaml")),
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


def format_of(name: str) -> str | None:
    """Return the format that a file's name suggests, ignoring a suffix such as `.gz`; None if it suggests none."""
    path = PurePath(name.lower())
    if path.suffix in (".gz", ".bz2", ".xz"):
        path = path.with_suffix("")
    return next((known for known, each in FORMATS.items() if path.suffix in each.suffixes), None)
