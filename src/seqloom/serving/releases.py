"""Where served models come from: the registry's champion, a fixed version of it, or a model folder.

A source is asked again every few seconds which release is current. Its methods block, so they run in a thread.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from seqloom.errors import ParamsError, RegistryError
from seqloom.serving.registry_process import Begin, Found, begin
from seqloom.tracking.registry.champion_number import can_be_asked, champion_number

_SELDOM = 60.0
"""Seconds between two questions if each takes a process."""

_DAILY = 24 * 3600.0
"""Seconds between two records of the version that is served, without which `seqloom gc` may remove it."""


class Release(NamedTuple):
    """A version of a model that can be loaded."""

    label: str  # such as `seqloom-en-de/3`, or the folder's name
    scores: Mapping[str, float] = {}


class ModelSource(Protocol):
    """A model that is served under one name."""

    @property
    def name(self) -> str:
        """The registered name, or the folder's."""

    def prepare(self) -> None:
        """Begin to look for the release, without waiting."""

    def current(self) -> str:
        """Return the label of the release to serve. Raises `RegistryError` if there is none, or no answer."""

    def fetch(self, label: str) -> tuple[Release, Path]:
        """Return a release and its model folder. Raises `RegistryError` if the files are gone."""


class FolderSource:
    """A model folder, which is loaded once."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ParamsError(f"{folder}: is not a model folder; `make run` trains a model into models/candidate")
        self._folder = folder
        self.name = folder.resolve().name

    def prepare(self) -> None:
        """Do nothing: the folder is there."""

    def current(self) -> str:
        """Return the folder's name."""
        return self.name

    def fetch(self, label: str) -> tuple[Release, Path]:
        """Return the folder."""
        return Release(label), self._folder


class RegisteredSource:
    """A registered model: its champion, or the version numbered `pin`.

    After `prepare`, the registry is read while the server imports what it needs; `current` waits for the answer.
    `role` is added to the name, to tell a second version of a model from the first.
    """

    def __init__(
        self,
        name: str,
        pin: str | None = None,
        role: str = "",
        begin: Begin = begin,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"{name} {role}".strip()
        self._model, self._pin, self._begin = name, pin, begin
        self._first: Callable[[], Found] | None = None  # what is awaited
        self._fresh: Found | None = None  # found, and not fetched yet
        self._uri, self._number, self._serving = "", "", ""
        self._clock, self._asked, self._noted = clock, clock(), clock()

    def prepare(self) -> None:
        """Begin to read the registry."""
        self._first = self._begin(self._model, self._pin, False)

    def current(self) -> str:
        """Return the label of the champion, or of the pinned version."""
        if not self._number:
            first, self._first = self._first or self._begin(self._model, self._pin, False), None
            self._fresh = first()
            self._uri, self._number = self._fresh.uri, self._fresh.number
            return self._label(self._number)
        if self._serving and self._clock() >= self._noted + _DAILY:
            self._noted = self._clock()
            with suppress(RegistryError):
                self._begin(self._model, self._serving, True)()
        return self._label(self._pin or self._champion())

    def fetch(self, label: str) -> tuple[Release, Path]:
        """Return a version with its scores, and its folder; from a server it is downloaded first."""
        found, self._fresh = self._fresh, None
        if found is None or self._label(found.number) != label:
            found = self._begin(self._model, label.rpartition("/")[2], True)()
        self._serving = found.number
        return Release(label, found.scores), Path(found.folder)

    def _champion(self) -> str:
        if can_be_asked(self._uri):
            number = champion_number(self._uri, self._model)
            if number is None:
                raise RegistryError(
                    f"no version of {self._model} is the champion any more; `seqloom promote` names one"
                )
            return number
        if self._clock() >= self._asked + _SELDOM:
            self._asked = self._clock()
            self._fresh = self._begin(self._model, None, True)()
            self._number = self._fresh.number
        return self._number

    def _label(self, number: str) -> str:
        return f"{self._model}/{number}"
