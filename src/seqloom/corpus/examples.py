"""Examples of the texts left out of the corpora, by corpus and reason, as an HTML page."""

import hashlib
from collections import Counter, defaultdict
from heapq import heappush, heapreplace
from html import escape
from typing import Any, NamedTuple

from seqloom.pages.frame import document, row, table

KEPT_EXAMPLES = 10
_LONGEST = 300  # characters shown of each text


class Example(NamedTuple):
    """A text or pair that was left out."""

    place: str  # file and line, if known
    source: str
    target: str


class Examples:
    """Counts the texts left out, and keeps up to `KEPT_EXAMPLES` per corpus and reason.

    The examples with the smallest hashes are kept: a reproducible sample, whatever the order of the files.
    """

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._kept: dict[tuple[str, str], list[tuple[int, Example]]] = defaultdict(list)

    def add(self, corpus: str, reason: str, example: Example) -> None:
        """Count an example, and keep it if its hash is among the smallest."""
        self.counts[corpus][reason] += 1
        digest = hashlib.blake2b("\0".join(example).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self._offer((corpus, reason), -int.from_bytes(digest, "big"), example)

    def _offer(self, kind: tuple[str, str], rank: int, example: Example) -> None:
        heap = self._kept[kind]  # its first entry is the one to replace
        full = len(heap) >= KEPT_EXAMPLES
        if (full and rank <= heap[0][0]) or any(rank == kept for kept, _ in heap):
            return
        (heapreplace if full else heappush)(heap, (rank, Example(*map(_shown, example))))

    def part(self) -> dict[str, Any]:
        """Return the counts and examples as plain data, for `add_part`."""
        kept = [[*kind, rank, *example] for kind, heap in self._kept.items() for rank, example in heap]
        return {"counts": self.counts, "kept": kept}

    def add_part(self, part: dict[str, Any]) -> None:
        """Add the counts and examples of a part of the corpora."""
        for corpus, reasons in part["counts"].items():
            self.counts[corpus].update(reasons)
        for corpus, reason, rank, *example in part["kept"]:
            self._offer((corpus, reason), rank, Example(*example))

    def of(self, corpus: str, reason: str) -> list[Example]:
        """Return the examples for a reason, ordered by hash."""
        return [example for _, example in sorted(self._kept[corpus, reason], reverse=True)]

    def page(self) -> str:
        """Return the page: a section per corpus, with a table per reason."""
        parts = ["<p>Texts of the corpora that are in no split, by reason, with up to ten examples each.</p>"]
        for corpus, reasons in self.counts.items():
            parts.append(f"<h2>{escape(corpus)}</h2>")
            for reason, count in reasons.most_common():
                parts.append(f"<h3>{escape(reason)}: {count:,}</h3>")
                parts.append(table(("source", "target", "from"), (_row(each) for each in self.of(corpus, reason))))
        if not self.counts:
            parts.append("<p>Nothing was left out.</p>")
        return document("Texts left out of the corpora", "\n".join(parts))


def _shown(text: str) -> str:
    """The beginning of a text on one line, with unprintable characters replaced."""
    line = " ".join(text[:_LONGEST].split())
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def _row(example: Example) -> str:
    return row([example.source, example.target, example.place])
