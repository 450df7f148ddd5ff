"""Checks all sources in params.yaml for updates, and fetches what new pins require."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.corpus.settings import FileSource, GitSource, Languages, PackageSource, Source, UrlSource
from seqloom.corpus.sources.depot import Depot
from seqloom.corpus.sources.git import newest
from seqloom.corpus.sources.package import fetch_newest
from seqloom.corpus.watching.file import ask_file
from seqloom.corpus.watching.news import Memory, News
from seqloom.corpus.watching.package import ask_package
from seqloom.corpus.watching.url import ask_url
from seqloom.errors import SourceError
from seqloom.progress import Listener


class Answers(NamedTuple):
    """The results in order, and the errors of sources that could not be checked."""

    news: list[News]
    faults: list[SourceError]


def ask(corpora: Mapping[str, Source], languages: Languages, depot: Depot, memory: Memory, manifest: Path) -> Answers:
    """Check every source; an error does not keep the others from being checked."""
    answers = Answers([], [])
    for corpus, source in corpora.items():
        try:
            answers.news.append(_ask(corpus, source, languages, depot, memory, manifest))
        except SourceError as fault:
            answers.faults.append(fault)
    return answers


def _ask(corpus: str, source: Source, languages: Languages, depot: Depot, memory: Memory, manifest: Path) -> News:
    match source:
        case PackageSource():
            return ask_package(corpus, source)
        case UrlSource():
            return ask_url(corpus, source, depot, memory)
        case GitSource():
            return _ask_git(corpus, source, depot)
        case FileSource():
            return ask_file(corpus, source, source.directions(languages), manifest)


def _ask_git(corpus: str, source: GitSource, depot: Depot) -> News:
    if source.branch is None:
        why = "pinned; to check for updates, set `branch` to the branch to follow"
        return News(corpus, "git", False, source.commit, source.commit, why, {})
    found = newest(corpus, source, depot)
    changed = found != source.commit
    why = f"the branch {source.branch} " + ("has new commits" if changed else "is unchanged")
    return News(corpus, "git", changed, source.commit, found, why, {"commit": found} if changed else {})


def pins(news: list[News], corpora: Mapping[str, Source], depot: Depot, listen: Listener) -> dict[str, dict[str, Any]]:
    """Return the settings, by corpus, that update to what was found; wheels are downloaded for their sha256.

    Raises:
        SourceError: a wheel cannot be fetched.
    """
    wanted = {}
    for each in news:
        if each.pins:
            wanted[each.corpus] = dict(each.pins)
            source = corpora[each.corpus]
            if isinstance(source, PackageSource):
                version = each.pins["version"]
                wanted[each.corpus]["sha256"] = fetch_newest(each.corpus, source, version, depot, listen)
    return wanted
