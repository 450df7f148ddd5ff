"""The source `mtdata`: a data set of mtdata's catalogue, downloaded and unpacked by seqloom.

mtdata is not imported: the libraries that it pins conflict with those of this project, and its index executes files of
the working folder. Instead, its index file is read, which any command of an mtdata that is installed elsewhere writes.
What the index says about a data set is kept in the lock file, so only whoever adds the data set needs mtdata.
"""

import json
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.corpus.catalogue_settings import MtdataSource
from seqloom.corpus.sources import http_client
from seqloom.corpus.sources.archives import Limits, safe_name, unpack
from seqloom.corpus.sources.download import RemoteFile, obtain
from seqloom.corpus.sources.download_cache import DownloadCache, copy, remove
from seqloom.corpus.sources.json_client import literal
from seqloom.errors import FormatError, SourceError
from seqloom.formats.language_tags import matches
from seqloom.languages import Direction
from seqloom.progress import Listener

CACHE_VARIABLE = "MTDATA"  # mtdata's own variable for the folder of its index
DESCRIPTION = "dataset.json"
_ARCHIVES = ("zip", "tar", "tar.gz", "tgz")
_LONGEST_LINE = 1 << 20


class Entry(NamedTuple):
    """What the catalogue says about a data set."""

    url: str
    format: str  # moses, tmx or tsv
    languages: tuple[str, str]  # in the order of the columns or files
    paths: tuple[str, ...]  # patterns of the files in an archive; empty for a single file
    columns: tuple[int, int]  # of a tsv


def find_entry(corpus: str, source: MtdataSource, direction: Direction, cache: DownloadCache) -> Entry:
    """Return the data set's entry, from the lock file or else mtdata's index; its languages as those of the direction.

    Raises:
        SourceError: there is no index, it lacks the data set, or the data set has a format that is not supported, or
            other languages.
    """
    name = f"mtdata:{source.dataset}"
    kept = cache.lock.looked_up(name) if cache.lock is not None else None
    record = _search(corpus, source.dataset) if kept is None else kept
    entry = _entry(corpus, source.dataset, record)
    entry = entry._replace(languages=_order(corpus, source.dataset, entry, direction))
    if kept is None and cache.lock is not None:
        cache.lock.record_lookup(name, record)
    return entry


def entry_file(corpus: str, source: MtdataSource, entry: Entry) -> RemoteFile:
    """Return what to download."""
    accept = f"if it is right, accept it with `seqloom set corpora.{corpus}.sha256={{sha256}}`"
    name = http_client.file_name(entry.url)
    address = http_client.without_query(entry.url)
    return RemoteFile(entry.url, name, source.sha256, source.max_bytes, f"corpora.{corpus}.dataset", address, accept)


