"""Download the files of a model from the Hugging Face hub at one commit, and verify their hashes.

Complete files are kept in a cache, so an interrupted download continues with the file it had reached, and a commit
whose files are all cached needs no connection. Only data is downloaded: configurations, weights and vocabularies.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.files import write_text
from seqloom.huggingface import library
from seqloom.progress import Listener, Progress

_BLOCK = 1 << 20
_PATIENCE = 20.0  # seconds to connect or to receive a response


def fetch_snapshot(
    repository: str, commit: str, cache: Path, choose: Callable[[Iterable[str]], list[str]], listen: Listener
) -> Path:
    """Return a folder with the files of a commit that `choose` selects from the names in the repository.

    HF_ENDPOINT overrides the address of the hub. A private repository needs a token in HF_TOKEN, which is sent to the
    hub and not stored.

    Raises:
        OfflineError: the hub cannot be reached, or is temporarily unavailable.
        SourceError: the repository or commit does not exist, or the token may not read it.
        HashError: a downloaded file does not have the hash that the hub lists.
        ModelError: the package huggingface_hub is not installed.
    """
    done = cache / f"{repository.replace('/', '--')}-{commit}.json"
    if (folder := _fetched(done, choose)) is not None:
        return folder
    hub = library("huggingface_hub")
    endpoint = os.environ.get("HF_ENDPOINT", hub.constants.ENDPOINT).rstrip("/")
    token = os.environ.get("HF_TOKEN") or False  # False: do not use a token from the home folder either
    try:
        files = {file.name: file for file in _listed(hub, endpoint, token, repository, commit)}
        chosen = [files[name] for name in choose(files)]
        report = _Report(repository, sum(file.size for file in chosen), listen)
        for file in chosen:
            path = hub.hf_hub_download(
                repository, file.name, revision=commit, cache_dir=cache, endpoint=endpoint, token=token,
                tqdm_class=report.bar,
            )  # fmt: skip
            _check(repository, file, Path(path))
            report.finish(file.size)
    except SourceError:
        raise
    except Exception as error:
        raise _as_ours(error, repository, commit) from error
    folder = Path(path).parent
    record = {"folder": Path(os.path.relpath(folder, cache)).as_posix(), "names": sorted(files)}
    write_text(done, json.dumps(record) + "\n")
    return folder


def _fetched(done: Path, choose: Callable[[Iterable[str]], list[str]]) -> Path | None:
    """Return the folder of an earlier fetch if it has every file that `choose` selects, else None."""
    try:
        record = json.loads(done.read_text(encoding="utf-8"))
        folder = done.parent / record["folder"]  # relative, so that the cache may be moved
        wanted = choose(record["names"])
    except (OSError, ValueError, KeyError):  # KeyError: older versions of seqloom did not record the names
        return None
    return folder if all((folder / name).is_file() for name in wanted) else None


class _File(NamedTuple):
    name: str
    size: int
    algorithm: Literal["sha256", "git"]  # sha256 for a large file (LFS), the Git blob hash for a small one
    digest: str


def _listed(hub: Any, endpoint: str, token: str | bool, repository: str, commit: str) -> Iterator[_File]:
    """Yield the top-level files of a repository. Unlike the library's own listing, requests have a timeout."""
    url: str | None = f"{endpoint}/api/models/{repository}/tree/{commit}"
    headers = hub.utils.build_hf_headers(token=token)
    while url:
        response = hub.utils.get_session().get(url, headers=headers, timeout=_PATIENCE)
        hub.utils.hf_raise_for_status(response)
        for entry in response.json():
            if entry["type"] == "file":
                large, name, size = entry.get("lfs"), entry["path"], int(entry["size"])
                yield _File(name, size, "sha256", large["oid"]) if large else _File(name, size, "git", entry["oid"])
        url = response.links.get("next", {}).get("url")


def _check(repository: str, file: _File, path: Path) -> None:
    digest = hashlib.sha256()
    if file.algorithm == "git":
        digest = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != file.digest:
        path.resolve().unlink(missing_ok=True)  # the file in the cache is a symbolic link
        path.unlink(missing_ok=True)
        raise HashError(
            f"{repository}: {file.name} is damaged: its hash is not {file.digest}; run again to download it"
        )


class _Report:
    """Reports the bytes of all files as the progress of one task."""

    def __init__(self, repository: str, total: int, listen: Listener) -> None:
        self._task, self._total, self._listen = f"download {repository}", total, listen
        self._whole = self._part = 0  # bytes of the complete files, and of the current one

    def add(self, more: float | None) -> None:
        self._part += int(more or 0)
        self._listen(Progress(self._task, min(self._whole + self._part, self._total), self._total, "bytes"))

    def finish(self, size: int) -> None:
        self._whole, self._part = self._whole + size, 0
        self.add(0)

    def bar(self, *_: Any, **__: Any) -> "_Bar":
        """Stand in for the class of the library's progress bar."""
        self._part = 0
        return _Bar(self)


class _Bar:
    def __init__(self, report: _Report) -> None:
        self._report = report

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def update(self, more: float | None = 1) -> None:
        self._report.add(more)


def _as_ours(error: Exception, repository: str, commit: str) -> Exception:
    """Return an error of the library as one of ours that says what to do; return any other unchanged."""
    errors = library("huggingface_hub").errors
    if isinstance(error, errors.RevisionNotFoundError):
        return SourceError(f"{repository}: the hub has no commit {commit}; check model.pretrained.revision")
    if isinstance(error, errors.GatedRepoError | errors.RepositoryNotFoundError):
        return SourceError(
            f"{repository}: the hub has no such model, or it is private; check the name in model.pretrained.source, or "
            "set HF_TOKEN to a token that may read it"
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None and status < 500 and status != 429:
        return SourceError(f"{repository}: the hub returned status {status}")
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        return error  # a local error, such as a full disk or a missing permission
    if status is None and not isinstance(error, OSError) and "httpx" not in type(error).__module__:
        return error
    return OfflineError(
        f"{repository}: the hub cannot be reached ({f'status {status}' if status else type(error).__name__}); check "
        f"the connection, or put the model's folder below data/local and set model.pretrained.source to "
        f"data/local/{repository.rpartition('/')[2]} and revision to null"
    )
