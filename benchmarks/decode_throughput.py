"""Measure the speed of beam search: sentences per second, from ids to ids.

    python -m benchmarks.decode_throughput --model FOLDER --input FILE --beam 5 --device cpu --threads 2

FOLDER is a model folder as train_model writes it; FILE has one sentence per line, plain or `.gz`. Sentences are sorted
by length and searched in batches of equal size. A target may have as many ids as the folder's search settings allow for
the longest source of its batch. The output is one line of JSON:

- sentences_per_s, target_tokens_per_s: of the search, including the encoder; target tokens include EOS.
- start_up_s: from the start of the process until the model and the ids are loaded. peak_rss_mb: of the process.

With `--against`, other searches run in the same process on the same weights and ids, alternating with ours batch by
batch, with the same beam, limits and normalisation (average). `ratio` is the speed of the search named in `over`
divided by the speed of this one; `identical` is the share of sentences with equal targets.

- `generate`, Hugging Face's own search. Both ways of ending are measured: `generate_exact` is compared with our exact
  search, and `generate`, with its default settings, with our search with early_stopping (`early`), which like it
  ignores hypotheses that would win only by growing. A pretrained model is searched as it is. A transformer's weights
  are copied into an equivalent Marian network (`marian_twin.py`), which is possible if it is post-norm with sinusoidal
  positions and tied embeddings; the targets are then equal except for ties.
- `ctranslate2`, by itself, in float32 and int8, compared with our exact search. It ends early. A batch is divided
  between its threads, which makes it faster than several threads for each matrix.

Use a trained model: a model with random weights almost never ends a target, so removing finished sentences from the
batch gains nothing. A minute of training is enough, because only the lengths matter.
"""

import argparse
import gzip
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqloom.decoding.beam_search import beam_search
from seqloom.decoding.constraints import Constraints
from seqloom.decoding.model_folder import read_folder
from seqloom.decoding.settings import SearchSettings
from seqloom.export.folder import Export, open_export, write_export
from seqloom.export.settings import PRECISIONS
from seqloom.huggingface import library
from seqloom.models.pretrained import Pretrained
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import ARCHITECTURE
from seqloom.models.transformer import Transformer
from seqloom.symbols import Symbols


class Sources(NamedTuple):
    """A batch of sources."""

    ids: Tensor  # (B, S) int64, padded on the right
    lengths: Tensor  # (B,) int64
    limit: int  # of the ids of a target


Engine = Callable[[Sources], list[list[int]]]
"""The best target of each source, without EOS."""


def main() -> None:
    """Search and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--input", type=Path, required=True, help="one sentence per line, plain or .gz")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--batch", type=int, default=100, help="sentences per batch (default: 100)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--against", choices=["generate", "ctranslate2"], nargs="+", default=[], help="also measure these searches, "
        "which need the extras hf and serve; ctranslate2 only on the CPU",
    )  # fmt: skip
    print(json.dumps(measure(parser.parse_args())), flush=True)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of our search, and of the searches that it is compared with."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    model, tokenizer, search, _ = read_folder(options.model, device)
    search = search.model_copy(update={"method": "beam", "beam": options.beam})
    if options.against:
        search = search.model_copy(update={"normalization": "average", "length_penalty": 1.0})
    encoded = [tokenizer.encode_source(text)[0] for text in lines(options.input)]
    batches = in_batches(encoded, options.batch, search, tokenizer.symbols.pad, device)
    start_up = time.clock_gettime(time.CLOCK_BOOTTIME) - process_start()
    engines = {"seqloom": ours(model, search, tokenizer.symbols)}
    if "generate" in options.against:
        early = search.model_copy(update={"early_stopping": True})
        engines["early"] = ours(model, early, tokenizer.symbols)
        network = network_of(model, options.model, tokenizer.symbols, device)
        for name, early_stopping in (("generate_exact", "never"), ("generate", False)):
            engines[name] = generate(network, search, tokenizer.symbols, early_stopping)
    with tempfile.TemporaryDirectory(prefix="seqloom-") as scratch:
        for precision in PRECISIONS if "ctranslate2" in options.against else ():
            export = write_export(options.model, tokenizer.symbols, precision, Path(scratch) / precision)
            engines[f"ctranslate2_{precision}"] = exported(export, search, options.threads)
        figures = run(engines, batches)
    targets = {name: each.pop("targets") for name, each in figures.items()}
    result = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {options.threads} threads",
        "sentences": len(targets["seqloom"]),
        **figures["seqloom"],
        "start_up_s": round(start_up, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if device.type == "cuda":
        result["peak_gpu_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
    over = {"early": "seqloom", "generate_exact": "seqloom", "generate": "early"}
    over |= {f"ctranslate2_{precision}": "seqloom" for precision in PRECISIONS}
    for name, against in over.items():
        if name in figures:
            same = sum(one == other for one, other in zip(targets[against], targets[name], strict=True))
            ratio = figures[against]["sentences_per_s"] / figures[name]["sentences_per_s"]
            found = {"over": against, "ratio": round(ratio, 3), "identical": round(same / len(targets[name]), 4)}
            result[name] = figures[name] | found
    result["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    libraries = ["seqloom", "torch"]
    libraries += [{"generate": "transformers"}.get(name, name) for name in options.against]
    result["versions"] = {name: version(name) for name in libraries} | {"python": platform.python_version()}
    result["settings"] = {"batch": options.batch, "search": search.model_dump(mode="json")}
    return result


def run(engines: dict[str, Engine], batches: list[Sources]) -> dict[str, dict[str, Any]]:
    """Return the figures of every engine. The engines alternate."""
    seconds = dict.fromkeys(engines, 0.0)
    targets: dict[str, list[list[int]]] = {name: [] for name in engines}
    names = list(engines)
    for name in names:
        engines[name](batches[-1])  # the first run of an engine is slower
    for batch in batches:
        for name in names:
            began = time.perf_counter()
            targets[name] += engines[name](batch)
            seconds[name] += time.perf_counter() - began
        names.append(names.pop(0))  # every engine follows every other one equally often
    return {
        name: {
            "seconds": round(seconds[name], 2),
            "sentences_per_s": round(len(targets[name]) / seconds[name], 2),
            "target_tokens_per_s": round(sum(len(ids) + 1 for ids in targets[name]) / seconds[name], 1),
            "targets": targets[name],
        }
        for name in engines
    }


def ours(model: Seq2Seq, search: SearchSettings, symbols: Symbols) -> Engine:
    """Return this project's search with any of its networks."""

    @torch.inference_mode()
    def engine(batch: Sources) -> list[list[int]]:
        rules = Constraints.build(symbols, torch.full_like(batch.lengths, batch.limit))
        found = beam_search(model.step, model.start(batch.ids, batch.lengths), rules, search)
        return [hypotheses[0].ids for hypotheses in found]

    return engine


