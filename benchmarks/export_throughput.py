"""How much faster an exported model translates than torch, and what it costs in quality.

    python -m benchmarks.export_throughput --model FOLDER --pairs TEST.TSV --beam 5 --threads 2

FOLDER holds a Transformer as train_model writes it, TEST.TSV source and target in the first two columns, with a header.
The model is exported into a temporary folder in float32 and int8. Torch and both exports translate the sources in
chunks, in turns within one process, with the same search settings and threads. One line of JSON is printed, with each
engine's

- sentences_per_s, and `ratio`, its rate over that of torch; `cpu_ratio` compares CPU time, which other work on the
  machine disturbs less;
- bleu (sacreBLEU), kept (the share of translations with exactly the placeholders of their sources), identical (the
  share of translations that are torch's) and by_torch (the share of searches left to torch by the fast search);
- megabytes of its weights.

Use a model that was trained: one with random weights hardly ever ends a target, and then the fast search leaves nearly
all to torch.
"""

import argparse
import json
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import sacrebleu
import torch

from seqloom.decoding.translator import Translation, Translator
from seqloom.export.fast_search import FastSearch, Tally
from seqloom.export.folder import WEIGHTS, write_export
from seqloom.export.settings import PRECISIONS


class Pair(NamedTuple):
    """A test segment."""

    source: str
    target: str


def main() -> None:
    """Translate and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--pairs", type=Path, required=True, help="source and target in columns, with a header")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=650, help="sentences that an engine translates in a turn")
    parser.add_argument("--every", type=int, default=1, help="take every n-th pair (default: 1, all)")
    parser.add_argument("--threads", type=int, default=2)
    print(json.dumps(measure(parser.parse_args())), flush=True)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of torch and of both exports."""
    torch.set_num_threads(options.threads)
    pairs = read_pairs(options.pairs)[:: options.every]
    with tempfile.TemporaryDirectory(prefix="seqloom-") as scratch:
        engines, sizes = load(options, Path(scratch))
        found, seconds, cpu = run(engines, [pair.source for pair in pairs], options.chunk)
    references = [[pair.target for pair in pairs]]
    figures = {}
    for name, translator in engines.items():
        texts = [best.text for best in found[name]]
        searched = translator.engine.tally if isinstance(translator.engine, FastSearch) else Tally(0, 1)
        figures[name] = {
            "sentences_per_s": round(len(pairs) / seconds[name], 1),
            "ratio": round(seconds["torch"] / seconds[name], 2),
            "cpu_ratio": round(cpu["torch"] / cpu[name], 2),
            "bleu": round(sacrebleu.corpus_bleu(texts, references).score, 2),
            "kept": sum(best.kept for best in found[name]) / len(pairs),
            "identical": round(
                sum(a.ids == b.ids for a, b in zip(found[name], found["torch"], strict=True)) / len(pairs), 4
            ),
            "by_torch": round(searched.torch / sum(searched), 4),
            "megabytes": round(sizes[name] / 1e6, 2),
        }
    libraries = ("seqloom", "torch", "ctranslate2")
    return {
        "sentences": len(pairs),
        "beam": options.beam,
        "threads": options.threads,
        **figures,
        "versions": {name: version(name) for name in libraries} | {"python": platform.python_version()},
    }


def load(options: argparse.Namespace, scratch: Path) -> tuple[dict[str, Translator], dict[str, int]]:
    """Return a translator per engine, and the bytes of its weights."""
    ours = Translator.load(options.model, "cpu")
    search = ours.search.model_copy(update={"method": "beam", "beam": options.beam})
    engines = {"torch": Translator(ours.model, ours.tokenizer, search, ours.languages, "cpu")}
    sizes = {"torch": (options.model / WEIGHTS).stat().st_size}
    for precision in PRECISIONS:
        export = write_export(options.model, ours.tokenizer.symbols, precision, scratch / precision)
        fast = FastSearch.load(export)
        engines[precision] = Translator(ours.model, ours.tokenizer, search, ours.languages, "cpu", fast)
        sizes[precision] = sum(file.stat().st_size for file in export.folder.iterdir())
    return engines, sizes


def run(
    engines: dict[str, Translator], sources: list[str], chunk: int
) -> tuple[dict[str, list[Translation]], dict[str, float], dict[str, float]]:
    """Return the translations, the seconds and the seconds of CPU time of every engine; they take turns."""
    found: dict[str, list[Translation]] = {name: [] for name in engines}
    seconds, cpu = dict.fromkeys(engines, 0.0), dict.fromkeys(engines, 0.0)
    names = list(engines)
    for translator in engines.values():
        translator.translate(sources[:20])  # the first run of an engine is slower
        if isinstance(translator.engine, FastSearch):
            translator.engine.tally = Tally()
    for first in range(0, len(sources), chunk):
        for name in names:
            began, spent = time.perf_counter(), time.process_time()
            found[name] += [best[0] for best in engines[name].hypotheses(sources[first : first + chunk])]
            seconds[name] += time.perf_counter() - began
            cpu[name] += time.process_time() - spent
        names.append(names.pop(0))  # each one runs as often behind each other one
    return found, seconds, cpu


def read_pairs(path: Path) -> list[Pair]:
    """Return the first two columns of a TSV file without its header."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [Pair(*line.split("\t")[:2]) for line in lines]


if __name__ == "__main__":
    main()
