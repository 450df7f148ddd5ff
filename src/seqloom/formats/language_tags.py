"""Matching of declared and wanted languages (BCP 47, RFC 5646, and likely subtags of UTS 35)."""

from functools import lru_cache
from typing import NamedTuple

_NAMES = {"nb": "no"}  # "no" alone usually means Bokmål; langcodes resolves other old tags and macrolanguages


@lru_cache(maxsize=4096)
def matches(given: str, wanted: str) -> bool:
    """Return whether text declared as `given` counts as text in `wanted`.

    `en-US` and `en_US` match `en`, and `zh-CN` matches `zh-Hans`, but `en` does not match `en-GB`. Scripts must agree:
    `sr-Latn`, `sr@latin` and `zh-TW` match neither `sr` nor `zh`, whose likely scripts differ.
    """
    if given.lower() == wanted.lower():
        return True
    return _fits(_subtags(given), _subtags(wanted))


class _Tag(NamedTuple):
    language: str
    script: str  # as written, else the likely script
    region: str  # as written, else implied by a written script
    written_region: str  # empty if not written


def _fits(given: _Tag | None, wanted: _Tag | None) -> bool:
    if given is None or wanted is None:
        return False
    same = (given.language, given.script) == (wanted.language, wanted.script)
    return same and wanted.written_region in ("", given.region)


@lru_cache(maxsize=4096)
def _subtags(tag: str) -> _Tag | None:
    import langcodes

    name, _, modifier = tag.strip().partition("@")  # POSIX locales: sr@latin, ca_ES.UTF-8@valencia
    name = name.partition(".")[0].replace("_", "-")
    script = {"latin": "Latn", "cyrillic": "Cyrl", "devanagari": "Deva", "arabic": "Arab"}.get(modifier.lower())
    try:
        written = langcodes.Language.get(langcodes.standardize_tag(name, macro=True))
        full = written.maximize()
    except (ValueError, LookupError):  # LanguageTagError is a ValueError
        return None
    implied = full.territory if written.script else None
    return _Tag(
        language=_NAMES.get(written.language or "", written.language or ""),
        script=script or full.script or "",
        region=written.territory or implied or "",
        written_region=written.territory or "",
    )
