"""The source `url`: a file at an http(s) address, pinned by sha256; archives are extracted."""

from pathlib import Path

from seqloom.corpus.source_settings import UrlPlace
from seqloom.corpus.sources import http_client
from seqloom.corpus.sources.archives import Limits, unpack
from seqloom.corpus.sources.download import RETRY_POLICY, RemoteFile, RetryPolicy, obtain
from seqloom.corpus.sources.download_cache import DownloadCache, copy
from seqloom.progress import Listener


def fetch_url(
    corpus: str,
    source: UrlPlace,
    into: Path,
    cache: DownloadCache,
    listen: Listener,
    policy: RetryPolicy = RETRY_POLICY,
) -> None:
    """Put the file, or the contents of the archive, into the folder `into`.

    Raises:
        SourceError: the file cannot be downloaded; see `download.obtain`.
        ArchiveError: see `archives.unpack`.
    """
    file = remote_file(corpus, source)
    copied = into / file.name
    copy(obtain(corpus, file, cache, listen, policy), copied, f"copy {corpus}", listen)
    unpack(copied, Limits(bytes=source.max_bytes), f"unpack {corpus}", listen)


def remote_file(corpus: str, source: UrlPlace) -> RemoteFile:
    """Return what to download."""
    name = http_client.file_name(source.url)
    return RemoteFile(source.url, name, source.sha256, source.max_bytes, f"{source.section}.{corpus}.url")
