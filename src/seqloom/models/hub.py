"""The Hugging Face hub as a folder: the files of a model at one commit, fetched once and checked against their hashes.

Whole files stay in a cache, so that an interrupted download goes on with the file that it was at; a commit whose files
are all there is never asked for again. Of a repository only data is taken: descriptions, weights, vocabularies.
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
_PATIENCE = 20.0  # seconds for a connection or an answer


def fetch_snapshot(
    repository: str, commit: str, cache: Path, choose: Callable[[Iterable[str]], list[str]], listen: Listener
) -> Path:
    """Return the folder of the chosen files of a commit; `choose` is given the names that there are.

    The hub is the one of HF_ENDPOINT, if that is set. A private repository needs a token in HF_TOKEN, which is sent to
    the hub and kept nowhere.

    Raises:
        OfflineError: the hub cannot be reached, or not just now.
        SourceError: there is no such repository or commit, or the token may not read it.
        HashError: a file is not what the hub says of it.
        ModelError: the library huggingface_hub is not installed.
    """
    done = cache / f"{repository.replace('/', '--')}-{commit}.json"
    if (folder := _fetched(done, choose)) is not None:
        return folder
    hub = library("huggingface_hub")
    endpoint = os.environ.get("HF_ENDPOINT", hub.constants.ENDPOINT).rstrip("/")
    token = os.environ.get("HF_TOKEN") or False  # False: not one that lies in the home folder either
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
    """The folder of an earlier fetch if it has every file that `choose` wants now, else None."""
    try:
        record = json.loads(done.read_text(encoding="utf-8"))
        folder = done.parent / record["folder"]  # relative, so that the cache may be moved
        wanted = choose(record["names"])
    except (OSError, ValueError, KeyError):  # also of an older version of seqloom, which wrote no names
        return None
    return folder if all((folder / name).is_file() for name in wanted) else None


class _File(NamedTuple):
    name: str
    size: int
    algorithm: Literal["sha256", "git"]  # a large file has the one hash, a small one the other
    digest: str


def _listed(hub: Any, endpoint: str, token: str | bool, repository: str, commit: str) -> Iterator[_File]:
    """The files at the top of a repository. Unlike the library's own listing this one does not wait for a dead hub."""
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
        path.resolve().unlink(missing_ok=True)  # in the cache lies a link
        path.unlink(missing_ok=True)
        raise HashError(
            f"{repository}: {file.name} arrived damaged: its hash is not {file.digest}; run again to fetch it"
        )


class _Report:
    """Tells the bytes of all files as one task."""

    def __init__(self, repository: str, total: int, listen: Listener) -> None:
        self._task, self._total, self._listen = f"download {repository}", total, listen
        self._whole = self._part = 0  # bytes of the files that are there, and of the one that is coming

    def tell(self, more: float | None) -> None:
        self._part += int(more or 0)
        self._listen(Progress(self._task, min(self._whole + self._part, self._total), self._total, "bytes"))

    def finish(self, size: int) -> None:
        self._whole, self._part = self._whole + size, 0
        self.tell(0)

    def bar(self, *_: Any, **__: Any) -> "_Bar":
        """What the library takes for the class of a progress bar."""
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
        self._report.tell(more)


def _as_ours(error: Exception, repository: str, commit: str) -> Exception:
    """What a person can do about an error of the library; any other is returned as it is."""
    errors = library("huggingface_hub").errors
    if isinstance(error, errors.RevisionNotFoundError):
        return SourceError(f"{repository}: the hub has no commit {commit} of it; see model.pretrained.revision")
    if isinstance(error, errors.GatedRepoError | errors.RepositoryNotFoundError):
        return SourceError(
            f"{repository}: the hub has no such model, or does not show it; check the name in model.pretrained.source, "
            "or put a token that may read it into HF_TOKEN"
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None and status < 500 and status != 429:
        return SourceError(f"{repository}: the hub answers with status {status}")
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
        return error  # of this machine: no space, no permission
    if status is None and not isinstance(error, OSError) and "httpx" not in type(error).__module__:
        return error
    return OfflineError(
        f"{repository}: the hub cannot be reached ({f'status {status}' if status else type(error).__name__}); connect, "
        f"or put the model's folder below data/local and name it: model.pretrained.source: "
        f"data/local/{repository.rpartition('/')[2]}, with revision: null"
    )
