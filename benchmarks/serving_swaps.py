"""Change the champion under load, again and again: failed requests, and the latency around the changes.

    python -m benchmarks.serving_swaps --clone . --model seqloom-en-de --texts data/corpus/test.tsv

The registry of the clone is copied, and the champion changes in the copy only, between the champion and a second
version with the same files. Half of the time passes before the first change, for comparison.
"""

import argparse
import asyncio
import shutil
import statistics
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.serving_load import Client, server, translate_body


class Answered(NamedTuple):
    """A request that was answered."""

    at: float  # seconds
    latency: float  # seconds
    version: str  # that translated


class Change(NamedTuple):
    """A change of the champion."""

    at: float  # seconds
    version: str

    def followed(self, answered: list[Answered]) -> float | None:
        """Return the seconds until the first answer by the new version; None if the server had not left it before."""
        ends = [(each.at + each.latency, each.version) for each in answered]
        if max(end for end in ends if end[0] <= self.at)[1] == self.version:
            return None
        return min((end - self.at for end, version in ends if version == self.version and end > self.at), default=None)


class Load:
    """Clients that send texts until `stop` is set."""

    def __init__(self, port: int, direction: tuple[str, str], texts: list[str], clients: int) -> None:
        self.answered: list[Answered] = []
        self.failed: Counter[str] = Counter()
        self.stop = False
        self._clients = [Client(port, translate_body(*direction)) for _ in range(clients)]
        self._texts = cycle(texts)

    async def run(self) -> None:
        """Send until `stop`."""
        await asyncio.gather(*(self._send(client) for client in self._clients))

    async def _send(self, client: Client) -> None:
        while not self.stop:
            start = time.monotonic()
            try:
                await client.run(iter([next(self._texts)]))
                self.answered.append(Answered(start, time.monotonic() - start, client.version))
            except (OSError, SystemExit, asyncio.IncompleteReadError) as error:
                self.failed[str(error)[:80]] += 1


def two_versions(root: Path, name: str) -> tuple[Any, list[str]]:
    """Return the store in `root`, and the number of the champion and of a new version with its files."""
    from seqloom.tracking.client.store import connect
    from seqloom.tracking.registry.versions import Reference, get_version

    store = connect(root, create=False)
    champion = store.client.get_model_version(name, get_version(store, Reference(name, alias="champion")).version)
    second = store.client.create_model_version(
        name, source=str(champion.source), run_id=champion.run_id, model_id=champion.model_id
    )
    return store, [str(champion.version), str(second.version)]


def p99(answered: list[Answered]) -> float:
    """Return the 99th percentile of the latencies, in milliseconds."""
    latencies = sorted(each.latency for each in answered)
    return 1000 * latencies[int(0.99 * (len(latencies) - 1))] if latencies else float("nan")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", type=Path, default=Path(), help="default: this folder")
    parser.add_argument("--model", required=True, metavar="NAME")
    parser.add_argument("--texts", type=Path, required=True, help="a TSV file; the first column is translated")
    parser.add_argument("--changes", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("serve", nargs="*", help="options of `seqloom serve`, after --")
    options = parser.parse_args()
    texts = [line.split("\t")[0] for line in options.texts.read_text(encoding="utf-8").splitlines()[1:]]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copy(options.clone / "mlflow.db", root)
        shutil.copytree(options.clone / "mlartifacts", root / "mlartifacts")
        store, numbers = two_versions(root, options.model)
        with server(["--model", options.model, *options.serve], root) as running:
            port = running.port
            source, target = options.model.removeprefix("seqloom-").split("-")
            load = Load(port, (source, target), texts, options.clients)
            thread = threading.Thread(target=asyncio.run, args=(load.run(),))
            thread.start()
            time.sleep(options.seconds / 2)
            begin = time.monotonic()
            changes = []
            for index in range(options.changes):
                number = numbers[(index + 1) % 2]
                store.client.set_registered_model_alias(options.model, "champion", number)
                changes.append(Change(time.monotonic(), number))
                time.sleep(options.seconds / 2 / options.changes)
            load.stop = True
            thread.join()
            metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    swaps = next(line.split()[-1] for line in metrics.splitlines() if line.startswith("seqloom_swaps_total"))
    before, during = ([each for each in load.answered if (each.at >= begin) == late] for late in (False, True))
    print(f"{len(load.answered):,} requests answered, {load.failed.total()} failed {dict(load.failed)}")
    print(f"{options.changes} changes of champion, {float(swaps):.0f} swaps seen by the server")
    found = [change.followed(load.answered) for change in changes]
    delays = [delay for delay in found if delay is not None]  # a change may be superseded before it is seen
    print(f"{len(delays)} followed, after {statistics.median(delays):.1f} s (median), at most {max(delays):.1f} s")
    print(f"p99 {p99(before):.0f} ms before, {p99(during):.0f} ms during the changes: {p99(during) / p99(before):.2f}")


if __name__ == "__main__":
    main()
