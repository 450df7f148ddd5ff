"""Flags for the states of XLIFF 1.2 and 2.x and the extensions of Trados, memoQ and Phrase.

A state that the specification does not define (`x-...`) is classified by words in its name, such as mt, fuzzy, draft or
rejected; without such a word it adds no flag. Suggestions by machine translation or a memory count once a person has
confirmed them: the state is final, reviewed or signed-off, or `approved` is yes. The state "translated" confirms a
memory's suggestion but not machine translation, because programs set that state automatically.
"""

import re
from collections.abc import Iterator

from seqloom.formats.pieces import Flag
from seqloom.formats.xml import Element, attribute, local

_STATES: dict[str, Flag] = {
    "initial": "draft",
    "needs-adaptation": "draft",
    "needs-l10n": "draft",
    "needs-review-adaptation": "fuzzy",
    "needs-review-l10n": "fuzzy",
    "needs-review-translation": "fuzzy",
    "needs-translation": "draft",
    "new": "draft",
}
_DONE = ("final", "reviewed", "signed-off", "translated")
_QUALIFIERS: dict[str, Flag] = {
    "fuzzy-match": "fuzzy",
    "leveraged-glossary": "fuzzy",
    "leveraged-inherited": "fuzzy",
    "leveraged-mt": "machine",
    "leveraged-repository": "fuzzy",
    "leveraged-tm": "fuzzy",
    "mt-suggestion": "machine",
    "tm-suggestion": "fuzzy",
}
_WORDS: dict[str, Flag] = {
    "auto": "machine",
    "draft": "draft",
    "fuzzy": "fuzzy",
    "incomplete": "draft",
    "machine": "machine",
    "mt": "machine",
    "needs": "fuzzy",
    "new": "draft",
    "nmt": "machine",
    "pending": "draft",
    "rejected": "rejected",
    "review": "fuzzy",
    "suggestion": "fuzzy",
    "unconfirmed": "draft",
    "untranslated": "draft",
}
_SDL: dict[str, Flag] = {
    "": "draft",
    "Draft": "draft",
    "RejectedSignOff": "rejected",
    "RejectedTranslation": "rejected",
    "Unspecified": "draft",
}
_SDL_MACHINES = ("amt", "mt", "nmt")
_MEMOQ: dict[str, Flag] = {
    "AssembledFromFragments": "fuzzy",
    "MachineTranslated": "machine",
    "NotStarted": "draft",
    "PartiallyEdited": "draft",
    "Rejected": "rejected",
}


def state_flags(state: str, qualifier: str, approved: str) -> Iterator[Flag]:
    """Yield the flags for a state (1.2 or 2.x), a state-qualifier or subState, and `approved`."""
    if approved == "no":
        yield "unapproved"
    own = _STATES.get(state) or (None if state in _DONE else _by_words(state))
    if own is not None:
        yield own
    further = _QUALIFIERS.get(qualifier) or _by_words(qualifier)
    confirmed = approved == "yes" or state in ("final", "signed-off", "reviewed")
    if further == "rejected" or not (
        further is None or confirmed or (further in ("fuzzy", "draft") and state == "translated")
    ):
        yield further


def sdl_flags(seg: Element) -> Iterator[Flag]:
    """Yield the flags for a segment of SDL Trados (`sdl:seg` in `sdl:seg-defs`)."""
    conf = seg.get("conf")
    if conf in _SDL:
        yield _SDL[conf]
    if seg.get("origin").lower() in _SDL_MACHINES and not conf.startswith("Approved"):
        yield "machine"
    percent = seg.get("percent")
    if conf in ("", "Draft") and seg.get("origin") == "tm" and percent.isdecimal() and percent != "100":
        yield "fuzzy"


def unit_flags(unit: Element) -> Iterator[Flag]:
    """Yield the flags for the attributes that memoQ (`mq:status`) and Phrase (`m:confirmed`) add to XLIFF 1.2 units."""
    said = {local(name): value for name, value in unit.attributes.items() if ":" in name}
    status = said.get("status", "")
    if status in _MEMOQ:
        yield _MEMOQ[status]
    percent = said.get("percent", "")
    if status == "Pretranslated" and percent.isdecimal() and len(percent) < 3:
        yield "fuzzy"
    if said.get("confirmed") == "0":
        yield "draft"
        if said.get("trans-origin", "").lower() in ("mt", "nmt"):
            yield "machine"


def machine_unit(tag: str, unit: Element) -> str:
    """Return the start tag of an XLIFF 1.2 unit with its own attributes saying that it was translated by machine."""
    if unit.get("approved") == "yes":
        tag = attribute(tag, "approved", "no")
    for name in unit.attributes:
        if ":" in name and local(name) == "status":  # memoQ
            tag = attribute(tag, name, "MachineTranslated")
        if ":" in name and local(name) == "confirmed":  # Phrase
            tag = attribute(attribute(tag, name, "0"), name.replace("confirmed", "trans-origin"), "mt")
    return tag


def machine_segment(tag: str) -> str:
    """Return the tag of a segment of SDL Trados (`sdl:seg`) with a draft by machine translation."""
    for name, value in (("percent", None), ("conf", "Draft"), ("origin", "mt")):
        tag = attribute(tag, name, value)
    return tag


def _by_words(name: str) -> Flag | None:
    words = re.split(r"[^a-z]+", name.lower())
    return next((_WORDS[word] for word in words if word in _WORDS), None)
