"""The format `tmx` (Translation Memory eXchange 1.4): units, each with the same text in several languages.

Of inline elements the text stays, which is the mark-up of the translated document (`<b>`, `{0}`): it is a placeholder
like any other. Subflows (`sub`) are left out, as are units that lack one of the two languages.
"""

from collections.abc import Iterator

from seqloom.corpus.formats.markup import End, Start, chosen, is_language, read_events
from seqloom.corpus.formats.raw import RawPair
from seqloom.corpus.members import Members
from seqloom.errors import FormatError
from seqloom.languages import Direction


def read_tmx(members: Members, pattern: str | None, direction: Direction) -> Iterator[RawPair]:
    """Yield the pairs of every file that the pattern matches, or of the only file where it is None.

    `{lang}` in the pattern is the target language. Which language of a unit is the source does not matter.

    Raises:
        FormatError: a file is no TMX, none matches, or none has a unit in both languages.
    """
    languages: dict[str, None] = {}
    found = False
    for name, group in chosen(members, pattern, direction.target):
        for texts in _units(members, name):
            languages |= dict.fromkeys(texts)
            source, target = (_pick(texts, language) for language in direction)
            if source and target:
                found = True
                yield RawPair(source, target, group)
    if not found:
        there = ", ".join(languages) or "none"
        raise FormatError(f"{members.place}: no unit has both {' and '.join(direction)}; its languages are {there}")


def _pick(texts: dict[str, str], wanted: str) -> str:
    exact = (text for language, text in texts.items() if language.lower() == wanted.lower())
    near = (text for language, text in texts.items() if is_language(language, wanted))
    return next(exact, None) or next(near, "")


def _units(members: Members, name: str) -> Iterator[dict[str, str]]:
    """The texts of each unit by their language."""
    where = f"{members.place}: {name}"
    texts: dict[str, str] = {}
    language, parts, collecting, hidden, rooted = "", list[str](), False, 0, False
    for event in read_events(members, name):
        match event:
            case Start(tag, attributes, line):
                if not rooted and tag != "tmx":
                    raise FormatError(f"{where}: line {line}: is no TMX: it begins with <{tag}>, not with <tmx>")
                rooted = True
                if tag == "tu":
                    texts = {}
                elif tag == "tuv":
                    language = attributes.get("xml:lang") or attributes.get("lang") or ""
                    if not language:
                        raise FormatError(f"{where}: line {line}: a <tuv> says no language (xml:lang)")
                elif tag == "seg":
                    parts, collecting = [], True
                hidden += tag == "sub"
            case End(tag):
                hidden -= tag == "sub"
                if tag == "seg":
                    texts.setdefault(language, "".join(parts))
                    collecting = False
                elif tag == "tu":
                    yield texts
            case text if collecting and not hidden:
                parts.append(str(text))
