"""What a student keeps of its teacher's quality, and how much faster it translates on a CPU.

    python -m benchmarks.student_speed --teacher FOLDER --student FOLDER --pairs TEST.TSV --threads 2

The folders hold networks, with search settings (`search.json`) if they are of registered versions. TEST.TSV has source
and target in the first two columns, with a header. A network that is a Transformer is exported in int8 into a temporary
folder; the others run on torch. The teacher on torch, the teacher's export and the student translate the sources in
turns within one process, as `evaluate_model` does: sentence by sentence, with all rules for texts. One line of JSON is
printed, with

- for each of them: sentences_per_s, `cpu_ratio`, its rate over that of the teacher on torch in CPU time, `ratio`, the
  same in elapsed time, bleu (sacreBLEU), by_torch (the share of searches that torch ran), and megabytes of its weights;
- `kept`, the student's BLEU over that of the teacher on torch.

The teacher searches with `--teacher-beam`, the student with `--student-beam` hypotheses.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import sacrebleu
import torch

from benchmarks.export_throughput import read_pairs
from seqloom.collector import exempt_modules
from seqloom.export.fast_search import FastSearch, Tally
from seqloom.export.folder import WEIGHTS, write_export
from seqloom.export.settings import EXPORTS, Engine
from seqloom.models.transformer import Transformer
from seqloom.translation.texts import TextTranslator


class Contender(NamedTuple):
    """A translator, and the bytes of its weights."""

    translator: TextTranslator
    size: int


def main() -> None:
    """Translate and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True, help="a model folder")
    parser.add_argument("--student", type=Path, required=True, help="a model folder")
    parser.add_argument("--pairs", type=Path, required=True, help="source and target in columns, with a header")
    parser.add_argument("--teacher-beam", type=int, default=5)
    parser.add_argument("--student-beam", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="how often each translates all sources")
    parser.add_argument("--threads", type=int, default=2)
    print(json.dumps(measure(parser.parse_args())), flush=True)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    torch.set_num_threads(options.threads)
    pairs = read_pairs(options.pairs)
    with tempfile.TemporaryDirectory(prefix="seqloom-") as scratch:
        teacher = load(options.teacher, Path(scratch) / "torch", options.teacher_beam, "torch")
        student = load(options.student, Path(scratch) / "student", options.student_beam)
        contenders = {"teacher, torch": teacher, "student": student}
        if isinstance(teacher.translator.translator.model, Transformer):
            contenders["teacher, int8"] = load(options.teacher, Path(scratch) / "teacher", options.teacher_beam)
        texts, seconds, cpu = run(contenders, [pair.source for pair in pairs], options.rounds)
    references = [[pair.target for pair in pairs]]
    figures: dict[str, Any] = {}
    for name, contender in contenders.items():
        engine = contender.translator.translator.engine
        searched = engine.tally if isinstance(engine, FastSearch) else Tally(torch=1)
        figures[name] = {
            "sentences_per_s": round(options.rounds * len(pairs) / seconds[name], 1),
            "ratio": round(seconds["teacher, torch"] / seconds[name], 2),
            "cpu_ratio": round(cpu["teacher, torch"] / cpu[name], 2),
            "bleu": round(sacrebleu.corpus_bleu(texts[name], references).score, 2),
            "by_torch": round(searched.torch / sum(searched), 4),
            "megabytes": round(contender.size / 1e6, 2),
        }
    kept = figures["student"]["bleu"] / figures["teacher, torch"]["bleu"]
    return {"sentences": len(pairs), "threads": options.threads, **figures, "kept": round(kept, 4)}


def load(folder: Path, copy: Path, beam: int, engine: Engine | None = None) -> Contender:
    """Copy a model folder, without its exports, and load it with the engine, by default the fastest for its network."""
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(EXPORTS))
    size = (copy / WEIGHTS).stat().st_size
    plain = TextTranslator.load(copy, "cpu", engine="torch")
    search = plain.search.model_copy(update={"beam": beam})
    engine = engine or ("ctranslate2" if isinstance(plain.translator.model, Transformer) else "torch")
    if engine == "ctranslate2":
        export = write_export(copy, plain.translator.tokenizer.symbols, "int8", copy / EXPORTS / "int8")
        size = sum(file.stat().st_size for file in export.folder.iterdir())
    return Contender(TextTranslator.load(copy, "cpu", search, engine=engine), size)


def run(
    contenders: dict[str, Contender], sources: list[str], rounds: int
) -> tuple[dict[str, list[str]], dict[str, float], dict[str, float]]:
    """Return the translations, the seconds and the seconds of CPU time of each contender; they take turns."""
    texts: dict[str, list[str]] = {}
    seconds, cpu = dict.fromkeys(contenders, 0.0), dict.fromkeys(contenders, 0.0)
    for contender in contenders.values():
        contender.translator.translate(sources[:20])  # the first run of an engine is slower
        if isinstance(engine := contender.translator.translator.engine, FastSearch):
            engine.tally = Tally()
    names = list(contenders)
    exempt_modules()  # as every stage does
    for _ in range(rounds):
        for name in names:
            began, spent = time.perf_counter(), time.process_time()
            found = contenders[name].translator.translate(sources)
            seconds[name] += time.perf_counter() - began
            cpu[name] += time.process_time() - spent
            texts[name] = [each.text for each in found]
        names.append(names.pop(0))  # each one runs as often behind each other one
    return texts, seconds, cpu


if __name__ == "__main__":
    main()
