"""Settings of languages, prepare_corpus and the guard; `source_settings` has those of the corpora's sources."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from seqloom.languages import Direction
from seqloom.settings import Faults, Settings, check

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
_Count = Annotated[int, Field(ge=1, le=10**9)]


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
    # the largest number of segments per split for which all near-copies are found; of larger ones, 99.5% or more are
    leakage_sample: _Count = 5000


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
