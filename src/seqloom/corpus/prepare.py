"""From raw pairs to three splits: clean, split, remove overlaps and duplicates, check.

Each step is a map over shards (`seqloom.sharding`), so a corpus of any size is prepared in bounded memory by as many
workers as there are, and after an interruption only the shards that were being worked on are repeated:

1. `raw_chunks` reads the corpora in order into chunks, while `Clean` cleans the chunks before. It writes the cleaned
   pairs, and tables of the keys of their texts.
2. `FindShared` finds texts that are in several splits, each worker for a range of keys.
3. `FindDropped` adds the duplicates among the pairs that are left, also by ranges of keys.
4. `Write` writes the kept pairs, and counts them and the others, each worker for a range of the corpus.
5. `CompareTraining` compares the parts of the training split with valid and test.

The files depend on none of this: not on the workers, the chunks, the ranges or interruptions. A small corpus is a
single chunk and a single range, and no process is started for it.
"""

import json
import os
import shutil
from collections.abc import Sequence
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from seqloom.corpus.leakage import CompareTraining, combine, write_held_out
from seqloom.corpus.preparing.clean import COUNTS, ROWS, Clean
from seqloom.corpus.preparing.counts import Counts
from seqloom.corpus.preparing.decide import FindDropped, FindShared
from seqloom.corpus.preparing.items import CorpusItem, RawCorpus
from seqloom.corpus.preparing.means import Means
from seqloom.corpus.preparing.raw_chunks import raw_chunks
from seqloom.corpus.preparing.write import GROUP_TABLE, Write, plan
from seqloom.corpus.settings import PrepareSettings
from seqloom.corpus.splits import HEADER, HELD_OUT, Split, write_shards_of
from seqloom.corpus.statistics import Tally
from seqloom.errors import CorpusError
from seqloom.languages import Direction
from seqloom.sharding.manifest import Shard, shard_name
from seqloom.sharding.mapping import Result, map_shards
from seqloom.sharding.step import Input, Step
from seqloom.text import STANDARD_FORMS, Forms

__all__ = ["CorpusItem", "Counts", "Means", "RawCorpus", "prepare"]


def prepare(
    corpora: Sequence[RawCorpus],
    directions: Sequence[Direction],
    settings: PrepareSettings,
    folder: Path,
    means: Means,
    forms: Forms = STANDARD_FORMS,
) -> Counts:
    """Write the three splits into an empty folder.

    Args:
        corpora: the corpora, in the order in which their pairs are written.
        directions: the directions of the pairs; each must have pairs in every split.
        settings: cleaning, splitting and the limit on leakage.
        folder: on success it contains train.tsv, valid.tsv and test.tsv. If the training split is larger than
            `means.sizes.above`, it is a folder `train` of shards instead.
        means: who works, and the folder of intermediate results, which stay there.
        forms: defines the placeholders for cleaning.

    Raises:
        CorpusError: a split is empty, or the share of test segments with near-copies in training exceeds `max_leakage`.
        ShardError: a worker failed.
    """
    return _Preparation(directions, settings, folder, means).run(corpora, forms)


