"""Whether a language that a file declares is the one that is wanted (BCP 47, RFC 5646 and UTS 35 likely subtags)."""

from functools import lru_cache
from typing import NamedTuple

_NAMES = {"nb": "no"}  # "no" without more is Bokmål; other old names and macrolanguages are langcodes' affair


@lru_cache(maxsize=4096)
def matches(given: str, wanted: str) -> bool:
    """Return whether text declared as `given` is text in `wanted`.

    `en-US` and `en_US` are `en`, and `zh-CN` is `zh-Hans`, but `en` is not `en-GB`. Scripts never mix: `sr-Latn`,
    `sr@latin` and `zh-TW` are neither `sr` nor `zh`, whose usual scripts are others.
    """
    if given.lower() == wanted.lower():
        return True
    return _fits(_subtags(given), _subtags(wanted))


class _Tag(NamedTuple):
    language: str
    script: str  # as written, else the likely one
    region: str  # as written, else what a written script implies
    written_region: str  # empty if none is written


def _fits(given: _Tag | None, wanted: _Tag | None) -> bool:
    if given is None or wanted is None:
        return False
    same = (given.language, given.script) == (wanted.language, wanted.script)
    return same and wanted.written_region in ("", given.region)


@lru_cache(maxsize=4096)
def _subtags(tag: str) -> _Tag | None:
    import langcodes

    name, _, modifier = tag.strip().partition("@")  # of POSIX locales, as in sr@latin or ca_ES.UTF-8@valencia
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
