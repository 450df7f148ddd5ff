"""The texts that are translated: cleaned, and without those that belong to valid or test.

Texts are cleaned before they are translated, by the rules of prepare_corpus, because a translation costs far more than
a rule. Of a parallel corpus only the pairs of the training split are taken: synthetic pairs of the other splits would
be copies of what the model is scored on.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seqloom.corpus.cleaning import Cleaner
from seqloom.corpus.keys import fraction_of
from seqloom.corpus.reading import RawPair
from seqloom.corpus.settings import PrepareSettings
from seqloom.corpus.splits import Split
from seqloom.corpus.splitting import split_of
from seqloom.sharding.manifest import shard_name
from seqloom.synthesis.translating import write_rows
from seqloom.text import Forms, normalise

SHARD = 4096
"""Texts of a shard: after an interruption, a worker repeats at most so many."""
OTHER_SPLIT, NOT_CHOSEN = "in valid or test", "not in the share"


class Original(NamedTuple):
    """A cleaned text, and its translation by a person, which is empty for monolingual texts."""

    text: str
    reference: str = ""


class Selection:
    """Cleans and selects texts; `counts` has how many were read, and left out by reason."""

    def __init__(self, settings: PrepareSettings, forms: Forms, share: float) -> None:
        self._settings, self._share = settings, share
        self._pairs = Cleaner(settings.clean, forms)
        alone = settings.clean.model_copy(update={"drop_copies": False})
        self._texts = Cleaner(alone, forms)
        self.counts: Counter[str] = Counter(read=0)

    def monolingual(self, texts: Iterable[str]) -> Iterator[Original]:
        """Yield the texts to translate."""
        for text in texts:
            self.counts["read"] += 1
            cleaned = self._texts.clean(text, text)
            if cleaned.dropped is not None:
                self.counts[cleaned.dropped] += 1
            elif self._is_chosen(cleaned.source):
                yield Original(cleaned.source)

    def parallel(self, pairs: Iterable[RawPair], side: int, pivot: int, given: Split | None) -> Iterator[Original]:
        """Yield the texts of one side with those of the other as references.

        `pivot` is the side whose text determines the split of a pair without a group, and `given` the split that the
        corpus provides, if any.
        """
        for pair in pairs:
            self.counts["read"] += 1
            cleaned = self._pairs.clean(pair.source, pair.target)
            if cleaned.dropped is not None:
                self.counts[cleaned.dropped] += 1
                continue
            texts = cleaned.source, cleaned.target
            split = split_of(texts[pivot], normalise(pair.group), self._settings.split) if given is None else given
            if split is not Split.train:
                self.counts[OTHER_SPLIT] += 1
            elif self._is_chosen(texts[side]):
                yield Original(texts[side], texts[1 - side])

    def _is_chosen(self, text: str) -> bool:
        chosen = self._share == 1 or fraction_of(text, "share") < self._share
        self.counts[NOT_CHOSEN] += not chosen
        return chosen


def write_shards(originals: Iterable[Original], folder: Path) -> list[Path]:
    """Write texts and references to files of `SHARD` lines in an empty folder; return the files in order."""
    paths: list[Path] = []
    waiting = iter(originals)
    while rows := list(islice(waiting, SHARD)):
        paths.append(folder / shard_name(len(paths), "tsv"))
        write_rows(paths[-1], rows)
    return paths