class _Preparation:
    def __init__(self, directions: Sequence[Direction], settings: PrepareSettings, folder: Path, means: Means) -> None:
        self._directions, self._settings, self._folder, self._means = tuple(directions), settings, folder, means

    def run(self, corpora: Sequence[RawCorpus], forms: Forms) -> Counts:
        settings = self._settings
        names = tuple(corpus.name for corpus in corpora)
        training_only = tuple(corpus.training_only for corpus in corpora)
        changes = tuple(corpus.change for corpus in corpora)
        step = Clean(settings.clean, settings.split, forms, names, self._directions, training_only, changes)
        chunks = self._clean(step, corpora)
        counts = step.counts()
        for result in chunks:
            counts.add(_record(result.folder))
        writing, parts = self._write(chunks, self._decide(chunks))
        tally = self._count(counts, parts)
        _check_sizes(counts)
        self._assemble(writing, parts)
        self._check_leakage(counts, writing, parts)
        counts.statistics = tally.statistics()
        return counts

    def _clean(self, step: Clean, corpora: Sequence[RawCorpus]) -> list[Result]:
        sizes, raw = self._means.sizes, self._means.scratch / "raw"
        chunks = raw_chunks(corpora, self._directions, raw, sizes.chunk)
        begun = list(islice(chunks, 2))
        launcher = self._means.launcher_for(len(begun))
        return map_shards(step, chain(begun, chunks), self._means.scratch / "clean", launcher, self._means.listen)

    def _decide(self, chunks: Sequence[Result]) -> list[Result]:
        """Find the pairs to drop."""
        settings, identity = self._settings, _identity(chunks)
        pairs = sum(len(np.load(each.folder / ROWS, mmap_mode="r")) for each in chunks)
        count = max(1, -(-pairs // self._means.sizes.bucket))
        folders = _folders(chunks)
        shared = self._map(FindShared(folders, count, settings.split.apart), count, identity)
        step = FindDropped(folders, _folders(shared), settings.clean.drop_duplicates)
        return self._map(step, count, _identity(shared) + identity)

    def _write(self, chunks: Sequence[Result], decisions: Sequence[Result]) -> tuple[Write, list[Result]]:
        sizes, paths = self._means.sizes, ([each.folder for each in chunks], [each.folder for each in decisions])
        planned = plan(*paths, sizes.chunk)
        if sharded := planned.bytes > sizes.above:
            planned = plan(*paths, sizes.shard)
        step = Write(_folders(chunks), _folders(decisions), planned.bounds, self._directions, sharded)
        return step, self._map(step, len(planned.bounds) - 1, _identity(chunks) + _identity(decisions))

    def _count(self, counts: Counts, parts: Sequence[Result]) -> Tally:
        tally = Tally(self._directions)
        for part in parts:
            record = _record(part.folder)
            counts.add(record)
            tally.add(record["tally"])
        groups = np.unique(np.concatenate([np.load(part.folder / GROUP_TABLE) for part in parts]))
        counts.groups.update({split: int((groups["split"] == split).sum()) for split in Split})
        return tally

    def _assemble(self, step: Write, parts: Sequence[Result]) -> None:
        """Put the splits together."""
        for split in HELD_OUT if step.sharded else Split:
            with (self._folder / split.file_name).open("xb") as file:
                file.write(HEADER.encode())
                for part in parts:
                    with (part.folder / f"{split.name}.lines").open("rb") as lines:
                        shutil.copyfileobj(lines, file, 1 << 20)
        if step.sharded:
            self._gather_shards(self._folder / Split.train.name, step, parts)

    def _gather_shards(self, folder: Path, step: Write, parts: Sequence[Result]) -> None:
        folder.mkdir()
        shards: list[Shard] = []
        for part in parts:
            rows, size, digest = _record(part.folder)["train"]
            if rows:
                shards.append(Shard(shard_name(len(shards), "parquet"), rows, size, digest))
                _link(part.folder / step.train_name(), folder / shards[-1].name)
        write_shards_of(folder, shards)

    def _check_leakage(self, counts: Counts, writing: Write, parts: Sequence[Result]) -> None:
        settings = self._settings
        held_out = {split: self._folder / split.file_name for split in HELD_OUT}
        index_folder = self._means.scratch / "held_out"
        shutil.rmtree(index_folder, ignore_errors=True)
        index_folder.mkdir(parents=True)
        sample = settings.leakage_sample
        index = write_held_out(index_folder, held_out, self._directions, settings.near_copy, sample)
        step = CompareTraining.of(index, held_out, self._directions, settings.near_copy)
        inputs = [Input(each.folder / writing.train_name(), each.fingerprint) for each in parts]
        counts.leakage = combine(index, [each.folder for each in self._map_inputs(step, inputs)])
        _check_share(counts, settings.max_leakage)

    def _map(self, step: Step, count: int, identity: str) -> list[Result]:
        """Apply a step to ranges, whose shards are named by their numbers."""
        digest = sha256(identity.encode()).hexdigest()
        return self._map_inputs(step, [Input(Path(str(number)), f"{digest} {number}") for number in range(count)])

    def _map_inputs(self, step: Step, inputs: Sequence[Input]) -> list[Result]:
        means = self._means
        into = means.scratch / step.name.replace(" ", "_")
        return map_shards(step, inputs, into, means.launcher_for(len(inputs)), means.listen, len(inputs))


def _record(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / COUNTS).read_text(encoding="utf-8")))


def _folders(results: Sequence[Result]) -> tuple[str, ...]:
    return tuple(str(result.folder) for result in results)


def _identity(results: Sequence[Result]) -> str:
    return " ".join(result.fingerprint for result in results)


def _link(source: Path, target: Path) -> None:
    """Make a file appear at another place too, without a copy if both are on one file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _check_sizes(counts: Counts) -> None:
    of = {name: f" of {name}" if len(counts.directions) > 1 else "" for name in counts.directions}
    empty = [
        f"{split.name}{of[name]}" for name, each in counts.directions.items() for split in Split if not each[split]
    ]
    if not empty:
        return
    rule, most = max(counts.dropped.items(), key=lambda item: item[1])
    if counts.splits.total():
        fault = f"{' and '.join(empty)} got no pairs; increase the shares in prepare.split, or add groups to the corpus"
    else:
        fault = "no pairs are left"
    blame = f"; the rule {rule!r} dropped the most: {most:,} of {counts.raw.total():,}" if most else ""
    raise CorpusError(f"{fault}{blame}\n{counts.table()}")


def _check_share(counts: Counts, most: float) -> None:
    found = counts.leakage[Split.test]
    if found.share > most:
        raise CorpusError(
            f"{found.near_copies:,} of {found.compared:,} test segments ({found.share:.1%}) have a near-copy in "
            f"training, more than prepare.max_leakage allows ({most:.1%}), so test scores would be "
            "too high. Keep related texts together (split.by: group), or raise the limit"
        )
