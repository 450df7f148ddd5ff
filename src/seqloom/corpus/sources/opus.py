"""The source `opus`: a corpus of OPUS, by its documented object paths.

The path follows from corpus, release and languages, so the catalogue (OPUS's API, which can be slow) is asked only for
what exists if a path does not, and for newer releases. Mirrors are set by environment variables.
"""

import os
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from seqloom.corpus.catalogue_settings import OpusPlace, OpusSource, pair_name
from seqloom.corpus.monolingual_settings import OpusTexts
from seqloom.corpus.sources.archives import Limits, unpack
from seqloom.corpus.sources.download import RemoteFile, obtain
from seqloom.corpus.sources.download_cache import DownloadCache, copy, remove
from seqloom.corpus.sources.json_client import get_json
from seqloom.errors import ArchiveError, OfflineError, SourceError
from seqloom.languages import Direction
from seqloom.progress import Listener

OBJECTS, OBJECTS_VARIABLE = "https://object.pouta.csc.fi", "SEQLOOM_OPUS"
API, API_VARIABLE = "https://opus.nlpl.eu/opusapi/", "SEQLOOM_OPUS_API"
_KEPT = ("README", "LICENSE")  # files of an archive that are kept beside the texts
_SHOWN = 8


def pair_files(corpus: str, source: OpusSource, directions: Sequence[Direction]) -> dict[str, RemoteFile]:
    """Return the file of each pair of languages, by the name of the pair."""
    files = {}
    pairs = list(dict.fromkeys(pair_name(each) for each in directions))
    for direction in directions:
        pair = pair_name(direction)
        codes = "-".join(sorted(map(source.code, direction)))
        path = f"moses/{codes}.txt.zip" if source.format == "moses" else f"tmx/{codes}.tmx.gz"
        pin = "{sha256}" if len(pairs) == 1 else f"{{{{{pair}: {{sha256}}}}}}"  # a mapping, in braces
        accept = f"if it is right, accept it with `seqloom set 'corpora.{corpus}.sha256={pin}'`"
        files[pair] = _file(source, path, source.pin_of(pair), accept, f"corpora.{corpus}")
    return files


def text_file(corpus: str, source: OpusTexts) -> RemoteFile:
    """Return the file with the texts of one language."""
    accept = f"if it is right, accept it with `seqloom set monolingual.{corpus}.sha256={{sha256}}`"
    path = f"mono/{source.code(source.language)}.txt.gz"
    return _file(source, path, source.sha256, accept, f"monolingual.{corpus}")


def fetch_opus(
    corpus: str,
    source: OpusSource,
    directions: Sequence[Direction],
    into: Path,
    cache: DownloadCache,
    listen: Listener,
) -> None:
    """Put the texts of each pair of languages into the folder `into`, as PAIR.LANGUAGE or PAIR.tmx.

    Raises:
        SourceError: a file cannot be downloaded; see `download.obtain`.
        ArchiveError: an archive is unsafe or lacks a language; see `archives.unpack`.
    """
    files = pair_files(corpus, source, directions)
    for direction in {pair_name(each): each for each in directions}.values():
        pair = pair_name(direction)
        found = obtain_opus(corpus, source, files[pair], cache, listen)
        folder = into / pair
        folder.mkdir()
        copied = folder / found.name
        copy(found, copied, f"copy {corpus}", listen)
        unpack(copied, Limits(bytes=source.max_bytes), f"unpack {corpus}", listen)
        if source.format == "tmx":
            copied.with_suffix("").rename(into / f"{pair}.tmx")
            folder.rmdir()
        else:
            _sort_out(corpus, folder, {each: source.code(each) for each in direction})


def fetch_opus_texts(
    corpus: str,
    source: OpusTexts,
    into: Path,
    cache: DownloadCache,
    listen: Listener,
) -> None:
    """Put the texts of the language into the folder `into`. Raises `SourceError` as `fetch_opus` does."""
    found = obtain_opus(corpus, source, text_file(corpus, source), cache, listen)
    copy(found, into / f"{source.language}.txt.gz", f"copy {corpus}", listen)


def obtain_opus(
    corpus: str,
    source: OpusPlace,
    file: RemoteFile,
    cache: DownloadCache,
    listen: Listener,
) -> Path:
    """Return a file in the cache; if OPUS does not have it, the error lists the releases that it has."""
    try:
        return obtain(corpus, file, cache, listen)
    except OfflineError:
        raise
    except SourceError as error:
        if "status 404" not in str(error):
            raise
        raise SourceError(f"{error}; {_what_there_is(corpus, source, file)}") from error


def newest_release(corpus: str, source: OpusPlace, codes: Sequence[str]) -> str | None:
    """Return the newest release of the corpus that has these languages, or None. Raises `SourceError`."""
    found = _listed(corpus, source, codes, version="latest")
    return found[0] if found else None


def _file(source: OpusPlace, path: str, sha256: str | None, accept: str, setting: str) -> RemoteFile:
    path = f"/OPUS-{source.corpus}/{source.release}/{path}"
    base = os.environ.get(OBJECTS_VARIABLE) or OBJECTS
    name = path.removeprefix("/OPUS-").replace("/", "_")
    return RemoteFile(base.rstrip("/") + path, name, sha256, source.max_bytes, setting, OBJECTS + path, accept)


def _sort_out(corpus: str, folder: Path, codes: dict[str, str]) -> None:
    """Move the text of each language out of a folder, and remove what is neither text nor licence."""
    for language, code in codes.items():
        found = [path for path in folder.iterdir() if path.is_file() and path.name.endswith(f".{code}")]
        if len(found) != 1:
            there = ", ".join(sorted(path.name for path in folder.iterdir())[:_SHOWN])
            raise ArchiveError(f"{corpus}: the archive of {folder.name} has no file *.{code}; it has {there}")
        found[0].rename(folder.with_name(f"{folder.name}.{language}"))
    for path in list(folder.iterdir()):
        if not path.name.startswith(_KEPT):
            remove(path)
    if not any(folder.iterdir()):
        folder.rmdir()


def _what_there_is(corpus: str, source: OpusPlace, file: RemoteFile) -> str:
    *_, kind, name = file.url.split("/")
    codes = name.partition(".")[0].split("-") if kind != "mono" else [name.partition(".")[0]]
    try:
        releases = _listed(corpus, source, codes)
    except SourceError:
        return "OPUS's catalogue does not answer, so the releases that exist are not known"
    known = ", ".join(releases[:_SHOWN])
    if known:
        return f"for {' and '.join(codes)}, {source.corpus} has the releases {known}"
    return (
        f"OPUS has no {source.corpus} for {' and '.join(codes)}: compare the spelling with its catalogue, and set "
        "`codes` if it spells a language differently"
    )


def _listed(corpus: str, source: OpusPlace, codes: Sequence[str], **more: str) -> list[str]:
    """Return the releases in the catalogue, the newest first."""
    both = sorted(codes)
    kind = {"source": both[0], "target": both[1], "preprocessing": "moses"} if len(both) == 2 else {
        "source": both[0], "preprocessing": "mono"
    }  # fmt: skip
    query = urllib.parse.urlencode({"corpus": source.corpus, **kind, **more})
    base = os.environ.get(API_VARIABLE) or API
    content = get_json(corpus, f"{base}?{query}").content
    entries = content.get("corpora") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise SourceError(f"{corpus}: OPUS's catalogue gave an unknown answer; see {API}")
    found = [each for each in entries if isinstance(each, dict) and each.get("corpus") == source.corpus]
    found.sort(key=lambda each: each.get("latest") != "True")
    return list(dict.fromkeys(str(each.get("version")) for each in found))
