"""Measure seqloom and its peers in one session, and write docs/SCOREBOARD.md.

    python -m benchmarks.scoreboard --data DIR --seconds 40 --rounds 3 --threads 2

DIR contains Multi30k: train, val and test_2016_flickr, `.en.gz` and `.de.gz`. The peers are those that pip installs;
each trains the same network on the same tokens (`benchmarks.peer_throughput`), and searches with the same weights
(`benchmarks.decode_throughput`). In a round every engine trains for `--seconds` of updates, one after the other; the
rate is the median of the rounds. Compare the ratios: other load on the machine changes the rates from hour to hour.
With the default settings a session takes about half an hour, besides the installation of the peers.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peer_throughput import CATALOGUE, Measured, Peer, as_text, installed, measure_own, measure_peer
from benchmarks.token_stores import find_or_make
from benchmarks.workspace import BEFORE_TRAINING, ROOT, Workspace
from seqloom.files import write_text

PAGE = ROOT / "docs" / "SCOREBOARD.md"
TOKENS_PER_BATCH, DROPOUT, BEAM = 4096, 0.1, 5
# A short training is enough, because only the lengths of the targets matter. Marian networks are post-norm.
SEARCHED: dict[str, Any] = {
    "model": {"name": "transformer", "transformer": {"preset": "tiny", "norm_order": "post"}},
    "train": {"max_steps": 700, "max_epochs": None, "max_minutes": None, "tokens_per_batch": 1024},
}
SEARCHES = {
    "seqloom": "seqloom on torch, exact end",
    "early": "seqloom on torch, early end",
    "generate_exact": "Hugging Face `generate`, exact end",
    "generate": "Hugging Face `generate`, its default end",
    "ctranslate2_float32": "CTranslate2, float32",
    "ctranslate2_int8": "CTranslate2, int8",
}


class Contest(NamedTuple):
    """A preset of a family, and the peers that also train it."""

    shape: str
    peers: tuple[Peer, ...]


class Standing(NamedTuple):
    """The rounds of an engine in a contest."""

    engine: str
    rounds: list[Measured]

    @property
    def rate(self) -> float:
        """The median of the target tokens per second."""
        return statistics.median(each.target_tokens_per_s for each in self.rounds)


TRANSFORMERS = tuple(CATALOGUE[name] for name in ("eole", "opennmt-py", "transformers"))
CONTESTS = (Contest("tiny", TRANSFORMERS), Contest("small", TRANSFORMERS), Contest("tiny", (CATALOGUE["torch"],)))


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, val and test_2016_flickr")
    parser.add_argument("--seconds", type=float, default=40.0, help="seconds of updates per training (default: 40)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    sections = [introduction(options)]
    for contest in CONTESTS:
        sections.append(training_table(contest, run(contest, options)))
    sections.append(search_table(search(options)))
    sections.append(allowances())
    write_text(options.page, "\n\n".join(sections) + "\n")


def run(contest: Contest, options: argparse.Namespace) -> list[Standing]:
    """Train with all engines in turns."""
    text = as_text(find_or_make(options.data)[0])
    family = contest.peers[0].family
    settings = argparse.Namespace(
        **vars(options), shape=contest.shape, tokens_per_batch=TOKENS_PER_BATCH, dropout=DROPOUT
    )
    pythons = {peer.name: installed(peer) for peer in contest.peers}
    standings = [Standing(name, []) for name in ("seqloom", *pythons)]
    for number in range(options.rounds):
        for standing in standings:
            if standing.engine == "seqloom":
                measured = measure_own(family, settings)
            else:
                peer = CATALOGUE[standing.engine]
                command = peer.command(text, settings.shape, TOKENS_PER_BATCH, DROPOUT)
                measured = measure_peer(peer, command, pythons[peer.name], settings)
            standing.rounds.append(measured)
            print(f"{family} {contest.shape}, round {number + 1}, {standing.engine}: {measured}", flush=True)
    return standings


def search(options: argparse.Namespace) -> dict[str, Any]:
    """Train a network for a short time, and search with it in turns."""
    workspace = Workspace(ROOT / "scratch" / "benchmarks" / "scoreboard", options.threads)
    local = workspace.use_local(options.data, "multi30k")
    workspace.configure(["multi30k"], SEARCHED)
    workspace.run(*BEFORE_TRAINING, "train_model")
    command = [
        sys.executable, "-m", "benchmarks.decode_throughput", "--model", str(workspace.folder / "models" / "candidate"),
        "--input", str(local / "multi30k" / "test_2016_flickr.en.gz"), "--beam", str(BEAM),
        "--threads", str(options.threads), "--against", "generate", "ctranslate2",
    ]  # fmt: skip
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    print(json.dumps(found), flush=True)
    return found


def introduction(options: argparse.Namespace) -> str:
    """Return the title and how everything was measured."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "ctranslate2", "transformers"))
    arguments = f"--seconds {options.seconds:g} --rounds {options.rounds} --threads {options.threads}"
    cores = f"{os.cpu_count()} cores, no GPU; {options.threads} threads"
    return f"""# Scoreboard

_Reference. [All pages](README.md)_

Written by `benchmarks.scoreboard` on {datetime.now(UTC):%Y-%m-%d}; do not edit it.

```sh
python -m benchmarks.scoreboard --data DIR {arguments}
```

Machine: {processor()}, {cores}. Python {platform.python_version()}, {libraries}.

Data: Multi30k English-German (task 1), a joint vocabulary of 10,000 pieces. All engines ran in turns within one
session. Compare the ratios; the rates depend on the machine and on what else it does."""


