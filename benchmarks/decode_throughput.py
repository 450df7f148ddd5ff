"""How fast a model is searched: sentences per second, from ids to ids.

    python -m benchmarks.decode_throughput --model FOLDER --input FILE --beam 5 --device cpu --threads 2

FOLDER holds a model as train_model writes it, FILE a sentence a line, plain or `.gz`. Sentences are sorted by length
and searched in batches of as many; a target may have as many ids as params of the folder's search allow the longest
source of its batch. One line of JSON is printed:

- sentences_per_s, target_tokens_per_s: of the search, encoder included; target tokens count the EOS.
- start_up_s: from the start of the process until model and ids are there. peak_rss_mb: of the process.

With `--against generate` Hugging Face's own search runs beside ours in the same process, batch by batch, in turns, on
the same weights and ids, with the same beam, limits and normalisation (the average). Each is run with both of its ends:
`generate_exact` is held against our exact end, `generate`, as it comes, against our `early` (early_stopping of
params.yaml), which gives up what would win only by growing, as it does. `ratio` is the rate of what `over` names over
this one's, `identical` the share of sentences for which both found the same target. A model of the family pretrained is
searched as it is. The weights of a transformer are put into a Marian network that computes the same, which a post-norm
one with sinusoidal positions and tied embeddings allows (`marian_twin.py`); targets are then the same but where two are
as good as each other.

Use a model that was trained: one with random weights hardly ever ends a target, and what a search gains by leaving
finished sentences behind does not show. A minute of training is enough, for it is the lengths that count.
"""

import argparse
import gzip
import json
import os
import platform
import resource
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
from seqloom.huggingface import library
from seqloom.models.pretrained import Pretrained
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import ARCHITECTURE
from seqloom.models.transformer import Transformer
from seqloom.symbols import Symbols


class Sources(NamedTuple):
    """A batch."""

    ids: Tensor  # (B, S) int64, padded on the right
    lengths: Tensor  # (B,) int64
    limit: int  # of the ids of a target


Engine = Callable[[Sources], list[list[int]]]
"""The best target of each source, without EOS."""


def main() -> None:
    """Search and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a model folder")
    parser.add_argument("--input", type=Path, required=True, help="a sentence a line, plain or .gz")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--batch", type=int, default=100, help="sentences (default: 100)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--against", choices=["generate"], help="needs the extra hf")
    print(json.dumps(measure(parser.parse_args())), flush=True)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one search, and of those it is held against."""
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
    if options.against:
        early = search.model_copy(update={"early_stopping": True})
        engines["early"] = ours(model, early, tokenizer.symbols)
        network = network_of(model, options.model, tokenizer.symbols, device)
        for name, early_stopping in (("generate_exact", "never"), ("generate", False)):
            engines[name] = generate(network, search, tokenizer.symbols, early_stopping)
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
    for name, against in (("early", "seqloom"), ("generate_exact", "seqloom"), ("generate", "early")):
        if name in figures:
            same = sum(one == other for one, other in zip(targets[against], targets[name], strict=True))
            ratio = figures[against]["sentences_per_s"] / figures[name]["sentences_per_s"]
            found = {"over": against, "ratio": round(ratio, 3), "identical": round(same / len(targets[name]), 4)}
            result[name] = figures[name] | found
    result["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    libraries = ["seqloom", "torch"] + ["transformers"] * bool(options.against)
    result["versions"] = {name: version(name) for name in libraries} | {"python": platform.python_version()}
    result["settings"] = {"batch": options.batch, "search": search.model_dump(mode="json")}
    return result


def run(engines: dict[str, Engine], batches: list[Sources]) -> dict[str, dict[str, Any]]:
    """The figures of every engine, which take turns."""
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
        names.append(names.pop(0))  # each one runs as often behind each other one
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
    """The search of this project over any of its networks."""

    @torch.inference_mode()
    def engine(batch: Sources) -> list[list[int]]:
        rules = Constraints.build(symbols, torch.full_like(batch.lengths, batch.limit))
        found = beam_search(model.step, model.start(batch.ids, batch.lengths), rules, search)
        return [hypotheses[0].ids for hypotheses in found]

    return engine


def generate(network: Any, search: SearchSettings, symbols: Symbols, early_stopping: bool | str) -> Engine:
    """Hugging Face's search."""
    hf = library("transformers")
    network.generation_config = hf.GenerationConfig()  # what `generate` is not told it takes from here

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


def network_of(model: Seq2Seq, folder: Path, symbols: Symbols, device: torch.device) -> Any:
    """A network of Hugging Face's with the weights of `model`."""
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
    """The longest first, so that a lack of memory shows at once."""
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
    """The lines of a text file, which may be compressed."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8").splitlines()


def process_start() -> float:
    """When this process began, on the clock of the time since boot."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
