"""The source `file`: the user's own files, copied so that later stages read them like any other source."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from seqloom.corpus.source_settings import FilePlace
from seqloom.corpus.sources.download_cache import copy, copy_tree, mismatch
from seqloom.errors import HashError, SourceError
from seqloom.files import sha256_of
from seqloom.progress import Listener


def fetch_file(corpus: str, source: FilePlace, languages: Sequence[str], into: Path, listen: Listener) -> None:
    """Copy the file, the file of each language, or the folder, into the folder `into`.

    Raises:
        SourceError: a file is missing.
        HashError: a file does not match its pin in params.yaml.
    """
    paths = paths_of(corpus, source, languages)
    for language, path in paths.items():
        _check(corpus, path, _pin(source, language))
        if path.is_dir():
            copy_tree(path, into, f"copy {corpus}", listen)
        else:
            copy(path, into / PurePosixPath(path).name, f"copy {corpus}", listen)


def paths_of(corpus: str, source: FilePlace, languages: Sequence[str]) -> dict[str | None, Path]:
    """Return the file or folder, by language if there is one per language. Raises `SourceError` if one is missing."""
    each = languages if "{lang}" in source.path else (None,)
    paths = {language: Path(source.path.replace("{lang}", language or "")) for language in each}
    missing = [str(path) for path in paths.values() if not path.exists()]
    if missing:
        there = [str(path) for path in paths.values() if path.exists()]
        beside = f" (the other one, {there[0]}, exists)" if there else ""
        raise SourceError(
            f"{corpus}: file not found: {' and '.join(missing)}{beside}; see {source.section}.{corpus}.path"
        )
    for path in paths.values():
        if not (path.is_file() or path.is_dir()):  # a device or pipe could be read endlessly
            raise SourceError(f"{corpus}: {path} is neither a file nor a folder; see {source.section}.{corpus}.path")
    return paths


def _pin(source: FilePlace, language: str | None) -> str | None:
    return source.sha256[language or ""] if isinstance(source.sha256, dict) else source.sha256


def _check(corpus: str, path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    if path.is_dir():
        raise SourceError(f"{corpus}: {path} is a folder and cannot be pinned by sha256; move it below data/local")
    if sha256_of(path) != sha256:
        raise HashError(f"{corpus}: {path} does not match its pin in params.yaml: {mismatch(path, sha256)}")
