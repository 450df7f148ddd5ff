"""Requests per second, latency, memory and start of `seqloom serve`.

    python -m benchmarks.serving --folder models/candidate --model seqloom-en-de --texts data/corpus/test.tsv
    python -m benchmarks.serving --folder .../artifacts/artifacts/model --texts data/corpus/test.tsv --against-mlflow

The first compares many clients with one at a time in one server, which serves the champion with its export. Without
--model it serves the folder; models/candidate has no export, so torch searches. The second compares the server with
`mlflow models serve`, which serves the logged model that the folder belongs to; both get the same requests, in MLflow's
protocol. Each request has one text, the source of a line of the file. Clients keep their connection. The rounds
alternate, so that other load on the machine touches both alike; the ratio is that of the best rounds.
"""

import argparse
import asyncio
import json
import os
import re
import resource
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from benchmarks.serving_load import (
    Body,
    Client,
    Running,
    invocation_body,
    memory,
    mlflow_server,
    server,
    translate_body,
)


class Round(NamedTuple):
    """The result of one round."""

    rate: float  # requests per second
    latencies: list[float]  # seconds, sorted

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies, in milliseconds."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


class Contender(NamedTuple):
    """A server and the clients that it has."""

    server: Running
    clients: int
    body: Body


async def measure(contender: Contender, texts: Sequence[str]) -> Round:
    """Translate the texts."""
    every = [Client(contender.server.port, contender.body) for _ in range(contender.clients)]
    shared = iter(texts)
    start = perf_counter()
    await asyncio.gather(*(client.run(shared) for client in every))
    seconds = perf_counter() - start
    return Round(len(texts) / seconds, sorted(latency for client in every for latency in client.latencies))


def alternate(contenders: Mapping[str, Contender], texts: Sequence[str], rounds: int) -> dict[str, Round]:
    """Measure all in turn, and return the best round of each."""
    found: dict[str, list[Round]] = {name: [] for name in contenders}
    for each in contenders.values():
        asyncio.run(measure(each._replace(clients=4), texts[:20]))  # warm-up
    for _ in range(rounds):
        for name, each in contenders.items():
            found[name].append(asyncio.run(measure(each, texts)))
    return {name: max(each) for name, each in found.items()}


def show(best: Mapping[str, Round]) -> None:
    """Print a table, and the ratio of the first rate to the last one."""
    print(f"{'':24}  requests/s  p50 ms  p95 ms  p99 ms")
    for name, each in best.items():
        quantiles = "  ".join(f"{each.quantile(share):6.0f}" for share in (0.5, 0.95, 0.99))
        print(f"{name:24}  {each.rate:10.1f}  {quantiles}")
    first, *_, last = best.values()
    print(f"ratio {first.rate / last.rate:.2f}")


def show_server(name: str, each: Running) -> None:
    """Print the memory and the start of a server."""
    used = memory(each.process)
    loading = next((found[1] for line in each.log if (found := re.search(r"ready in (\S+) s", line))), "")
    after = f" ({loading} s after its imports)" if loading else ""
    print(f"{name}: {used.now:.0f} MB now, at most {used.largest} MB; ready after {each.ready:.1f} s{after}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="the model")
    parser.add_argument("--texts", type=Path, required=True, help="a TSV file; the first column is translated")
    parser.add_argument("--against-mlflow", action="store_true", help="the folder must be part of a logged model")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=320, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", metavar="NAME", help="serve this model of the registry of this folder instead")
    parser.add_argument("serve", nargs="*", help="options of `seqloom serve`, after --")
    options = parser.parse_args()
    lines = options.texts.read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[0] for line in lines[1 : options.requests + 1]]
    languages = json.loads((options.folder / "languages.json").read_text())
    what = ["--model", options.model] if options.model else ["--folder", str(options.folder)]
    with ExitStack() as servers:
        ours = servers.enter_context(server([*what, *options.serve]))
        if options.against_mlflow:
            theirs = servers.enter_context(mlflow_server(options.folder.resolve().parents[1]))
            contenders = {
                "seqloom serve": Contender(ours, options.clients, invocation_body),
                "mlflow models serve": Contender(theirs, options.clients, invocation_body),
            }
        else:
            body = translate_body(languages["source"], languages["target"])
            contenders = {f"{clients} clients": Contender(ours, clients, body) for clients in (options.clients, 1)}
        best = alternate(contenders, texts, options.rounds)
        print(f"{len(texts)} requests per round, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        show(best)
        for name, each in {name.removesuffix(" clients"): each.server for name, each in contenders.items()}.items():
            show_server(name, each)
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(f"the client took {own.ru_utime + own.ru_stime:.1f} s of processor time")


if __name__ == "__main__":
    main()
