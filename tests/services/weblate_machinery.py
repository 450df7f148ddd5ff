"""Translate with Weblate's own classes for LibreTranslate and DeepL. Run by the Python of an environment with Weblate.

    .weblate/bin/python tests/services/weblate_machinery.py http://127.0.0.1:8080

Writes JSON: for each class the languages that it found, and for each text what Weblate would show. Weblate (GPL) is a
tool of this test only; nothing of it is part of seqloom. No database is used, and Weblate's libraries for drawing
pictures are replaced by stubs, since they need a compiler.
"""

import json
import os
import sys
from typing import Any
from unittest.mock import MagicMock

TEXTS = ["Turn on the light", "%d files were copied to %s.", "Hello %(name)s!", "Save & <b>close</b>"]
FLAGS = "python-format"


def main(url: str) -> None:
    """Set Weblate up, translate, and write."""
    for name in ("cairo", "gi", "gi.repository"):
        sys.modules[name] = MagicMock()
    os.environ["DJANGO_SETTINGS_MODULE"] = "weblate.settings_example"
    import django
    from django.conf import settings

    settings.DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    django.setup()
    from weblate.machinery.deepl import DeepLTranslation
    from weblate.machinery.libretranslate import LibreTranslateTranslation

    machines = {
        "libretranslate": LibreTranslateTranslation({"url": url, "key": ""}),
        "deepl": DeepLTranslation({"url": f"{url}/v2/", "key": "any", "formality": "default"}),
    }
    sys.stdout.write(json.dumps({name: used(machine) for name, machine in machines.items()}))


def used(machine: Any) -> dict[str, Any]:
    """Return what a class finds: as for a suggestion beside one text, and for a batch."""
    from weblate.checks.tests.test_checks import MockUnit

    machine.delete_cache()
    units = [MockUnit(code="de", source=text, flags=FLAGS) for text in TEXTS]
    for unit in units:
        unit.translation.log_debug = lambda *_: None
    first = units[0].translation
    source, target = machine.get_languages(first.component.source_language, first.language)
    pairs = [(unit.source, unit) for unit in units]
    batch = machine._translate(source, target, pairs)
    (alone,) = machine._translate(source, target, [("Switch it off", units[0])])["Switch it off"]
    return {
        "languages": sorted(map(str, machine.supported_languages)),
        "pair": [source, target],
        "sent": [machine.cleanup_text(*pair)[0] for pair in pairs],
        "texts": [each["text"] for text in TEXTS for each in batch[text]],
        "service": alone["service"],
        "limited": bool(machine.is_rate_limited()),
    }


if __name__ == "__main__":
    main(sys.argv[1])
