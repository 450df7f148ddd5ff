"""Summaries and generated texts: what the presets learn in some minutes, beside simple baselines.

    python -m benchmarks.other_tasks summarization --data DIR --minutes 8
    python -m benchmarks.other_tasks generation --data FILE --minutes 8

DIR contains train, dev and test, `.tsv.gz`, with a text and its summary in the columns (SciTLDR: abstracts). The
model's summaries are compared with the first sentence of the text and with the whole text.

The first column of FILE (`.tsv.gz`) has sentences. The first three words of a sentence are the prompt, and the model
writes the rest. Its perplexity on the test split is compared with those of a unigram and a trigram model of the same
pieces, trained on the same sentences: exp of the mean negative log-probability of a piece of the rest, with EOS, given
the prompt and the pieces before it. A fifth of Tatoeba's test sentences have a near-copy in training, which helps all
three. Samples are printed, and are on the page that evaluate_model writes.

The presets `summarization` and `generation` run through the stages of the pipeline, with training limited by time. A
Markdown table is printed.
"""

import argparse
import csv
import gzip
import hashlib
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.workspace import BEFORE_TRAINING, ROOT, Workspace
from seqloom.corpus.splits import read_split
from seqloom.decoding.translator import Translator
from seqloom.evaluation.rouge import TYPES, rouge
from seqloom.models.seq2seq import Seq2Seq
from seqloom.translation.segmenting import split_text

SPLITS = {"train": "train", "dev": "valid", "test": "test"}
PROMPT_WORDS, LEAST_WORDS = 3, 6
SHARE = 40  # of the sentences, one in so many is for validation, and as many for the test
SAMPLES = 8
EOS = -1


def main() -> None:
    """Train, score and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["summarization", "generation"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0, help="minutes of training (default: 8)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "scratch" / "benchmarks" / "other_tasks")
    options = parser.parse_args()
    workspace = Workspace(options.folder / options.task, options.threads)
    local = workspace.folder / "data" / "local"
    shutil.rmtree(local, ignore_errors=True)
    local.mkdir(parents=True)
    if options.task == "summarization":
        for name, split in SPLITS.items():
            shutil.copy(options.data / f"{name}.tsv.gz", local / f"{split}.tsv.gz")
    else:
        write_prompts(options.data, local)
    train = {"max_minutes": options.minutes, "max_steps": None, "max_epochs": None, "patience": None}
    changes: dict[str, Any] = {
        "corpora": {
            split: {"kind": "file", "path": f"data/local/{split}.tsv.gz", "format": "tsv", "split": split}
            for split in SPLITS.values()
        },
        "prepare": {"max_leakage": 0.5},
        "train": {**train, "validate_every": 200},
    }
    workspace.configure([options.task], changes)
    workspace.run(*BEFORE_TRAINING, "train_model", "evaluate_model")
    lines = summaries(workspace) if options.task == "summarization" else generated(workspace)
    print("\n".join(lines), flush=True)


def write_prompts(path: Path, local: Path) -> None:
    """Write the beginnings and rests of different sentences, divided by their hash."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        sentences = dict.fromkeys(line.split("\t")[0].strip() for line in file)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS.values()}
    for sentence in sentences:
        words = sentence.split()
        if len(words) >= LEAST_WORDS:
            number = int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:4], "big") % SHARE
            split = {0: "valid", 1: "test"}.get(number, "train")
            lines[split].append(f"{' '.join(words[:PROMPT_WORDS])}\t{' '.join(words[PROMPT_WORDS:])}\n")
    for split, rows in lines.items():
        (local / f"{split}.tsv.gz").write_bytes(gzip.compress("".join(rows).encode()))


