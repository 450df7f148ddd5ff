"""What comments and headers of `.po` files say about translations: fuzzy, made by a machine, and in which language.

gettext has no mark of its own for machine translation. As its `msgpre` and most translation scripts do, a message is
marked fuzzy, so that it counts only after review; a translator's comment says why.
"""

import re
from collections.abc import Iterator

_MACHINE = "# machine translation: "
_FIELD = re.compile(r'^"(Language|Content-Type|Plural-Forms):[ \t]*([^"\n]*?)\\n"', re.MULTILINE)
# Languages with two plural forms, and how they divide the numbers.
_ONE_AND_OTHERS = frozenset(
    ["bg", "ca", "da", "de", "el", "en", "es", "et", "eu", "fi", "hu", "it", "nb", "nl", "no", "pt", "sv", "tr"]
)
_UP_TO_ONE_AND_OTHERS = frozenset(["fr", "pt-br"])


def is_fuzzy(comment: str) -> bool:
    """Return whether the line is a flag comment with `fuzzy`."""
    return comment.startswith("#,") and "fuzzy" in _flags(comment)


def is_machine(comment: str) -> bool:
    """Return whether the line is the comment that `marked` writes."""
    return comment.startswith(_MACHINE)


def without_fuzzy(comments: str) -> str:
    """Return a message's comments without the flag `fuzzy` and previous texts (`#|`). Other lines stay."""
    return "".join(_without_fuzzy(comments))


def marked(comments: str, engine: str, line_end: str) -> str:
    """Return a message's comments with the flag `fuzzy` and a comment that names the engine, in gettext's order."""
    lines = [line for line in _without_fuzzy(comments) if not is_machine(line)]
    own = next((at for at, line in enumerate(lines) if line[:2] not in ("# ", "#", "#\n", "#\r")), len(lines))
    name = " ".join(engine.split()).encode("ascii", "replace").decode()  # the file may be in any encoding
    lines.insert(own, f"{_MACHINE}{name}{line_end}")
    for at, line in enumerate(lines):
        if line.startswith("#,"):
            content = line.rstrip("\r\n")
            lines[at] = ", ".join(("#, fuzzy", *_flags(content))) + line[len(content) :]
            return "".join(lines)
    return "".join((*lines, f"#, fuzzy{line_end}"))


def filled_header(entry: str, language: str, encoding: str) -> str:
    """Return a catalogue's header with the blanks of a template filled in; everything else stays as it is."""
    filled = entry
    for name, value in _blanks(entry, language, encoding):
        begin, _, rest = filled.partition(f'"{name}:')
        filled = f'{begin}"{name}: {value}\\n"' + rest.partition('"')[2]
    return filled if filled == entry else without_fuzzy(filled)


def _blanks(entry: str, language: str, encoding: str) -> Iterator[tuple[str, str]]:
    said = {name: value.strip() for name, value in _FIELD.findall(entry)}
    if said.get("Language") == "":
        yield "Language", language.replace("-", "_")
    if said.get("Content-Type", "").upper().endswith("CHARSET=CHARSET"):
        yield "Content-Type", f"text/plain; charset={encoding.upper()}"
    if said.get("Plural-Forms", "").startswith("nplurals=INTEGER"):
        tag, base = language.lower(), language.lower().partition("-")[0]
        if _UP_TO_ONE_AND_OTHERS.intersection((tag, base)):
            yield "Plural-Forms", "nplurals=2; plural=(n > 1);"
        elif base in _ONE_AND_OTHERS:
            yield "Plural-Forms", "nplurals=2; plural=(n != 1);"


def _without_fuzzy(comments: str) -> Iterator[str]:
    for line in re.findall(r"[^\n]*\n|[^\n]+", comments):
        content = line.rstrip("\r\n")
        if is_fuzzy(content):
            others = [each for each in _flags(content) if each != "fuzzy"]
            if others:
                yield "#, " + ", ".join(others) + line[len(content) :]
        elif not content.startswith(("#|", "#~|")):
            yield line


def _flags(comment: str) -> list[str]:
    return [each.strip() for each in comment[2:].split(",") if each.strip()]
