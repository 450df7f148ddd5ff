"""The source `git`: files of a repository at a pinned commit, extracted with `git`; none of its code is run.

Blobs are written one by one, without a checkout, so hooks, filters, links and submodules of the repository have no
effect, and a name that points outside the folder is an error. The user's Git settings (proxies, certificates, keys)
apply, except for transports that run programs.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from seqloom.corpus.members import expand
from seqloom.corpus.monolingual_settings import GitTexts
from seqloom.corpus.source_settings import GitPlace, GitSource
from seqloom.corpus.sources.archives import safe_name
from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache
from seqloom.errors import OfflineError, SourceError
from seqloom.progress import Listener, Progress

_PATIENCE = 30.0  # seconds for a query
_FETCH_PATIENCE = 3600.0
_BLOCK = 1 << 18
_PLAIN = ("100644", "100755")  # modes of regular files; others are links and submodules
_OFFLINE = re.compile(
    r"Could not resolve (?:host|hostname)|Failed to connect|[Cc]onnection (?:refused|reset|timed out)|[Tt]imed out"
    r"|Network is unreachable|No route to host|Couldn't connect|Name or service not known|Could not resolve proxy"
    r"|Operation too slow|Temporary failure in name resolution|unexpected disconnect|early EOF"
)
_SECRET = re.compile(r"(?<=//)[^/@\s]+@|(?<=\?)[^\s'\"]+")  # user names, passwords and queries
# Set if a Git hook runs this program; they would redirect our commands to the hook's repository.
_FOREIGN = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
)  # fmt: skip


def fetch_git(
    corpus: str,
    source: GitSource | GitTexts,
    languages: Sequence[str],
    into: Path,
    cache: DownloadCache,
    listen: Listener,
) -> None:
    """Write the files of the commit that `members` selects (None: all) into the folder `into`.

    Raises:
        OfflineError: the repository's host cannot be reached, and the commit is not cached.
        SourceError: the repository, commit or members do not exist, or git is not installed.
        ArchiveError: a name points outside the folder.
    """
    store = obtain_commit(corpus, source, cache, listen)
    wanted = list(_listed(corpus, source, store, languages))
    total = sum(size for _, _, size in wanted)
    if total > source.max_bytes:
        raise SourceError(f"{corpus}: the files have {total:,} bytes, more than max_bytes ({source.max_bytes:,})")
    _write(corpus, wanted, store, into, listen)


def obtain_commit(corpus: str, source: GitPlace, cache: DownloadCache, listen: Listener) -> Path:
    """Return the folder of the cache with the commit, fetching it if needed. Raises `SourceError` as `fetch_git`."""
    store = _store(source, cache)
    if not _has(store, source.commit):
        listen(Progress(f"fetch {corpus}", 0, None, "bytes", "git"))
        _fetch(corpus, source, _place(corpus, source, cache), store)
    return store


def newest(corpus: str, source: GitPlace, cache: DownloadCache) -> str:
    """Return the branch's current commit, without fetching it.

    Raises:
        OfflineError: the repository's host cannot be reached.
        SourceError: the repository or branch does not exist, or git is not installed.
    """
    reference = f"refs/heads/{source.branch}"
    place = _place(corpus, source, cache)
    output = _git(corpus, ["ls-remote", "--", place, reference], patience=_PATIENCE)
    for line in output.splitlines():
        commit, _, name = line.partition("\t")
        if name == reference:
            return commit
    raise SourceError(
        f"{corpus}: {_hidden(place)} has no branch {source.branch!r}; see {source.section}.{corpus}.branch"
    )


def _store(source: GitPlace, cache: DownloadCache) -> Path:
    return cache.downloads / f"git-{hashlib.sha256(source.repository.encode()).hexdigest()[:16]}"


def _place(corpus: str, source: GitPlace, cache: DownloadCache) -> str:
    """The repository's address, or the user's offline copy of it."""
    if cache.mirror is not None and (copy := cache.mirror / f"{corpus}.git").is_dir():
        return str(copy.resolve())
    return str(Path(source.repository).expanduser()) if source.repository.startswith("~") else source.repository


def _has(store: Path, commit: str) -> bool:
    if not store.is_dir():
        return False
    command = ["git", "--git-dir", str(store), "cat-file", "-e", f"{commit}^{{tree}}"]
    return not subprocess.run(command, env=_environment(), capture_output=True, check=False).returncode


def _fetch(corpus: str, source: GitPlace, place: str, store: Path) -> None:
    kind = ["--object-format=sha256"] * (len(source.commit) == 64)
    _git(corpus, ["init", "--quiet", "--bare", "--template=", *kind, "--", str(store)])  # repairs an interrupted init
    fetch = ["--git-dir", str(store), "fetch", "--quiet", "--no-tags"]
    fetch += ["--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance"]
    try:
        _git(corpus, [*fetch, "--depth=1", "--", place, source.commit], patience=_FETCH_PATIENCE)
    except OfflineError:
        raise
    except SourceError:  # some servers do not serve single commits
        _git(corpus, [*fetch, "--", place, "+refs/heads/*:refs/seqloom/*"], patience=_FETCH_PATIENCE)
    if not _has(store, source.commit):
        raise SourceError(
            f"{corpus}: {_hidden(place)} has no commit {source.commit}; see {source.section}.{corpus}.commit"
        )


def _listed(
    corpus: str, source: GitSource | GitTexts, store: Path, languages: Sequence[str]
) -> Iterator[tuple[str, str, int]]:
    """Yield the selected files: blob, name and size."""
    patterns = [expand(source.members, each) for each in languages] if source.members else []
    listing = _git(corpus, ["--git-dir", str(store), "ls-tree", "-r", "-z", "--long", source.commit])
    found = False
    for entry in listing.split("\0")[:-1]:
        about, _, name = entry.partition("\t")
        mode, kind, blob, size = about.split()
        if kind == "blob" and mode in _PLAIN and (not patterns or any(each.fullmatch(name) for each in patterns)):
            found = True
            yield blob, name, int(size)
    if not found:
        raise SourceError(f"{corpus}: no file at {source.commit[:12]} matches {source.members or 'members'!r}")


def _write(corpus: str, wanted: list[tuple[str, str, int]], store: Path, into: Path, listen: Listener) -> None:
    total, done = sum(size for _, _, size in wanted), 0
    command = ["git", "--git-dir", str(store), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for blob, name, size in wanted:
            target = into / safe_name(corpus, name)
            process.stdin.write(f"{blob}\n".encode())
            process.stdin.flush()
            if process.stdout.readline().split() != [blob.encode(), b"blob", str(size).encode()]:
                raise SourceError(f"{corpus}: {name}: the clone in {store} is corrupt: remove it and run again")
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(process.stdout, target, size)
            process.stdout.read(1)  # line feed after each blob
            done += size
            listen(Progress(f"read {corpus}", done, total, "bytes"))


def _copy(reader: IO[bytes], target: Path, size: int) -> None:
    with target.open("xb") as writer:
        while size and (block := reader.read(min(_BLOCK, size))):
            writer.write(block)
            size -= len(block)
    if size:
        raise SourceError(f"{target.name}: git ended before the end of the file")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=10",
        **kept,
        "GIT_ALLOW_PROTOCOL": "file:https:http:ssh",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "",
    }


def _git(corpus: str, arguments: list[str], patience: float | None = None) -> str:
    slow = ["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=20", "-c", "core.hooksPath=/dev/null"]
    try:
        done = subprocess.run(
            ["git", *slow, *arguments],
            env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise SourceError(f"{corpus}: git is not installed; it is needed to read the repository") from error
    except subprocess.TimeoutExpired as error:
        raise OfflineError(f"{corpus}: the repository did not answer in {patience:.0f} s; {_way_on(corpus)}") from error
    if done.returncode:
        lines = [_hidden(line) for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        reason = next(
            (line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "nothing"
        )
        if _OFFLINE.search("\n".join(lines)):
            raise OfflineError(f"{corpus}: the repository cannot be reached ({reason}); {_way_on(corpus)}")
        raise SourceError(f"{corpus}: git cannot read the repository: {reason}")
    return done.stdout.decode("utf-8", "surrogateescape")


def _hidden(text: str) -> str:
    """Return the text without user names, passwords and queries of addresses."""
    return _SECRET.sub("", text)


def _way_on(corpus: str) -> str:
    return f"connect, or put a clone (`git clone --bare`) named {corpus}.git into the folder {MIRROR_VARIABLE}"
