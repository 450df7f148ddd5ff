"""Settings of sources in public catalogues: OPUS, mtdata and Hugging Face. A lock file records what they contain."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from seqloom.corpus.settings import Language, Languages, Sha256
from seqloom.corpus.source_settings import MaxBytes, PairSettings, SectionSettings
from seqloom.languages import Direction
from seqloom.settings import Faults, check

_Part = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)]
_Repository = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)
]
_Branch = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]*$", max_length=200)]
_OpusCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]+)*$", max_length=40)]


def pair_name(direction: Direction) -> str:
    """Return the name of the files with pairs of these two languages, in either direction."""
    return "-".join(sorted(direction))


class OpusPlace(SectionSettings):
    """A corpus of OPUS (opus.nlpl.eu)."""

    kind: Literal["opus"]  # a corpus of OPUS
    corpus: _Part  # name of the corpus in OPUS, such as OpenSubtitles
    release: _Part  # such as v2018
    codes: dict[Language, _OpusCode] = Field(default_factory=dict)  # of languages that OPUS spells differently
    max_bytes: MaxBytes = 100_000_000_000  # of each download, and of its unpacked contents

    def code(self, language: str) -> str:
        """Return OPUS's code of a language."""
        return self.codes.get(language, language)


class OpusSource(OpusPlace, PairSettings):
    """A corpus of OPUS by name and release: a file for every pair of `languages`."""

    format: Literal["moses", "tmx"] = "moses"  # which of OPUS's files to fetch
    # SHA-256 of the download, or a mapping such as {de-en: ...} for several pairs of languages; null: the hash of the
    # first download is recorded in data/sources.lock.json
    sha256: dict[str, Sha256] | Sha256 | None = None

    def pattern_of(self, direction: Direction) -> str | None:
        """Return the glob of the files with pairs of a direction."""
        return f"{pair_name(direction)}.tmx" if self.format == "tmx" else f"{pair_name(direction)}.{{lang}}"

    @property
    def pattern(self) -> str | None:
        """A glob for any direction."""
        return "*.tmx" if self.format == "tmx" else "*.{lang}"

    def has_all_directions(self, languages: Languages) -> bool:
        """Return True: there is a file for every pair of languages."""
        return True

    def pin_of(self, pair: str) -> str | None:
        """Return the SHA-256 of the file with a pair of languages, or None."""
        return self.sha256.get(pair) if isinstance(self.sha256, dict) else self.sha256

    @check
    def _no_members(self) -> Faults:
        if self.members is not None:
            yield "members", "must be left out: the names of OPUS's files are known"


class MtdataPlace(SectionSettings):
    """A data set of mtdata's catalogue."""

    kind: Literal["mtdata"]  # a data set of mtdata's catalogue
    # its id, such as Statmt-europarl-10-deu-eng
    dataset: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-[A-Za-z0-9_.]+-\w+-\w+$", max_length=200)
    ]
    # SHA-256 of the download; null: the hash of the first download is recorded in data/sources.lock.json
    sha256: Sha256 | None = None
    max_bytes: MaxBytes = 100_000_000_000  # of the download, and of its unpacked contents


class MtdataSource(MtdataPlace, PairSettings):
    """A data set by its id in mtdata's catalogue, which names the address and the format."""

    format: Literal["moses", "tmx", "tsv"] = "moses"  # replaced by the format that the catalogue names

    @property
    def pattern(self) -> str | None:
        """The glob of the files, which have fixed names."""
        return "pairs.{lang}" if self.format == "moses" else f"pairs.{self.format}"

    def has_all_directions(self, languages: Languages) -> bool:
        """Return whether `languages` has a single direction; the data set has one pair of languages."""
        return languages.count == 1

    @check
    def _no_members(self) -> Faults:
        if self.members is not None:
            yield "members", "must be left out: mtdata names the files"


class HuggingFacePlace(SectionSettings):
    """Files of a data set on the Hugging Face Hub."""

    kind: Literal["huggingface"]  # a data set on the Hugging Face Hub
    dataset: _Repository  # such as Helsinki-NLP/opus-100
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]  # full hash of the commit
    branch: _Branch | None = None  # to watch, such as main
    max_bytes: MaxBytes = 100_000_000_000  # of all files together


class HuggingFaceSource(HuggingFacePlace, PairSettings):
    """Files of a data set on the Hugging Face Hub at one commit, usually Parquet. No code of the data set is run."""

    @check
    def _needs_members(self) -> Faults:
        if self.members is None:
            yield "members", "is required: the files of the data set, such as de-en/train-*.parquet"
