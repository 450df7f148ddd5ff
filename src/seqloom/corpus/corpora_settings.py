"""The section `corpora`: every kind of source of sentence pairs, and what they must have in common with `languages`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from seqloom.corpus.catalogue_settings import HuggingFaceSource, MtdataSource, OpusSource, pair_name
from seqloom.corpus.settings import Languages
from seqloom.corpus.source_settings import FileSource, GitSource, PackageSource, UrlSource, pin_faults
from seqloom.settings import Faults

_SHOWN = 20  # directions listed in a message

Source = Annotated[
    PackageSource | UrlSource | FileSource | GitSource | OpusSource | MtdataSource | HuggingFaceSource,
    Field(discriminator="kind"),
]


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
        yield from pin_faults(name, corpus, corpus.languages(languages))
        if isinstance(corpus, OpusSource):
            pairs = {pair_name(each) for each in corpus.directions(languages)}
            if isinstance(corpus.sha256, str) and len(pairs) > 1:
                yield f"{name}.sha256", f"each pair of languages needs its own: {{{', '.join(sorted(pairs))}: ...}}"
