"""Compare the engine's speed with that of another one: the same tokens, network and batches, in turns on one machine.

    python -m benchmarks.peer_throughput --data DIR --shape tiny --threads 2 --seconds 45 --rounds 2 --peer eole

Both train the same network, a Transformer or attention_lstm of the preset's size, on the joint vocabulary of
`benchmarks.token_stores`, with the same token budget per batch, dropout, label smoothing 0.1, clipping and AdamW. The
engine also validates and writes a journal and checkpoints; the peer does nothing but its updates. Both are measured by
target tokens per second of an update, without padding and with EOS, as the median of the updates after a warm-up. The
output is one JSON object; `ratio` is the engine's median divided by the peer's. The peer is installed once, into a
separate folder below scratch/benchmarks/peers, and shares torch with this environment, unless it needs another one.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import eole_peer, opennmt_peer, torch_lstm_peer, transformers_peer
from benchmarks.token_stores import SIDES, find_or_make
from benchmarks.workspace import ROOT
from seqloom.batching.store import TokenStore
from seqloom.models.settings import Family, Preset
from seqloom.tokenization.catalogue import load_tokenizer

PEERS = ROOT / "scratch" / "benchmarks" / "peers"
WARM_UP = 5  # updates, or a third of them if there are few
PATIENCE_S = 300.0  # for the first update of a peer


class Peer(NamedTuple):
    """Another engine: its pip packages, its command for a folder of tokens as text, and how it reports its speed."""

    name: str
    family: Family  # of the network that it trains
    requirements: tuple[str, ...]  # installed without their dependencies, unless it is `apart`
    command: Callable[
        [Path, Preset, int, float], list[str]
    ]  # takes the folder, the shape, the tokens per batch and the dropout
    rate: Callable[[str], float | None]  # target tokens per second of the update in a line of output
    allowed: str  # what its settings are, for a reader of the results
    apart: bool = False  # it needs an environment of its own, with another torch


CATALOGUE = {
    peer.name: peer
    for peer in (
        Peer(
            "eole",
            "transformer",
            eole_peer.REQUIREMENTS,
            eole_peer.command,
            eole_peer.rate,
            "its command `eole train`; one bucket with all pairs, sorted by length, fused attention, no attention "
            "entropy, no validation and no checkpoints.",
        ),
        Peer(
            "opennmt-py",
            "transformer",
            opennmt_peer.REQUIREMENTS,
            opennmt_peer.command,
            eole_peer.rate,
            "its command `onmt_train`, with the newest torch that it allows (before 2.3); one bucket with all pairs, "
            "no validation and no checkpoints.",
            apart=True,
        ),
        Peer(
            "transformers",
            "transformer",
            transformers_peer.REQUIREMENTS,
            transformers_peer.command,
            transformers_peer.rate,
            "a Marian network and `Seq2SeqTrainer`, pairs grouped by length, no validation and no checkpoints.",
        ),
        Peer(
            "torch",
            "attention_lstm",
            torch_lstm_peer.REQUIREMENTS,
            torch_lstm_peer.command,
            torch_lstm_peer.rate,
            "a plain loop around `nn.LSTM`, which reads whole targets at once; batches sorted by length and cut at the "
            "token budget.",
        ),
    )
}


class Python(NamedTuple):
    """An interpreter, and the folders in which it finds packages besides its own."""

    executable: Path
    packages: tuple[Path, ...]


class Measured(NamedTuple):
    """One training; start-up is the time until the first update, in seconds."""

    target_tokens_per_s: float
    steps: int
    start_up_s: float
    peak_rss_mb: int


def main() -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train and val, .en and .de")
    parser.add_argument("--peer", choices=list(CATALOGUE), default="eole")
    parser.add_argument(
        "--shape",
        choices=["tiny", "small", "base", "big"],
        default="tiny",
        help="preset with the sizes (default: tiny)",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=45.0, help="seconds of updates per training (default: 45)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens-per-batch", type=int, default=4096)
    parser.add_argument("--dropout", type=float, default=0.1)
    options = parser.parse_args()
    peer = CATALOGUE[options.peer]
    tokens, _ = find_or_make(options.data)
    text = as_text(tokens)
    python = installed(peer)
    own: list[Measured] = []
    others: list[Measured] = []
    for _ in range(options.rounds):
        own.append(measure_own(peer.family, options))
        command = peer.command(text, options.shape, options.tokens_per_batch, options.dropout)
        others.append(measure_peer(peer, command, python, options))
    rates = [statistics.median(each.target_tokens_per_s for each in side) for side in (own, others)]
    figures = {
        "model": peer.family,
        "shape": options.shape,
        "threads": options.threads,
        "seqloom": [each._asdict() for each in own],
        peer.name: [each._asdict() for each in others],
        "target_tokens_per_s": dict(zip(("seqloom", peer.name), rates, strict=True)),
        "ratio": round(rates[0] / rates[1], 3),
        "requirements": list(peer.requirements),
    }
    print(json.dumps(figures, indent=2))


def as_text(tokens: Path) -> Path:
    """Return a folder with the training tokens as text, pieces separated by spaces, and the vocabulary; made once."""
    folder = tokens / "text"
    if folder.exists():
        return folder
    beside = tokens / "text.part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    tokenizer = load_tokenizer(tokens / "tokenizer")
    pieces = tokenizer.target_pieces(range(tokenizer.target_vocab_size))
    (beside / "vocabulary.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    store = TokenStore.open(tokens / "train")
    for language, side in zip(SIDES, store.columns, strict=True):
        lines = (" ".join(pieces[index] for index in side.segment(row)) + "\n" for row in range(len(store)))
        with (beside / f"train.{language}").open("w", encoding="utf-8") as file:
            file.writelines(lines)
    beside.rename(folder)
    return folder


def installed(peer: Peer) -> Python:
    """Return an interpreter that can run the peer; its packages are installed once."""
    folder = PEERS / peer.name
    if peer.apart:
        executable, options = folder / "bin" / "python", ["--only-binary=:all:"]
    else:
        executable = Path(sys.executable)
        options = ["--no-deps", "--only-binary=:all:", "--target", str(folder)]
    done = folder / "installed"
    if peer.requirements and not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if peer.apart:
            venv.create(folder, with_pip=True)
        pip = [str(executable), "-m", "pip", "install", *options, *peer.requirements]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        done.touch()
    return Python(executable, () if peer.apart else (folder, ROOT, ROOT / "src"))


def measure_own(family: Family, options: argparse.Namespace) -> Measured:
    """Run `benchmarks.train_throughput` in a separate process."""
    arguments = {
        "data": options.data.resolve(), "model": family, "shape": options.shape, "threads": options.threads,
        "seconds": options.seconds, "tokens-per-batch": options.tokens_per_batch, "dropout": options.dropout,
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.train_throughput"]
    command += [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return Measured(**{name: figures[name] for name in Measured._fields})


def measure_peer(peer: Peer, command: list[str], python: Python, options: argparse.Namespace) -> Measured:
    """Run the peer's own command, and end it when its updates have taken the given time.

    Raises:
        RuntimeError: it ended by itself; its last lines are in the message.
    """
    environment = os.environ | {
        "OMP_NUM_THREADS": str(options.threads),
        "PYTHONPATH": os.pathsep.join(map(str, python.packages)),
        "PYTHONUNBUFFERED": "1",
    }
    began = time.monotonic()
    process = subprocess.Popen(
        [str(python.executable), *command],
        cwd=ROOT / "scratch", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    rates: list[float] = []
    moments: list[float] = []
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line)
            if (rate := peer.rate(line)) is not None:
                rates.append(rate)
                moments.append(time.monotonic())
            waited = time.monotonic() - (moments[0] if moments else began)
            if waited >= (options.seconds if moments else PATIENCE_S):
                break
    finally:
        ended = process.poll()
        process.kill()
        _, _, usage = os.wait4(process.pid, 0) if ended is None else (0, 0, None)
        process.returncode = 0  # it is waited for
    if usage is None or len(rates) < 3:
        raise RuntimeError(f"{peer.name} ended before it was measured:\n{''.join(lines[-30:])}")
    counted = rates[min(WARM_UP, len(rates) // 3) :]
    update = statistics.median(later - before for before, later in pairwise(moments))
    start_up = round(moments[0] - began - update, 2)
    return Measured(round(statistics.median(counted), 1), len(rates), start_up, round(usage.ru_maxrss / 1024))


if __name__ == "__main__":
    main()
