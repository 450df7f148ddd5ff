"""Where served models come from: the registry's champion, a fixed version of it, or a model folder.

A source is asked again every few seconds which release is current. Its methods block, so they run in a thread.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from seqloom.errors import ParamsError


class Release(NamedTuple):
    """A version of a model that can be loaded."""

    label: str  # such as `seqloom-en-de/3`, or the folder's name
    scores: Mapping[str, float] = {}


class ModelSource(Protocol):
    """A model that is served under one name."""

    @property
    def name(self) -> str:
        """The registered name, or the folder's."""

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

    def current(self) -> str:
        """Return the folder's name."""
        return self.name

    def fetch(self, label: str) -> tuple[Release, Path]:
        """Return the folder."""
        return Release(label), self._folder


class RegisteredSource:
    """A registered model: its champion, or the version numbered `pin`. Connects to the registry when it is created.

    `role` is added to the name, to tell a second version of a model from the first.

    Raises:
        RegistryError: the registry does not answer.
    """

    def __init__(self, name: str, pin: str | None = None, role: str = "") -> None:
        from seqloom.tracking.client.store import connect

        self.name = f"{name} {role}".strip()
        self._model, self._pin = name, pin
        self._store = connect(Path.cwd(), create=False)

    def current(self) -> str:
        """Return the label of the champion, or of the pinned version."""
        from seqloom.tracking.registry.champion import current_champion
        from seqloom.tracking.registry.versions import Reference, get_version

        number = self._pin or current_champion(self._store, self._model)
        if number is None:  # raises, and lists the versions
            number = get_version(self._store, Reference(self._model, alias="champion")).version
        return f"{self._model}/{number}"

    def fetch(self, label: str) -> tuple[Release, Path]:
        """Return a version with its scores, and its folder; from a server it is downloaded first."""
        from seqloom.tracking.registry.versions import Reference, fetch_model, get_version

        wanted = Reference(self._model, number=label.rpartition("/")[2])
        version = get_version(self._store, wanted)
        scores = {"bleu": version.bleu, "chrf": version.chrf, "ter": version.ter, "rougeL": version.rouge_l}
        known = {name: interval.score for name, interval in scores.items() if interval is not None}
        return Release(label, known), fetch_model(self._store, wanted)
