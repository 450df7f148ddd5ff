"""Which share of noisy pairs score_corpus finds, at which loss of good pairs, by kind of noise.

    python -m benchmarks.noise_filter --split data/corpus/test.tsv --forward FOLDER --backward FOLDER --french FILE

Pairs of the split are mixed with noise, `--noise` of the mixture, equally often of each kind:

- misaligned: the target of another pair;
- wrong language: the French translation instead of the German one, from a TSV file of English and French texts;
- truncated: the first third of the words of the target, at least one;
- shuffled: the words of the target in random order;
- copied: the source as target;
- half translated: the first half of the words of the target, then the second half of those of the source.

A line of JSON per score (`dual`, centred and not, and `forward` alone) has, for each loss of good pairs in `--losses`,
the share of each kind that scores below the bound that loses so many, and `auc`: the probability that a noisy pair
scores below a good one. Good pairs that the forward model was trained on score better than new ones, so measure on a
split that no model has seen, too.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqloom.corpus.splits import Pair, SplitWriter, read_split
from seqloom.filtering.scores import Numbers, scores
from seqloom.filtering.scoring import score_pairs
from seqloom.languages import Direction
from seqloom.progress import ignore
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import Workshop

GOOD = "good"


class Noise:
    """Makes noisy pairs from pairs of at least four words, by kind."""

    def __init__(self, pairs: Sequence[Pair], french: dict[str, str], draw: random.Random) -> None:
        self._pairs = [pair for pair in pairs if min(len(pair.source.split()), len(pair.target.split())) >= 4]
        self._french, self._draw = french, draw
        self.kinds: dict[str, Callable[[Pair], str | None]] = {
            "misaligned": lambda pair: draw.choice(self._pairs).target,
            "truncated": lambda pair: (
                " ".join(words[: max(1, len(words) // 3)]) if (words := pair.target.split()) else None
            ),
            "shuffled": self._shuffled,
            "copied": lambda pair: pair.source,
            "half translated": self._half,
        }
        if french:
            self.kinds["wrong language"] = lambda pair: french.get(pair.source)

    def make(self, number: int) -> list[tuple[str, Pair]]:
        """Return `number` noisy pairs of all kinds together, each with its kind."""
        each = -(-number // len(self.kinds))
        found = []
        for kind, change in self.kinds.items():
            made = 0
            while made < each:
                pair = self._draw.choice(self._pairs)
                target = change(pair)
                if target is not None and target != pair.target:
                    found.append((kind, pair._replace(target=target)))
                    made += 1
        return found

    def _shuffled(self, pair: Pair) -> str:
        words = pair.target.split()
        self._draw.shuffle(words)
        return " ".join(words)

    def _half(self, pair: Pair) -> str:
        target, source = pair.target.split(), pair.source.split()
        return " ".join([*target[: len(target) // 2], *source[len(source) // 2 :]])


def main() -> None:
    """Score the mixture and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", type=Path, required=True, help="a split as prepare_corpus writes it")
    parser.add_argument("--forward", type=Path, required=True, help="a model folder")
    parser.add_argument("--backward", type=Path, help="a model folder of the reverse direction")
    parser.add_argument("--french", type=Path, help="TSV of English and French texts, for the wrong language")
    parser.add_argument("--pairs", type=int, default=6000, help="good pairs that are used, at most")
    parser.add_argument("--noise", type=float, default=0.3)
    parser.add_argument("--losses", type=float, nargs="+", default=[0.01, 0.05, 0.1])
    parser.add_argument("--write", type=Path, help="also write the noisy mixture as a split file")
    options = parser.parse_args()
    kinds, pairs = mixture(options)
    if options.write:
        _write(options.write, pairs)
    for name, values in measured(options, pairs).items():
        record = {"score": name, "good": kinds.count(GOOD), "noisy": len(kinds) - kinds.count(GOOD)}
        print(json.dumps(record | figures(np.array(kinds), values, options.losses)), flush=True)


def mixture(options: argparse.Namespace) -> tuple[list[str], list[Pair]]:
    """Return the kinds and the pairs, in random order."""
    draw = random.Random(1)
    good = list(read_split(options.split))
    draw.shuffle(good)
    good = good[: options.pairs]
    french = {}
    if options.french:
        rows = (line.split("\t") for line in options.french.read_text(encoding="utf-8").splitlines())
        french = {row[0]: row[1] for row in rows}
    noisy = Noise(good, french, draw).make(round(len(good) * options.noise / (1 - options.noise)))
    mixed = [*((GOOD, pair) for pair in good), *noisy]
    draw.shuffle(mixed)
    return [kind for kind, _ in mixed], [pair for _, pair in mixed]


def measured(options: argparse.Namespace, pairs: Sequence[Pair]) -> dict[str, Numbers]:
    """Return the scores of the pairs, by the name of the score."""
    direction = Direction(*pairs[0].direction.split("-"))
    models = {"forward": options.forward} | ({"backward": options.backward} if options.backward else {})
    with tempfile.TemporaryDirectory() as name:
        _write(Path(name) / "mixed.tsv", pairs)
        work = Workshop(Path(name) / "work", LocalLauncher(1), "cpu")
        found = score_pairs(Path(name) / "mixed.tsv", models, [direction], work, ignore)
    one = {"forward": found.by_role["forward"]}
    named = {"forward": scores(one, found.directions, centred=False)["quality"]}
    if options.backward:
        for label, centred in (("dual", True), ("dual, not centred", False)):
            named[label] = scores(found.by_role, found.directions, centred=centred)["quality"]
    return named


def directions_of(pairs: Sequence[Pair]) -> NDArray[np.str_]:
    """Return the direction of each pair, (pairs,)."""
    return np.array([pair.direction for pair in pairs])


def figures(kinds: NDArray[np.str_], values: Numbers, losses: Sequence[float]) -> dict[str, object]:
    """Return the share of each kind that is found at each loss of good pairs, and the AUC of each kind, in percent."""
    good = np.sort(values[kinds == GOOD])
    found: dict[str, object] = {}
    noisy = [*sorted(set(kinds.tolist()) - {GOOD}), "all"]
    for loss in losses:
        bound = good[int(loss * len(good))]
        shares = {kind: _below(values, kinds, kind, bound) for kind in noisy}
        found[f"found at {loss:.0%} loss"] = shares
    found["auc"] = {kind: round(100 * float(_auc(values[_of(kinds, kind)], good)), 1) for kind in noisy}
    return found


def _of(kinds: NDArray[np.str_], kind: str) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = kinds != GOOD if kind == "all" else kinds == kind
    return chosen


def _below(values: Numbers, kinds: NDArray[np.str_], kind: str, bound: float) -> float:
    return round(100 * float((values[_of(kinds, kind)] < bound).mean()), 1)


def _auc(noisy: Numbers, good: Numbers) -> float:
    above = len(good) - (np.searchsorted(good, noisy, "left") + np.searchsorted(good, noisy, "right")) / 2
    return float((above / len(good)).mean())


def _write(path: Path, pairs: Sequence[Pair]) -> None:
    path.unlink(missing_ok=True)
    with SplitWriter(path) as writer:
        for pair in pairs:
            writer.write(pair)


if __name__ == "__main__":
    main()
