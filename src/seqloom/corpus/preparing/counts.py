"""Numbers of pairs read, dropped and kept, which can be added."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from seqloom.corpus.examples import Example, Examples
from seqloom.corpus.leakage import Leakage
from seqloom.corpus.splits import Split
from seqloom.corpus.splitting import REASONS, USUAL
from seqloom.corpus.statistics import Statistics


class Counts:
    """Numbers of pairs read, dropped and kept."""

    def __init__(self, rules: Iterable[str], directions: Iterable[str]) -> None:
        self.raw: Counter[str] = Counter()
        self.left_out: dict[str, Counter[str]] = {}  # texts that did not become pairs, by corpus and reason
        self.examples = Examples()
        self.dropped: Counter[str] = Counter(dict.fromkeys([*rules, *REASONS[:USUAL]], 0))
        self.directions: dict[str, Counter[Split]] = {each: Counter(dict.fromkeys(Split, 0)) for each in directions}
        self.groups: Counter[Split] = Counter()
        self.leakage: dict[Split, Leakage] = {}
        self.statistics: Statistics | None = None

    @property
    def splits(self) -> Counter[Split]:
        """Pairs in each split, over all directions."""
        return Counter({split: sum(counts[split] for counts in self.directions.values()) for split in Split})

    def leave_out(self, corpus: str, reason: str, example: Example) -> None:
        """Count a text that did not become a pair."""
        self.left_out.setdefault(corpus, Counter())[reason] += 1
        self.examples.add(corpus, reason, example)

    def drop(self, corpus: str, reason: str, example: Example) -> None:
        """Count a pair that is dropped."""
        self.dropped[reason] += 1
        self.examples.add(corpus, reason, example)

    def part(self) -> dict[str, Any]:
        """Return the numbers of a part of the corpus as plain data, for `add`."""
        return {
            "raw": self.raw,
            "left_out": self.left_out,
            "dropped": self.dropped,
            "directions": {name: [counts[split] for split in Split] for name, counts in self.directions.items()},
            "examples": self.examples.part(),
        }

    def add(self, part: dict[str, Any]) -> None:
        """Add the numbers of a part. The parts must come in the order of the corpus, which decides that of names."""
        self.raw.update(part["raw"])
        for corpus, found in part["left_out"].items():
            self.left_out.setdefault(corpus, Counter()).update(found)
        self.dropped.update(part["dropped"])
        for name, counts in part["directions"].items():
            self.directions[name].update(dict(zip(Split, counts, strict=True)))
        self.examples.add_part(part["examples"])

    def record(self) -> dict[str, Any]:
        """Return the counts as in metrics/corpus.json; several directions are also listed separately."""
        each = {name: {s.name: counts[s] for s in Split} for name, counts in self.directions.items()}
        return {
            "raw": dict(self.raw),
            **({"left_out": {name: dict(found) for name, found in self.left_out.items()}} if self.left_out else {}),
            "dropped": dict(self.dropped),
            "kept": self.splits.total(),
            "splits": {split.name: self.splits[split] for split in Split},
            **({"directions": each} if len(each) > 1 else {}),
            "groups": {split.name: self.groups[split] for split in Split},
            "leakage": {
                split.name: {**found._asdict(), "near_copy_share": round(found.share, 4)}
                for split, found in self.leakage.items()
            },
            **(self.statistics.record() if self.statistics else {}),
        }

    def table(self) -> str:
        """Return the counts as a plain-text table."""
        rows = [*(f"{n:>12,}  {corpus} (raw)" for corpus, n in self.raw.items())]
        rows += [f"{n:>12,}  {name}: {each}" for name, found in self.left_out.items() for each, n in found.items()]
        rows += [f"{-n:>12,}  {rule}" for rule, n in self.dropped.items() if n]
        rows += [f"{self.splits[split]:>12,}  {split.name}" for split in Split]
        if len(self.directions) > 1:
            rows += [f"{c[split]:>12,}  {split.name} {name}" for name, c in self.directions.items() for split in Split]
        return "\n".join(rows)
