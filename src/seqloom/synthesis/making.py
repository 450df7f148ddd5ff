"""Make the synthetic pairs of one plan: shards of texts, translated by workers, then zipped with their translations."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seqloom.errors import CorpusError
from seqloom.files import hashes_of, replacing_folder
from seqloom.progress import Listener
from seqloom.sharding.mapping import Result, Workshop, map_shards
from seqloom.sharding.step import fingerprint_of, input_of, rows_of
from seqloom.synthesis.cost import Cost, measure
from seqloom.synthesis.pairs import write_pairs, write_record
from seqloom.synthesis.plan import Plan
from seqloom.synthesis.texts import Original, Selection, write_shards
from seqloom.synthesis.translating import TRANSLATIONS, TranslateTexts, read_rows

_logger = logging.getLogger(__name__)


def make(
    plan: Plan, model: Path, originals: Iterable[Original], selection: Selection, workshop: Workshop, listen: Listener
) -> "Made":
    """Translate the texts.

    Args:
        plan: what to do.
        model: the model folder.
        originals: the texts, from `selection`.
        selection: counts the texts that are left out.
        workshop: scratch folder and workers.
        listen: receives the progress in shards.

    Raises:
        CorpusError: no text is left to translate.
        ModelError: the model cannot be loaded, or does not translate in the direction that is needed.
        ShardError: some shards cannot be translated; the others stay done.
    """
    with replacing_folder(workshop.scratch / "texts") as folder:
        names = [path.name for path in write_shards(originals, folder)]
    shards = [workshop.scratch / "texts" / name for name in names]
    if not shards:
        raise CorpusError(f"translate_corpus.{plan.name}: no text is left to translate: {shown(selection.counts)}")
    settings = plan.settings
    confident = plan.side == 0 and settings.search.method != "sampling"
    choice = settings.n_best, settings.similarity, confident
    step = TranslateTexts(model, plan.decoded, settings.search, workshop.device, *choice)
    inputs, into = [input_of(shard) for shard in shards], workshop.scratch / "translations"
    waiting = [
        shard
        for number, (shard, each) in enumerate(zip(shards, inputs, strict=True))
        if rows_of(into / f"{number:05}", fingerprint_of(step, each.identity)) is None
    ]
    texts = sum(len(read_rows(shard)) for shard in waiting)
    if waiting:
        sample = measure(step, waiting)
        _logger.info(
            f"{plan.name}: {settings.model} is to translate {texts:,} texts in {len(waiting):,} of {len(shards):,} "
            f"shards; they take one worker about {sample.of(texts)} at {sample.shown()}"
        )
    began = time.perf_counter()
    results = map_shards(step, inputs, into, workshop.launcher, listen, len(inputs))
    if waiting:
        cost = Cost(texts, time.perf_counter() - began)
        _logger.info(f"{plan.name}: all workers together took {cost.of(texts)}, with loading: {cost.shown()}")
    return Made(plan, model, shards, results, selection.counts)


class Made(NamedTuple):
    """The texts of a plan and their translations."""

    plan: Plan
    model: Path
    shards: Sequence[Path]
    results: Sequence[Result]
    counts: Counter[str]

    def write(self, folder: Path) -> int:
        """Write the pairs and the record; return the number of pairs.

        Raises:
            CorpusError: no translation can be used.
        """
        plan, settings = self.plan, self.plan.settings
        pairs = write_pairs(folder, plan.name, self._pairs())
        if not pairs:
            raise CorpusError(f"translate_corpus.{plan.name}: no translation can be used: {shown(self.counts)}")
        record = settings.model_dump(mode="json") | {
            "side": ("source", "target")[plan.side],
            "model_sha256": hashes_of(self.model),
            "counts": {**self.counts, "pairs": pairs},
        }
        write_record(folder, plan.name, plan.direction, record)
        _logger.info(f"{plan.name}: {pairs:,} pairs; {shown(self.counts)}")
        return pairs

    def _pairs(self) -> Iterator[tuple[str, str]]:
        """Yield source and target of each pair that can be used."""
        for shard, result in zip(self.shards, self.results, strict=True):
            translated = read_rows(result.folder / TRANSLATIONS)
            for (text, _), (translation, fault) in zip(read_rows(shard), translated, strict=True):
                if fault:
                    self.counts[fault] += 1
                else:
                    yield (text, translation) if self.plan.side == 0 else (translation, text)


def shown(counts: Counter[str]) -> str:
    """Return the counts of texts, as in `1,000 texts read; left out: 20 max_words`."""
    left_out = [f"{number:,} {reason}" for reason, number in counts.items() if number and reason != "read"]
    return f"{counts['read']:,} texts read; left out: {', '.join(left_out) or 'none'}"
