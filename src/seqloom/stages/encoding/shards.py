"""Encode a split that is a folder of shards: one shard of token ids for each shard of pairs."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqloom import places
from seqloom.batching.shards import COLUMNS, META, Vocabularies, write_shard
from seqloom.corpus.left_out import LEFT_OUT, read_left_out, without
from seqloom.corpus.splits import read_shard, read_shards_of
from seqloom.errors import CorpusError
from seqloom.files import hashes_of, read_object, replacing_folder, sha256_of, write_json
from seqloom.languages import Direction
from seqloom.progress import Listener
from seqloom.sharding.manifest import Shard, describe_shard, shard_name, write_manifest
from seqloom.sharding.mapping import Launcher, Result, map_shards
from seqloom.sharding.step import Function, Input
from seqloom.stages.encoding.encoder import SIDES, Counts, Encoder
from seqloom.tokenization.catalogue import load_tokenizer

_SHARD, _COUNTS = "tokens.parquet", "counts.json"


@dataclass(frozen=True)
class EncodeShard:
    """Encodes a shard of pairs. `scores` is the folder of score_corpus if it may leave out pairs of this split."""

    tokenizer: Path
    directions: tuple[Direction, ...]
    max_length: int
    scores: Path | None = None

    name = "encode"

    @cached_property
    def _files(self) -> dict[str, Any]:
        left_out = None if self.scores is None else self.scores / LEFT_OUT
        there = left_out is not None and left_out.is_file()
        return {"tokenizer": hashes_of(self.tokenizer), "left_out": sha256_of(left_out) if left_out and there else None}

    def identity(self) -> dict[str, Any]:
        """Return everything that the ids depend on."""
        return {"directions": list(map(str, self.directions)), "max_length": self.max_length, **self._files}

    def start(self) -> Function:
        """Load the tokenizer. Raises `TokenizerError`."""
        encoder = Encoder(load_tokenizer(self.tokenizer), self.directions, self.max_length)
        kind = vocabularies_of(encoder, self.directions).kind
        left_out = None if self.scores is None else read_left_out(self.scores)

        def encode(shard: Path, folder: Path) -> int:
            counts, pairs = Counts(), read_shard(shard)
            if left_out is not None:
                pairs = without(pairs, left_out, dict(first_rows(shard.parent))[shard.name])
            write_shard(folder / _SHARD, encoder.encode(pairs, counts, shard), kind)
            write_json(folder / _COUNTS, vars(counts))
            return counts.kept.total()

        return encode


def vocabularies_of(encoder: Encoder, directions: Sequence[Direction]) -> Vocabularies:
    """Return the vocabularies of the encoder's tokenizer, with the directions."""
    tokenizer = encoder.tokenizer
    sizes = tokenizer.source_vocab_size, tokenizer.target_vocab_size
    return Vocabularies(*sizes, tokenizer.symbols, list(map(str, directions)))


def first_rows(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the name of each shard of a split, and the position of its first pair in the split."""
    row = 0
    for shard in read_shards_of(folder).shards:
        yield shard.name, row
        row += shard.rows


def encode_shards(pairs: Path, into: Path, step: EncodeShard, launcher: Launcher, listen: Listener) -> Counts:
    """Write the token ids of the split in the folder `pairs` as shards into the folder `into`; return the counts.

    Raises:
        CorpusError: no pair is short enough.
        ShardError: shards are missing, or some could not be encoded; the others stay done.
    """
    work = places.SCRATCH / "encode" / into.name
    firsts = dict(first_rows(pairs))
    shards = read_shards_of(pairs).shards
    inputs = [Input(pairs / each.name, f"{each.sha256}@{firsts[each.name]}") for each in shards]
    results = map_shards(step, inputs, work, launcher, listen, len(inputs))
    counts = Counts()
    for result in results:
        counts.add(Counts.of(read_object(result.folder / _COUNTS, CorpusError)))
    if not counts.kept:
        raise CorpusError(
            f"{pairs}: none of its pairs has at most {step.max_length} tokens on both sides; raise "
            "tokenizer.max_length, or check what prepare_corpus kept (metrics/corpus.json)"
        )
    with replacing_folder(into) as folder:
        write_manifest(folder, COLUMNS, list(_collected(results, folder)))
        encoder = Encoder(load_tokenizer(step.tokenizer), step.directions, step.max_length)
        tokens = [counts.tokens[side] for side in SIDES]
        write_json(folder / META, vocabularies_of(encoder, step.directions).meta(counts.kept.total(), tokens))
    shutil.rmtree(work, ignore_errors=True)
    return counts


def _collected(results: Sequence[Result], folder: Path) -> Iterator[Shard]:
    """Move the shards that have pairs into the folder, and describe them."""
    for number, result in enumerate(result for result in results if result.rows):
        path = folder / shard_name(number, "parquet")
        shutil.move(result.folder / _SHARD, path)
        yield describe_shard(path, result.rows)