def fetch_mtdata(
    corpus: str,
    source: MtdataSource,
    direction: Direction,
    into: Path,
    cache: DownloadCache,
    listen: Listener,
) -> None:
    """Put the texts of the direction's languages into the folder `into`, with a description for `as_described`.

    Raises:
        SourceError: the file cannot be found or downloaded, or has other languages.
        ArchiveError: see `archives.unpack`.
    """
    entry = find_entry(corpus, source, direction, cache)
    found = obtain(corpus, entry_file(corpus, source, entry), cache, listen)
    work = into / "unpacked"
    work.mkdir()
    copied = work / found.name
    copy(found, copied, f"copy {corpus}", listen)
    unpack(copied, Limits(bytes=source.max_bytes), f"unpack {corpus}", listen)
    if entry.format == "moses":
        for language, pattern in zip(entry.languages, entry.paths, strict=True):
            _only(corpus, work, pattern).rename(into / f"pairs.{language}")
    else:
        _only(corpus, work, entry.paths[0] if entry.paths else "**").rename(into / f"pairs.{entry.format}")
    remove(work)
    columns = dict(zip(entry.languages, entry.columns, strict=True))
    description = {"format": entry.format, "columns": columns, "url": http_client.without_query(entry.url)}
    (into / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def as_described(source: MtdataSource, description: bytes, direction: Direction, place: str) -> MtdataSource:
    """Return the settings to read a fetched data set with. Raises `FormatError` if the description is not valid."""
    try:
        record = json.loads(description)
        columns = {str(language): int(number) for language, number in record["columns"].items()}
        known = {"source_column": columns[direction.source], "target_column": columns[direction.target]}
        format = {"moses": "moses", "tmx": "tmx", "tsv": "tsv"}[record["format"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{place}: {DESCRIPTION} is not valid: run the stage download_corpus again") from error
    return source.model_copy(update={"format": format, **(known if format == "tsv" else {})})


def _search(corpus: str, dataset: str) -> dict[str, Any]:
    folder = Path(os.environ.get(CACHE_VARIABLE) or "~/.mtdata").expanduser()
    indexes = sorted(folder.glob("mtdata.index.*.jsonl"), key=lambda path: path.stat().st_mtime)
    if not indexes:
        raise SourceError(
            f"{corpus}: there is no index of mtdata in {folder}: install mtdata in an environment of its own "
            "(python -m venv mtdata && mtdata/bin/pip install mtdata), and run `mtdata/bin/mtdata list` once; it "
            f"writes the index there, or into the folder {CACHE_VARIABLE}"
        )
    wanted = json.dumps(dataset)
    for record in _records(indexes[-1], wanted):
        if record.get("did") == dataset:
            return record
    raise SourceError(f"{corpus}: mtdata has no data set {dataset} ({indexes[-1]}); see `mtdata list`")


def _records(index: Path, wanted: str) -> Iterator[dict[str, Any]]:
    """Yield the records whose line in the index contains `wanted`; no other line is parsed."""
    with index.open(encoding="utf-8", errors="replace") as lines:
        while line := lines.readline(_LONGEST_LINE):
            if wanted in line:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record


def _entry(corpus: str, dataset: str, record: Any) -> Entry:
    """Return a record of the index as an entry, if its format is supported."""
    try:
        url, ending = record["url"], str(record["ext"])
        inner = str(record.get("in_ext") or ending.removesuffix(".gz"))
        paths = tuple(map(str, record.get("in_paths") or ()))
        first, second = map(int, record.get("cols") or (0, 1))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f"{corpus}: the entry of {dataset} in mtdata's index is not understood") from error
    archive, format = ending in _ARCHIVES, {"txt": "moses"}.get(inner, inner)
    supported = (
        (format == "moses" and archive and len(paths) == 2)
        or (format in ("tmx", "tsv") and archive and len(paths) == 1)
        or (format in ("tmx", "tsv") and ending in (format, f"{format}.gz") and not paths)
    )
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or not supported:
        raise SourceError(
            f"{corpus}: {dataset} has the format {ending} ({inner}, {len(paths)} files), which is not supported: "
            "supported are tsv, tmx, and pairs of plain text files in zip or tar.gz; convert it with mtdata, and use "
            "`kind: file`"
        )
    for path in paths:
        safe_name(corpus, path)
    *_, left, right = dataset.split("-")
    return Entry(literal(url), format, (left, right), paths, (first, second))


def _order(corpus: str, dataset: str, entry: Entry, direction: Direction) -> tuple[str, str]:
    """Return the languages of the direction in the order of the data set's."""
    for order in (direction, (direction.target, direction.source)):
        if all(matches(given, wanted) for given, wanted in zip(entry.languages, order, strict=True)):
            return order[0], order[1]
    have = " and ".join(entry.languages)
    raise SourceError(f"{corpus}: {dataset} has the languages {have}, not {direction.source} and {direction.target}")


def _only(corpus: str, folder: Path, pattern: str) -> Path:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    found = [name for name in names if fnmatchcase(name, pattern)]  # as mtdata does: * also matches a slash
    if len(found) != 1:
        raise SourceError(f"{corpus}: {len(found)} files match {pattern!r} of mtdata's index; there are {names[:5]}")
    return folder / found[0]