def training_table(contest: Contest, standings: Sequence[Standing]) -> str:
    """Return the table of one network's trainings, fastest engine first."""
    own = standings[0].rate
    family = contest.peers[0].family
    lines = [
        f"## Training: {family}, {contest.shape}",
        "",
        f"Target tokens per second, without padding, over whole updates; {TOKENS_PER_BATCH:,} tokens a batch, dropout "
        f"{DROPOUT:g}. seqloom also validates\nand writes checkpoints and a journal.",
        "",
        "| engine | tokens/s, median | each round | seqloom's rate as a multiple | start-up, s | memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for each in sorted(standings, key=lambda standing: -standing.rate):
        rounds = ", ".join(f"{measured.target_tokens_per_s:,.0f}" for measured in each.rounds)
        start_up = statistics.median(measured.start_up_s for measured in each.rounds)
        memory = max(measured.peak_rss_mb for measured in each.rounds)
        ratio = "" if each.engine == "seqloom" else f"**{own / each.rate:.2f}**"
        lines.append(f"| {each.engine} | {each.rate:,.0f} | {rounds} | {ratio} | {start_up:.1f} | {memory:,} |")
    return "\n".join(lines)


def search_table(found: dict[str, Any]) -> str:
    """Return the table of the searches, fastest first."""
    exact = found["sentences_per_s"]
    lines = [
        "## Search",
        "",
        f"Sentences per second from ids to ids: {found['sentences']:,} sentences of test_2016_flickr, batches of "
        f"{found['settings']['batch']} by length, beam {BEAM}. The same weights,\nlimits and normalisation in all "
        "engines, in turns batch by batch: a tiny post-norm Transformer after a short training.",
        "",
        "| search | sentences/s | as a multiple of seqloom's exact end | same targets as | share |",
        "|---|---|---|---|---|",
        *sorted(_search_lines(found, exact), key=lambda line: -float(line.split("|")[2].replace(",", ""))),
    ]
    return "\n".join(lines)


def _search_lines(found: dict[str, Any], exact: float) -> Iterator[str]:
    for name, title in SEARCHES.items():
        figures = found if name == "seqloom" else found[name]
        rate = figures["sentences_per_s"]
        same = f"{SEARCHES[figures['over']]} | {figures['identical']:.1%}" if "over" in figures else " | "
        yield f"| {title} | {rate:.1f} | {rate / exact:.2f} | {same} |"


def allowances() -> str:
    """Return what each peer was allowed."""
    peers = {peer.name: peer for contest in CONTESTS for peer in contest.peers}
    lines = ["## What each peer was allowed", ""]
    lines += [
        f"- **{peer.name}** ({', '.join(peer.requirements) or 'no package'}): {peer.allowed}" for peer in peers.values()
    ]
    lines.append(
        "- **Hugging Face `generate`**: a Marian network with the same weights, with and without its default early end."
    )
    lines.append(
        "- **CTranslate2**: a batch is divided between its threads, which is faster for small networks than several\n"
        "  threads for each matrix. It ends early, and has no rules for placeholders."
    )
    return "\n".join(lines)


def processor() -> str:
    """Return the name of the CPU."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
