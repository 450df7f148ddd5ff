"""What was left out of the corpora, to look at: a few examples of each reason and each corpus, as an HTML page."""

import hashlib
from collections import Counter, defaultdict
from heapq import heappush, heapreplace
from html import escape
from typing import NamedTuple

from seqloom.pages.frame import document, row, table

KEPT_EXAMPLES = 10
_LONGEST = 300  # characters of a side that are shown


class Example(NamedTuple):
    """A text or pair that was left out."""

    place: str  # its file and line, if it is known
    source: str
    target: str


class Examples:
    """Counts what is left out, and keeps up to `KEPT_EXAMPLES` of each corpus and reason.

    Those with the smallest hash are kept, so equal corpora give equal examples and no part of a file is preferred.
    """

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._kept: dict[tuple[str, str], list[tuple[int, Example]]] = defaultdict(list)

    def add(self, corpus: str, reason: str, example: Example) -> None:
        """Count an example and keep it if its turn has come."""
        self.counts[corpus][reason] += 1
        digest = hashlib.blake2b("\0".join(example).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        rank = -int.from_bytes(digest, "big")  # the heap's first entry is the one to give way
        heap = self._kept[corpus, reason]
        full = len(heap) >= KEPT_EXAMPLES
        if (full and rank <= heap[0][0]) or any(rank == kept for kept, _ in heap):
            return
        (heapreplace if full else heappush)(heap, (rank, Example(*map(_shown, example))))

    def of(self, corpus: str, reason: str) -> list[Example]:
        """Return the examples of a reason in the order of their hashes."""
        return [example for _, example in sorted(self._kept[corpus, reason], reverse=True)]

    def page(self) -> str:
        """Return the page: a section for each corpus, a table for each reason."""
        parts = ["<p>Texts of the corpora that are in no split, by reason. Up to ten examples of each are shown.</p>"]
        for corpus, reasons in self.counts.items():
            parts.append(f"<h2>{escape(corpus)}</h2>")
            for reason, count in reasons.most_common():
                parts.append(f"<h3>{escape(reason)}: {count:,}</h3>")
                parts.append(table(("source", "target", "from"), (_row(each) for each in self.of(corpus, reason))))
        if not self.counts:
            parts.append("<p>Nothing was left out.</p>")
        return document("What was left out of the corpora", "\n".join(parts))


def _shown(text: str) -> str:
    """The beginning of a text on one line, without control characters and surrogates."""
    line = " ".join(text[:_LONGEST].split())
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def _row(example: Example) -> str:
    return row([example.source, example.target, example.place])