def summaries(workspace: Workspace) -> Iterator[str]:
    """Yield the table of the summaries."""
    with (workspace.folder / "reports/evaluation/hypotheses.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    references = [row["reference"] for row in rows]
    texts = {
        "summarization preset": [row["hypothesis"] for row in rows],
        "first sentence of the text": [next(iter(split_text(row["source"], "en", []))).text for row in rows],
        "the whole text": [row["source"] for row in rows],
    }
    training = workspace.read("metrics/training.json")
    yield f"{len(rows)} texts; {training['steps']:,} updates"
    yield f"| summary | {' | '.join(TYPES)} | words |"
    yield "|---|" + "---|" * (len(TYPES) + 1)
    for name, found in texts.items():
        scores = rouge(found, references, "en")
        words = sum(len(text.split()) for text in found) / len(found)
        yield f"| {name} | {' | '.join(f'{scores[kind].score():.1f}' for kind in TYPES)} | {words:.1f} |"
    yield scores["rougeL"].signature()


def generated(workspace: Workspace) -> Iterator[str]:
    """Yield the table of the perplexities, and samples."""
    translator = Translator.load(workspace.folder / "models" / "candidate", "cpu")
    encoded = {
        split: [encode(translator, pair.source, pair.target) for pair in read_split(path)]
        for split in ("train", "test")
        if (path := workspace.folder / "data" / "corpus" / f"{split}.tsv")
    }
    pieces = sum(len(rest) + 1 for _, rest in encoded["test"])
    size = translator.tokenizer.target_vocab_size
    negative = {
        "generation preset": -sum(log_probability(translator, *pair) for pair in encoded["test"]),
        "trigrams": NGrams(3, encoded["train"], size).surprise(encoded["test"]),
        "unigrams": NGrams(1, encoded["train"], size).surprise(encoded["test"]),
    }
    training = workspace.read("metrics/training.json")
    yield f"{len(encoded['test']):,} sentences, {pieces:,} pieces; {training['steps']:,} updates"
    yield "| model | perplexity of a piece |"
    yield "|---|---|"
    yield from (f"| {name} | {math.exp(total / pieces):.1f} |" for name, total in negative.items())
    with (workspace.folder / "reports/evaluation/hypotheses.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    yield from (f"- {row['source']} **{row['hypothesis']}**" for row in rows[:: len(rows) // SAMPLES][:SAMPLES])
    yield str(workspace.folder / "reports" / "evaluation" / "index.html")


def encode(translator: Translator, prompt: str, rest: str) -> tuple[list[int], list[int]]:
    """Return the ids of a prompt and of what follows it."""
    source = translator.tokenizer.encode_source(prompt)
    return source.ids, translator.tokenizer.encode_target(rest, source.slots)


@torch.inference_mode()
def log_probability(translator: Translator, prompt: list[int], rest: list[int]) -> float:
    """Return the model's log-probability of the ids of a rest and EOS."""
    symbols = translator.tokenizer.symbols
    model = translator.model
    assert isinstance(model, Seq2Seq)
    read = torch.tensor([[symbols.bos, *rest]])
    hidden = model(torch.tensor([prompt]), torch.tensor([len(prompt)]), read)
    wanted = torch.tensor([[*rest, symbols.eos]]).unsqueeze(2)
    return float(model.log_probabilities(hidden).gather(2, wanted).double().sum())


class NGrams:
    """N-grams of pieces with Witten-Bell smoothing (Witten and Bell 1991): each order is interpolated with the next."""

    def __init__(self, order: int, pairs: Sequence[tuple[list[int], list[int]]], size: int) -> None:
        self._order, self._size = order, size
        self._follow: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for history, piece in self._events(pairs):
            for length in range(min(order, len(history) + 1)):
                self._follow[history[len(history) - length :]][piece] += 1

    def surprise(self, pairs: Sequence[tuple[list[int], list[int]]]) -> float:
        """Return the negative log-probability of all rests, given their prompts."""
        return -sum(math.log(self._probability(history, piece)) for history, piece in self._events(pairs))

    def _events(self, pairs: Sequence[tuple[list[int], list[int]]]) -> Iterator[tuple[tuple[int, ...], int]]:
        for prompt, rest in pairs:
            ids = [*prompt, *rest, EOS]
            for at in range(len(prompt), len(ids)):
                yield tuple(ids[max(0, at - self._order + 1) : at]), ids[at]

    def _probability(self, history: tuple[int, ...], piece: int) -> float:
        shorter = self._probability(history[1:], piece) if history else 1 / (self._size + 1)
        seen = self._follow.get(history)
        if not seen:
            return shorter
        return (seen[piece] + len(seen) * shorter) / (seen.total() + len(seen))


if __name__ == "__main__":
    main()
