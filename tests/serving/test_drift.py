import json
import logging

import pytest

from seqloom.drift.features import Extractor
from seqloom.drift.profile import PROFILE, Profile
from seqloom.languages import Direction
from seqloom.progress import ignore
from seqloom.serving import drift as drifts
from seqloom.serving.drift import DriftBound, DriftWatch
from seqloom.serving.metrics import Metrics
from seqloom.tokenization.catalogue import train_tokenizer
from tests.records import tokenizer_settings

EN_DE = Direction("en", "de")
NAME, VERSION = "seqloom-en-de", "seqloom-en-de/3"
USUAL, OTHER = ["turn on", "hello there"], ["turn on the light in the kitchen " * 3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder with a profile of texts like `USUAL`."""
    folder = tmp_path_factory.mktemp("model")
    pairs = [(text, text) for text in USUAL]
    tokenizer = train_tokenizer(tokenizer_settings(name="characters", vocab_size=96, slots=2), lambda: pairs, 1, ignore)
    tokenizer.save(folder / "tokenizer")
    profile = Profile.of([(text, EN_DE) for text in USUAL * 300], Extractor(tokenizer, None))
    (folder / PROFILE).write_text(json.dumps(profile.record()))
    return folder


class Watched:
    """A watch at whose clock one can look, and what it announced."""

    def __init__(self, folder, announce=None):
        self.folder, self.now, self.told, self.metrics = folder, 0.0, [], Metrics()
        self.watch = DriftWatch(self.metrics, DriftBound(0.25, 60), announce or self.told.append, lambda: self.now)

    def send(self, texts, times=1, version=VERSION):
        """Let texts be counted at this time."""
        for _ in range(times):
            self.watch.observe(NAME, version, self.folder, texts, EN_DE)
            self.watch._thread.submit(int).result(20)

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, {"model": NAME, **labels})


def test_usual_texts_do_not_drift(folder):
    watched = Watched(folder)
    watched.send(USUAL * 25, 3)
    assert watched.watch.report()[0].indices == {}  # too few
    watched.send(USUAL * 25, 9)
    (found,) = watched.watch.report()
    assert (found.name, found.version, found.texts, found.drifted) == (NAME, VERSION, 600, False)
    assert found.indices["characters"] < 0.01
    assert watched.value("seqloom_drift", feature="characters") == found.indices["characters"]
    assert watched.value("seqloom_drift_texts") == 600


def test_other_texts_are_announced_once_when_they_stay(folder, caplog):
    watched = Watched(folder)
    watched.send(OTHER * 50, 12)
    assert watched.watch.report()[0].indices["characters"] > 0.25
    assert watched.value("seqloom_alarm", kind="drift") == 0
    watched.now = 59
    watched.send(OTHER)
    assert watched.told == []
    for watched.now in (60, 200):
        watched.send(OTHER)
    (told,) = watched.told
    assert (told.model, told.version, told.bound.above) == (NAME, VERSION, 0.25)
    assert told.indices["characters"] > 0.25
    assert watched.value("seqloom_alarm", kind="drift") == 1
    assert watched.watch.report()[0].drifted
    assert "differ from those of training: characters" in caplog.text
    assert OTHER[0] not in caplog.text


def test_usual_texts_end_the_drift_and_new_drift_is_announced_again(folder, monkeypatch):
    monkeypatch.setattr(drifts, "WINDOW", 600)
    watched = Watched(folder)
    for texts, after in ((OTHER, 100), (USUAL * 25, 0), (OTHER, 100)):
        watched.send(texts * (50 // len(texts)), 12)
        watched.now += after
        watched.send(texts)
    assert len(watched.told) == 2
    assert len(watched.watch._windows[NAME]) == 600


def test_a_failed_announcement_is_tried_again(folder, caplog):
    def fail(drifted):
        tried.append(watched.now)
        raise OSError("refused")

    tried = []
    watched = Watched(folder, fail)
    for watched.now in (0, 60, 61, 120, 121):
        watched.send(OTHER * 50, 12)
    assert tried == [60, 120]
    assert "cannot be announced, trying again in a minute: refused" in caplog.text


def test_another_version_begins_anew(folder):
    watched = Watched(folder)
    watched.send(OTHER * 50, 12)
    watched.send(USUAL, version=f"{NAME}/4")
    (found,) = watched.watch.report()
    assert (found.version, found.texts, found.indices) == (f"{NAME}/4", 2, {})
    assert watched.value("seqloom_drift", feature="characters") is None


def test_a_version_without_a_profile_is_not_watched_and_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    watched = Watched(tmp_path)
    watched.send(USUAL, 3)
    (found,) = watched.watch.report()
    assert (found.texts, found.indices, found.drifted) == (0, {}, False)
    assert "has no profile of its training texts (training_profile.json)" in found.reason
    assert watched.value("seqloom_drift_texts") == 0
    assert caplog.text.count(found.reason) == 1


def test_a_profile_without_its_tokenizer_is_not_compared(folder, tmp_path, caplog):
    (tmp_path / PROFILE).write_bytes((folder / PROFILE).read_bytes())
    watched = Watched(tmp_path)
    watched.send(USUAL, 2)
    (found,) = watched.watch.report()
    assert (found.texts, found.indices) == (0, {})
    assert found.reason.startswith("drift is not measured: ")
    assert caplog.text.count(found.reason) == 1


def test_a_long_request_and_a_full_queue_are_sampled(folder, monkeypatch):
    watched = Watched(folder)
    watched.send(USUAL * 100)
    assert watched.watch.report()[0].texts == 50
    monkeypatch.setattr(drifts, "MOST_WAITING", 0)
    watched.send(USUAL)
    assert watched.watch.report()[0].texts == 50
