"""Weblate's own classes against the real server with the champion of a registry; the model is tiny and untrained."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from seqloom.serving.releases import RegisteredSource
from seqloom.serving.server import Serving
from tests.services.weblate_machinery import TEXTS
from tests.serving.conftest import MODEL, begin, clone, registry, serving_at

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("weblate_machinery.py")
PYTHON = Path(os.environ.get("SEQLOOM_WEBLATE", ROOT / ".weblate")) / "bin" / "python"

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="needs Weblate in .weblate (make .weblate)"),
]
__all__ = ["clone", "registry"]  # fixtures
PLACEHOLDER = re.compile(r"%\(\w+\)s|%[ds]|</?b>")


@pytest.fixture
def found(clone: Path) -> dict[str, dict[str, object]]:
    """What Weblate's classes print."""
    with serving_at(clone, Serving([RegisteredSource(MODEL, begin=begin)], "cpu")) as running:
        line = [PYTHON, SCRIPT, running.url]
        done = subprocess.run(line, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_weblate_translates_with_both_of_its_classes(found: dict[str, dict[str, object]]) -> None:
    libretranslate, deepl = found["libretranslate"], found["deepl"]
    assert (libretranslate["languages"], libretranslate["pair"]) == (["de", "en"], ["en", "de"])
    assert deepl["pair"] == ["EN", "DE"]
    assert "[X0X]" in str(libretranslate["sent"])
    assert '<x id="0"></x>' in str(deepl["sent"])
    for each in found.values():
        texts = each["texts"]
        assert isinstance(texts, list)
        assert len(texts) == len(TEXTS)
        for source, text in zip(TEXTS, texts, strict=True):
            assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(source))
        assert not each["limited"]
    assert (libretranslate["service"], deepl["service"]) == ("LibreTranslate", "DeepL")
