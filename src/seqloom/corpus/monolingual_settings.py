"""Settings of monolingual corpora: the same places as those of pairs, with texts in one language."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from seqloom.corpus.catalogue_settings import HuggingFacePlace, OpusPlace
from seqloom.corpus.settings import Language, Languages, Sha256
from seqloom.corpus.source_settings import (
    Column,
    CorpusDirection,
    FilePlace,
    FileSettings,
    GitPlace,
    PackagePlace,
    UrlPlace,
    column_faults,
    pattern_in,
    pin_faults,
)
from seqloom.formats.catalogue import FORMATS
from seqloom.languages import Direction
from seqloom.settings import Faults, check

TEXT = "text"  # one text per line
SIDED = ("tmx", "xliff", "gettext")  # formats with pairs, of which one side is read
_NAMES = [TEXT, *FORMATS]


def _known(name: str) -> str:
    if name not in _NAMES:
        raise ValueError(f"must be one of {', '.join(map(repr, _NAMES))}; got {name!r}")
    return name


class TextSettings(FileSettings):
    """How the files of a source with texts in one language are read."""

    language: Language  # language of the texts; one of `languages`
    # file format; `text` has one text per line, and of a format with pairs one side is read; see docs/FILES.md
    format: Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": _NAMES})] = TEXT
    # column of the texts: TSV and CSV by its number, counted from 0 (null: 0); Parquet by its name (null: `text`)
    column: Column | None = None
    # Required for TMX, XLIFF and gettext: the languages of the pairs, of which the side in `language` is read.
    direction: CorpusDirection | None = None

    @property
    def section(self) -> str:
        """The section of params.yaml."""
        return "monolingual"

    @property
    def pair_direction(self) -> Direction:
        """The direction in which files with pairs are read; the language with itself if they have one language."""
        one = self.direction
        return Direction(self.language, self.language) if one is None else Direction(one.source, one.target)

    @property
    def reads_target(self) -> bool:
        """Whether the texts are the targets of pairs."""
        return self.direction is not None and self.direction.target == self.language

    def languages(self, languages: Languages) -> list[str]:
        """Return the language of the texts, in a list as for pairs."""
        return [self.language]

    @check
    def _column(self) -> Faults:
        yield from column_faults("column", self.format, self.column)

    @check
    def _side(self) -> Faults:
        if self.format in SIDED and self.direction is None:
            yield "direction", f"is required for {self.format}: the source and the target of its pairs"
        elif self.format not in SIDED and self.direction is not None:
            yield "direction", f"is only for {', '.join(SIDED)}; format is {self.format}"
        if self.direction is not None and self.language not in (self.direction.source, self.direction.target):
            yield "direction", f"must have language ({self.language}) on one of its sides"

    @check
    def _pattern(self) -> Faults:
        if self.format == "gettext" and not self.pattern:
            yield "members", "is required for gettext, for example */locale/{lang}/LC_MESSAGES/{group}.mo"


class PackageTexts(PackagePlace, TextSettings):
    """A wheel, as in `corpora`."""


class UrlTexts(UrlPlace, TextSettings):
    """A file or archive at an http(s) address, as in `corpora`."""


class FileTexts(FilePlace, TextSettings):
    """The user's own files, as in `corpora`."""

    @property
    def pattern(self) -> str | None:
        """The glob of the files with texts; None if there is a single file."""
        return pattern_in(self.path, self.members)


class GitTexts(GitPlace, TextSettings):
    """Files of a Git repository at one commit, as in `corpora`."""


class OpusTexts(OpusPlace, TextSettings):
    """The texts of one language of an OPUS corpus, one per line."""

    # SHA-256 of the download; null: the hash of the first download is recorded in data/sources.lock.json
    sha256: Sha256 | None = None

    @check
    def _one_file(self) -> Faults:
        if self.format != TEXT:
            yield "format", f"must be text, as OPUS's monolingual files are; is {self.format}"
        if self.members is not None:
            yield "members", "must be left out: OPUS has one file per language"


class HuggingFaceTexts(HuggingFacePlace, TextSettings):
    """Files of a data set on the Hugging Face Hub at one commit, as in `corpora`."""

    @check
    def _needs_members(self) -> Faults:
        if self.members is None:
            yield "members", "is required: the files of the data set, such as data/train-*.parquet"


MonolingualSource = Annotated[
    PackageTexts | UrlTexts | FileTexts | GitTexts | OpusTexts | HuggingFaceTexts, Field(discriminator="kind")
]


def check_monolingual(
    monolingual: Mapping[str, MonolingualSource], corpora: Mapping[str, object], languages: Languages
) -> Faults:
    """Yield faults: a name that a corpus of pairs has too, or a language that the model does not have."""
    known = list(dict.fromkeys([*languages.sources, *languages.targets]))
    for name, source in monolingual.items():
        if name in corpora:
            yield name, "is also the name of one of the corpora; each needs its own folder in data/raw"
        if source.language not in known:
            yield f"{name}.language", f"is {source.language}, which is not in languages; valid are {', '.join(known)}"
        yield from pin_faults(name, source, [source.language])