def generate(network: Any, search: SearchSettings, symbols: Symbols, early_stopping: bool | str) -> Engine:
    """Return Hugging Face's search."""
    hf = library("transformers")
    network.generation_config = hf.GenerationConfig()  # `generate` takes what it is not given from here

    def engine(batch: Sources) -> list[list[int]]:
        config = hf.GenerationConfig(
            num_beams=search.beam,
            early_stopping=early_stopping,
            length_penalty=search.length_penalty,
            max_new_tokens=batch.limit + 1,
            do_sample=False,
            suppress_tokens=sorted({symbols.pad, symbols.bos} - {symbols.eos}),
            decoder_start_token_id=symbols.bos,
            bos_token_id=symbols.bos,
            eos_token_id=symbols.eos,
            pad_token_id=symbols.pad,
        )
        mask = (torch.arange(batch.ids.shape[1], device=batch.ids.device) < batch.lengths.unsqueeze(1)).long()
        found = network.generate(input_ids=batch.ids, attention_mask=mask, generation_config=config)
        rows: list[list[int]] = found[:, 1:].tolist()
        return [row[: row.index(symbols.eos)] if symbols.eos in row else row for row in rows]

    return engine


def exported(export: Export, search: SearchSettings, threads: int) -> Engine:
    """Return CTranslate2's search."""
    translator = open_export(export, threads)
    eos = str(export.symbols.eos)

    def engine(batch: Sources) -> list[list[int]]:
        rows = zip(batch.ids.tolist(), batch.lengths.tolist(), strict=True)
        found = translator.translate_batch(
            [list(map(str, ids[:length])) for ids, length in rows],
            max_batch_size=-(-len(batch.ids) // threads),
            beam_size=search.beam,
            length_penalty=search.length_penalty,
            max_input_length=0,  # no limit; by default longer sources are truncated
            max_decoding_length=batch.limit + 1,
        )
        return [[int(token) for token in each.hypotheses[0] if token != eos] for each in found]

    return engine


def network_of(model: Seq2Seq, folder: Path, symbols: Symbols, device: torch.device) -> Any:
    """Return a Hugging Face network with the weights of `model`."""
    if isinstance(model, Pretrained):
        return model.network
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))["architecture"]
    architecture = ARCHITECTURE.validate_python(described)
    if not isinstance(model, Transformer) or architecture.name != "transformer":
        raise SystemExit(f"no network of Hugging Face's computes what the family {architecture.name} does")
    from benchmarks.marian_twin import marian_twin

    return marian_twin(model, architecture, symbols).to(device)


def in_batches(
    encoded: list[list[int]], size: int, search: SearchSettings, pad: int, device: torch.device
) -> list[Sources]:
    """Return the batches, longest sentences first, so that running out of memory shows at once."""
    by_length = sorted((ids for ids in encoded if ids), key=len, reverse=True)
    batches = []
    for first in range(0, len(by_length), size):
        rows = by_length[first : first + size]
        longest = len(rows[0])
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)
        lengths = torch.tensor([len(row) for row in rows], device=device)
        batches.append(Sources(ids, lengths, int(longest * search.max_length_ratio) + search.max_length_extra))
    return batches


def lines(path: Path) -> list[str]:
    """Return the lines of a text file, which may be gzipped."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8").splitlines()


def process_start() -> float:
    """Return the start of this process, in seconds since boot."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
