"""train_tokenizer: the splits in, a tokenizer and the splits as token ids out.

The vocabulary is learnt on the training split alone. Pairs with a side longer than `tokenizer.max_length` stay out of
the token files; data/tokens/counts.json says how many, and what the tokens are like.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seqloom.batching.store import TokenWriter
from seqloom.corpus.splits import Pair, Split, read_split
from seqloom.errors import CorpusError
from seqloom.params import Params
from seqloom.progress import Listener, Progress
from seqloom.stages import places
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tokenization.tokenizer import Tokenizer

_REPORT_EVERY = 1000  # pairs


def run(params: Params, listen: Listener) -> None:
    """Train the tokenizer and write models/tokenizer and data/tokens."""
    training = places.CORPUS / Split.train.file_name

    def texts() -> Iterator[tuple[str, str]]:
        return ((pair.source, pair.target) for pair in read_split(training))

    tokenizer = train_tokenizer(params.tokenizer, texts, params.train.seed, listen)
    tokenizer.save(places.TOKENIZER)
    counts = {
        split.name: encode_split(split, tokenizer, params.tokenizer.max_length, listen)
        for split in (Split.train, Split.valid)
    }
    places.write_text(places.TOKENS / "counts.json", json.dumps(counts, indent=2) + "\n")


@dataclass
class Tally:
    """What the segments of one side amount to; pairs that are left out do not count."""

    unk: int
    tokens: int = 0
    unknown: int = 0

    def add(self, ids: list[int]) -> None:
        """Count a segment."""
        self.tokens += len(ids)
        self.unknown += ids.count(self.unk)

    def figures(self, pairs: int) -> dict[str, float]:
        """Tokens, tokens a segment, and the share of them that are unknown, to the digits that mean something."""
        return {
            "tokens": self.tokens,
            "tokens_per_segment": round(self.tokens / pairs, 3),
            "unknown_share": round(self.unknown / self.tokens, 6),
        }


def encode_split(split: Split, tokenizer: Tokenizer, max_length: int, listen: Listener) -> dict[str, object]:
    """Write a split as token ids and return its counts.

    Raises:
        CorpusError: no pair is short enough.
    """
    path = places.CORPUS / split.file_name
    total = _lines(path) - 1
    source_tally, target_tally = Tally(tokenizer.symbols.unk), Tally(tokenizer.symbols.unk)
    sizes = tokenizer.source_vocab_size, tokenizer.target_vocab_size
    with TokenWriter(places.TOKENS / split.name, *sizes) as writer:
        for done, pair in enumerate(read_split(path)):
            if done % _REPORT_EVERY == 0:
                listen(Progress(f"encode {split.name}", done, total, "pairs"))
            source, target = _encode(pair, tokenizer)
            if len(source) <= max_length and len(target) <= max_length:
                writer.add(source, target)
                source_tally.add(source)
                target_tally.add(target)
        too_long = total - writer.pairs
        if not writer.pairs:
            raise CorpusError(
                f"{path}: none of its {total} pairs has at most {max_length} tokens on both sides; raise "
                "tokenizer.max_length, or check what prepare_corpus kept (metrics/corpus.json)"
            )
    listen(Progress(f"encode {split.name}", total, total, "pairs", f"{too_long:,} too long" if too_long else ""))
    return {
        "pairs": writer.pairs,
        "too_long": too_long,
        "source": source_tally.figures(writer.pairs),
        "target": target_tally.figures(writer.pairs),
    }


def _encode(pair: Pair, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    source = tokenizer.encode_source(pair.source)
    return source.ids, tokenizer.encode_target(pair.target, source.slots)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
