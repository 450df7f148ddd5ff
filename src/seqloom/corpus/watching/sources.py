"""Checks all sources in params.yaml for updates, and fetches what new pins require."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.corpus.catalogue_settings import HuggingFaceSource, MtdataSource, OpusSource
from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.monolingual_settings import HuggingFaceTexts, MonolingualSource, OpusTexts
from seqloom.corpus.settings import Languages
from seqloom.corpus.source_settings import FilePlace, GitPlace, PackagePlace, UrlPlace
from seqloom.corpus.sources.download_cache import DownloadCache
from seqloom.corpus.sources.git import newest
from seqloom.corpus.sources.package import fetch_newest
from seqloom.corpus.watching.catalogues import check_dataset, check_mtdata, check_opus
from seqloom.corpus.watching.file import check_file
from seqloom.corpus.watching.package import check_package
from seqloom.corpus.watching.status import ResponseCache, SourceStatus
from seqloom.corpus.watching.url import check_url
from seqloom.errors import SourceError
from seqloom.progress import Listener

AnySource = Source | MonolingualSource


class CheckResults(NamedTuple):
    """The results in order, and the errors of sources that could not be checked."""

    statuses: list[SourceStatus]
    errors: list[SourceError]


def check_sources(
    corpora: Mapping[str, AnySource],
    languages: Languages,
    cache: DownloadCache,
    responses: ResponseCache,
    manifest: Path,
) -> CheckResults:
    """Check every source; an error does not keep the others from being checked."""
    results = CheckResults([], [])
    for corpus, source in corpora.items():
        try:
            results.statuses.append(_check(corpus, source, languages, cache, responses, manifest))
        except SourceError as error:
            results.errors.append(error)
    return results


def _check(
    corpus: str, source: AnySource, languages: Languages, cache: DownloadCache, responses: ResponseCache, manifest: Path
) -> SourceStatus:
    match source:
        case PackagePlace():
            return check_package(corpus, source)
        case UrlPlace():
            return check_url(corpus, source, cache, responses)
        case GitPlace():
            return _check_git(corpus, source, cache)
        case FilePlace():
            return check_file(corpus, source, source.languages(languages), manifest)
        case OpusSource() | OpusTexts():
            return check_opus(corpus, source, languages)
        case HuggingFaceSource() | HuggingFaceTexts():
            return check_dataset(corpus, source)
        case MtdataSource():
            return check_mtdata(corpus, source)


def _check_git(corpus: str, source: GitPlace, cache: DownloadCache) -> SourceStatus:
    if source.branch is None:
        why = "pinned; to check for updates, set `branch` to the branch to follow"
        return SourceStatus(corpus, "git", False, source.commit, source.commit, why, {})
    found = newest(corpus, source, cache)
    changed = found != source.commit
    why = f"the branch {source.branch} " + ("has new commits" if changed else "is unchanged")
    return SourceStatus(corpus, "git", changed, source.commit, found, why, {"commit": found} if changed else {})


def new_pins(
    statuses: list[SourceStatus], corpora: Mapping[str, AnySource], cache: DownloadCache, listen: Listener
) -> dict[str, dict[str, Any]]:
    """Return the settings, by corpus, that update to what was found; wheels are downloaded for their sha256.

    Raises:
        SourceError: a wheel cannot be fetched.
    """
    wanted = {}
    for each in statuses:
        if each.pins:
            wanted[each.corpus] = dict(each.pins)
            source = corpora[each.corpus]
            if isinstance(source, PackagePlace):
                version = each.pins["version"]
                wanted[each.corpus]["sha256"] = fetch_newest(each.corpus, source, version, cache, listen)
    return wanted
