"""Parallel text as token stores with a joint vocabulary, made once and found again by content.

    python -m benchmarks.token_stores --data DIR

DIR contains train.en, train.de, val.en and val.de, plain or `.gz`. All engines that are compared read the same tokens;
a peer gets them as text, with one word per piece (`read_pieces`).
"""

import argparse
import gzip
import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.workspace import ROOT
from seqloom.batching.shards import FORMAT
from seqloom.batching.store import TokenWriter
from seqloom.params import load_params
from seqloom.progress import ignore
from seqloom.tokenization.catalogue import train_tokenizer
from seqloom.tokenization.settings import TokenizerSettings

SIDES = ("en", "de")
SPLITS = {"train": "train", "valid": "val"}
VOCABULARY = 10_000
MAX_LENGTH = 256  # tokens


def main() -> None:
    """Create the stores unless they exist, and print their folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train and val, .en and .de")
    options = parser.parse_args()
    folder = place(options.data)
    if not folder.exists():
        make(options.data, folder)
    print(folder)


def find_or_make(data: Path) -> tuple[Path, float]:
    """Return the folder with tokenizer, train and valid, and the seconds to create them; 0 if they existed.

    They are created in another process, so that its memory and imports are not measured.
    """
    folder = place(data)
    began = time.monotonic()
    if not folder.exists():
        command = [sys.executable, "-m", "benchmarks.token_stores", "--data", str(data.resolve())]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return folder, time.monotonic() - began
    return folder, 0.0


def place(data: Path) -> Path:
    """Return the folder for the stores of these texts."""
    digest = hashlib.sha256(f"{FORMAT} {tokenizer_settings().model_dump_json()}".encode())
    for split in SPLITS.values():
        for side in SIDES:
            digest.update(hashlib.sha256(_file(data, split, side).read_bytes()).digest())
    return ROOT / "scratch" / "benchmarks" / "tokens" / digest.hexdigest()[:16]


def tokenizer_settings() -> TokenizerSettings:
    """Return settings for a joint unigram vocabulary without slots, so that other engines see only pieces."""
    settings = load_params(ROOT / "params.yaml").tokenizer.model_dump()
    changes = {"algorithm": "unigram", "vocab_size": VOCABULARY, "joint": True, "slots": 0}
    return TokenizerSettings(**settings | changes)


def make(data: Path, folder: Path) -> None:
    """Learn the vocabulary from train and write the stores, all or none."""
    pairs = {name: texts(data, name) for name in SPLITS}
    tokenizer = train_tokenizer(tokenizer_settings(), lambda: pairs["train"], 1, ignore)
    beside = folder.with_name(folder.name + ".part")
    tokenizer.save(beside / "tokenizer")
    for name, of_split in pairs.items():
        with TokenWriter(beside / name, tokenizer.source_vocab_size, tokenizer.target_vocab_size) as writer:
            for source_text, target_text in of_split:
                source, slots = tokenizer.encode_source(source_text)
                target = tokenizer.encode_target(target_text, slots)
                if 0 < len(source) <= MAX_LENGTH and 0 < len(target) <= MAX_LENGTH:
                    writer.add(source, target)
    beside.rename(folder)


def texts(data: Path, split: str) -> list[tuple[str, str]]:
    """Yield the pairs of a split: train or valid."""
    return list(zip(*(_lines(data, SPLITS[split], side) for side in SIDES), strict=True))


class Corpus(NamedTuple):
    """Return the training pairs as ids, without EOS, from a folder of tokens as text."""

    ids: dict[str, int]  # of every piece
    pairs: list[tuple[list[int], list[int]]]


def read_pieces(folder: Path) -> Corpus:
    """Read train.en, train.de and vocabulary.txt, as peers get them."""
    pieces = (folder / "vocabulary.txt").read_text(encoding="utf-8").split("\n")[:-1]
    ids = {piece: index for index, piece in enumerate(pieces)}
    sides = [
        [[ids[piece] for piece in line.split()] for line in (folder / f"train.{side}").open(encoding="utf-8")]
        for side in SIDES
    ]
    return Corpus(ids, list(zip(*sides, strict=True)))


def _file(data: Path, split: str, side: str) -> Path:
    plain = data / f"{split}.{side}"
    return plain if plain.exists() else plain.with_name(plain.name + ".gz")


def _lines(data: Path, split: str, side: str) -> list[str]:
    file = _file(data, split, side)
    content = file.read_bytes()
    text = gzip.decompress(content) if file.suffix == ".gz" else content
    return text.decode("utf-8").removesuffix("\n").split("\n")


if __name__ == "__main__":
    main()
