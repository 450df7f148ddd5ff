"""Update checks for sources in public catalogues: OPUS's newest release, and the newest commit of a branch."""

from collections.abc import Sequence
from typing import Any

from seqloom.corpus.catalogue_settings import MtdataSource, OpusPlace, OpusSource
from seqloom.corpus.monolingual_settings import OpusTexts
from seqloom.corpus.settings import Languages
from seqloom.corpus.sources.huggingface import Dataset, newest_commit
from seqloom.corpus.sources.opus import newest_release
from seqloom.corpus.watching.status import SourceStatus


def check_opus(corpus: str, source: OpusSource | OpusTexts, languages: Languages) -> SourceStatus:
    """Check whether OPUS's catalogue has a newer release for all languages. Raises `SourceError`."""
    newest = {each: newest_release(corpus, source, each) for each in _codes(source, languages)}
    releases = set(newest.values())
    if len(releases) > 1:
        listed = ", ".join(f"{'-'.join(codes)} {release}" for codes, release in newest.items())
        why = f"the newest releases of the pairs of languages differ: {listed}"
        return SourceStatus(corpus, "opus", False, source.release, None, why, {})
    (found,) = releases
    changed = found is not None and found != source.release
    why = "OPUS's catalogue does not list it" if found is None else "the newest release in OPUS's catalogue"
    pins: dict[str, Any] = {"release": found} if changed else {}
    if changed and source.sha256 is not None:
        pins["sha256"] = None  # of the old release; that of the new one is recorded when it is fetched
    return SourceStatus(corpus, "opus", changed, source.release, found, why, pins)


def _codes(source: OpusPlace, languages: Languages) -> list[Sequence[str]]:
    """Return the languages of each file, in OPUS's spelling."""
    if isinstance(source, OpusTexts):
        return [(source.code(source.language),)]
    assert isinstance(source, OpusSource)
    return list(dict.fromkeys(tuple(sorted(map(source.code, each))) for each in source.directions(languages)))


def check_dataset(corpus: str, source: Dataset) -> SourceStatus:
    """Check whether the branch of a data set has a newer commit. Raises `SourceError`."""
    if source.branch is None:
        why = "pinned; to check for updates, set `branch` to the branch to follow, such as main"
        return SourceStatus(corpus, "huggingface", False, source.commit, source.commit, why, {})
    found = newest_commit(corpus, source)
    changed = found != source.commit
    why = f"the branch {source.branch} " + ("has new commits" if changed else "is unchanged")
    return SourceStatus(corpus, "huggingface", changed, source.commit, found, why, {"commit": found} if changed else {})


def check_mtdata(corpus: str, source: MtdataSource) -> SourceStatus:
    """Return that the data set is not checked: its version is part of its id."""
    why = "not checked: the id names one version; `mtdata list` shows newer ones"
    return SourceStatus(corpus, "mtdata", False, source.dataset, source.dataset, why, {})
