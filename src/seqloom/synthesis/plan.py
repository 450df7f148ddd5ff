"""What translate_corpus does for each name in its settings: which texts it translates, and in which direction."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.monolingual_settings import MonolingualSource
from seqloom.corpus.settings import Languages
from seqloom.languages import Direction
from seqloom.settings import Faults
from seqloom.synthesis.settings import SynthesisSettings

Monolingual = Mapping[str, MonolingualSource]


class Plan(NamedTuple):
    """A corpus to translate. `side` (0 source, 1 target) is the side of the synthetic pairs that the texts form."""

    name: str
    settings: SynthesisSettings
    direction: Direction  # of the synthetic pairs
    side: int

    @property
    def decoded(self) -> Direction:
        """The direction in which the model translates."""
        return Direction(self.direction[self.side], self.direction[1 - self.side])


class _FaultError(ValueError):
    """A setting is wrong: its name, and what is wrong with it."""


def check_synthesis(
    synthesis: Mapping[str, SynthesisSettings],
    languages: Languages,
    corpora: Mapping[str, Source],
    monolingual: Monolingual,
) -> Faults:
    """Yield the faults of the section."""
    for name, settings in synthesis.items():
        if name in corpora or name in monolingual:
            yield name, "is also the name of a corpus; choose another name"
        for check in (
            _corpus_faults(settings, corpora, monolingual),
            _plan_faults(name, settings, languages, monolingual),
        ):
            for field, message in check:
                yield f"{name}.{field}", message


def plans(synthesis: Mapping[str, SynthesisSettings], languages: Languages, monolingual: Monolingual) -> list[Plan]:
    """Return what to do, in the order of the settings, which must be valid."""
    return [_plan(name, settings, languages, monolingual) for name, settings in synthesis.items()]


def _corpus_faults(
    settings: SynthesisSettings, corpora: Mapping[str, Source], monolingual: Monolingual
) -> Iterator[tuple[str, str]]:
    if settings.corpus not in corpora and settings.corpus not in monolingual:
        yield "corpus", f"is {settings.corpus!r}, which is no corpus; valid are {', '.join([*monolingual, *corpora])}"
    elif settings.n_best > 1 and settings.corpus in monolingual:
        yield "n_best", f"must be 1: the corpus {settings.corpus} is monolingual, so there is no reference to compare"
    elif settings.corpus in corpora and corpora[settings.corpus].split in ("valid", "test"):
        yield "corpus", f"is {settings.corpus!r}, whose split is not train; a model must not train on it"


def _plan_faults(
    name: str, settings: SynthesisSettings, languages: Languages, monolingual: Monolingual
) -> Iterator[tuple[str, str]]:
    try:
        side = _plan(name, settings, languages, monolingual).side
    except _FaultError as fault:
        yield fault.args
        return
    if settings.noise.is_on and side == 0:
        yield "noise", "is for back-translation: it changes synthetic sources, but here the targets are synthetic"


def _plan(name: str, settings: SynthesisSettings, languages: Languages, monolingual: Monolingual) -> Plan:
    language = monolingual[settings.corpus].language if settings.corpus in monolingual else None
    wanted = None if settings.side is None else ("source", "target").index(settings.side)
    if settings.direction is None:
        directions = languages.directions
    else:
        directions = [Direction(settings.direction.source, settings.direction.target)]
        if directions[0] not in languages.directions:
            valid = ", ".join(map(str, languages.directions))
            raise _FaultError("direction", f"is {directions[0]}, which is not in languages; valid are {valid}")
    if language is None:
        found = [(each, wanted or 0) for each in directions]
    else:
        found = [(each, side) for each in directions for side in (0, 1) if each[side] == language]
        found = [(each, side) for each, side in found if wanted in (None, side)]
    if not found:
        raise _FaultError(
            "corpus", f"is {settings.corpus!r}, whose texts ({language}) are on no such side of languages"
        )
    if len(found) > 1:
        raise _FaultError(
            "direction", f"is needed, because several are possible: {', '.join(str(each) for each, _ in found)}"
        )
    return Plan(name, settings, *found[0])
