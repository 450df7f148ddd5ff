from pathlib import Path

import pytest

from seqloom.errors import ParamsError, RegistryError
from seqloom.serving import releases
from seqloom.serving.registry_process import Found
from seqloom.serving.releases import FolderSource, RegisteredSource, Release

NAME = "seqloom-en-de"


class Registry:
    """Finds every version, and remembers what it was asked; the champion is `champion`."""

    def __init__(self, champion="1"):
        self.champion, self.asked = champion, []

    def __call__(self, model, number, background):
        self.asked.append((number, background))
        number = number or self.champion
        return lambda: Found(number, {"bleu": 30.0}, f"/models/{number}", "http://user:secret@mlflow")


@pytest.fixture
def registry(monkeypatch):
    registry = Registry()
    monkeypatch.setattr(releases, "champion_number", lambda uri, model: registry.champion)
    monkeypatch.setattr(releases, "can_be_asked", lambda uri: True)
    return registry


def test_the_registry_is_searched_once_for_the_first_version_and_again_for_a_new_one(registry):
    source = RegisteredSource(NAME, begin=registry)
    assert source.current() == f"{NAME}/1"
    assert source.fetch(f"{NAME}/1") == (Release(f"{NAME}/1", {"bleu": 30.0}), Path("/models/1"))
    assert source.current() == f"{NAME}/1"
    assert registry.asked == [(None, False)]
    registry.champion = "2"
    assert source.current() == f"{NAME}/2"
    assert source.fetch(f"{NAME}/2")[1] == Path("/models/2")
    assert registry.asked == [(None, False), ("2", True)]


def test_a_pinned_version_stays(registry):
    source = RegisteredSource(NAME, "3", "canary", registry)
    assert source.name == f"{NAME} canary"
    assert [source.current(), source.current()] == [f"{NAME}/3"] * 2
    assert registry.asked == [("3", False)]


def test_a_champion_that_is_gone_is_an_error(registry):
    source = RegisteredSource(NAME, begin=registry)
    source.current()
    registry.champion = None
    with pytest.raises(RegistryError, match="no version of seqloom-en-de is the champion any more"):
        source.current()


def test_a_registry_that_only_mlflow_can_ask_is_asked_seldom(registry, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(releases, "can_be_asked", lambda uri: False)
    source = RegisteredSource(NAME, begin=registry, clock=lambda: now[0])
    source.current()
    registry.champion = "2"
    assert source.current() == f"{NAME}/1"
    now[0] = 60.0
    assert source.current() == f"{NAME}/2"
    assert source.fetch(f"{NAME}/2")[1] == Path("/models/2")
    assert registry.asked == [(None, False), (None, True)]


def test_the_version_that_is_served_is_noted_once_a_day(registry):
    now = [0.0]
    source = RegisteredSource(NAME, begin=registry, clock=lambda: now[0])
    source.fetch(source.current())
    source.current()
    registry.champion = "2"
    now[0] = 24 * 3600.0
    source.current()  # version 1 is served until version 2 is loaded
    source.current()
    assert registry.asked == [(None, False), ("1", True)]


def test_a_folder_must_exist(tmp_path):
    assert FolderSource(tmp_path).fetch("x") == (Release("x"), tmp_path)
    with pytest.raises(ParamsError, match="is not a model folder"):
        FolderSource(tmp_path / "none")
