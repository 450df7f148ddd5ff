"""Lines of a subtitle: a sentence that runs over two lines is translated as one, and wrapped again."""

import re

_SPEAKER = re.compile(r"\s*(?:<[^<>]*>\s*)*[-\u2013\u2014\u2022]")
_WORD = re.compile(r"(?:<[^<>]*>|\S)+")


def joined(text: str) -> tuple[str, int]:
    """Return the lines of a cue as one, and their number; unchanged and 1 if the lines are of several speakers."""
    lines = text.split("\n")
    if len(lines) < 2 or any(_SPEAKER.match(line) for line in lines[1:]):
        return text, 1
    return " ".join(line.strip() for line in lines), len(lines)


def wrapped(text: str, lines: int) -> str:
    """Return the text broken into this many lines of similar length, or fewer if it has fewer words."""
    if lines < 2:
        return text
    words, found = _WORD.findall(text), list[str]()
    length = sum(map(len, words)) + len(words) - 1
    for left in range(lines, 1, -1):
        line = ""
        while words and (not line or len(line) + 1 + len(words[0]) / 2 < length / left):
            line = f"{line} {words.pop(0)}".lstrip()
        found.append(line)
        length -= len(line) + 1
    found.append(" ".join(words))
    return "\n".join(line for line in found if line)
