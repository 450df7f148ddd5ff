"""Requests per second and latency of `seqloom serve`: many clients against one at a time, in the same server.

    python -m benchmarks.serving --folder models/candidate --texts data/corpus/test.tsv

Each request has one text, the source of a line of the file. Clients keep their connection. The rounds alternate, so
that other load on the machine touches both alike; the ratio is that of the best rounds.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Round(NamedTuple):
    """The result of one round."""

    rate: float  # requests per second
    latencies: list[float]  # seconds, sorted

    def quantile(self, share: float) -> float:
        """Return a quantile of the latencies, in milliseconds."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


class Client:
    """A connection that sends texts and waits for each translation."""

    def __init__(self, port: int, direction: tuple[str, str]) -> None:
        self._port, self._direction = port, direction
        self.latencies: list[float] = []

    async def run(self, texts: Iterator[str]) -> None:
        """Send texts until the iterator ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for text in texts:
            start = time.perf_counter()
            writer.write(self._request(text))
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            size = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            if size is None or not head.startswith("HTTP/1.1 200"):
                raise SystemExit(f"the server refused a request: {head}")
            await reader.readexactly(int(size[1]))
            self.latencies.append(time.perf_counter() - start)
        writer.close()
        await writer.wait_closed()

    def _request(self, text: str) -> bytes:
        source, target = self._direction
        body = json.dumps({"q": text, "source": source, "target": target}).encode()
        kind = "Content-Type: application/json"
        head = f"POST /translate HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


async def measure(port: int, direction: tuple[str, str], texts: Sequence[str], clients: int) -> Round:
    """Translate the texts with this many clients."""
    every = [Client(port, direction) for _ in range(clients)]
    shared = iter(texts)
    start = time.perf_counter()
    await asyncio.gather(*(client.run(shared) for client in every))
    seconds = time.perf_counter() - start
    return Round(len(texts) / seconds, sorted(latency for client in every for latency in client.latencies))


@contextmanager
def server(options: Sequence[str], root: Path | None = None) -> Iterator[tuple[int, int]]:
    """Run `seqloom serve` on a free port, in the folder `root`; yield the port and the process id."""
    line = [sys.executable, "-m", "seqloom.cli", "serve", "--port", "0", *options]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root) as process:
        assert process.stdout is not None
        try:
            for said in process.stdout:
                if found := re.search(r"http://127\.0\.0\.1:(\d+)", said):
                    yield int(found[1]), process.pid
                    return
            raise SystemExit(f"the server did not start: {' '.join(line)}")
        finally:
            process.terminate()


def memory(process: int) -> int:
    """Return the largest memory that the process had, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="the model")
    parser.add_argument("--texts", type=Path, required=True, help="a TSV file; the first column is translated")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=320, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("serve", nargs="*", help="options of `seqloom serve`, after --")
    options = parser.parse_args()
    lines = options.texts.read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[0] for line in lines[1 : options.requests + 1]]
    languages = json.loads((options.folder / "languages.json").read_text())
    direction = (languages["source"], languages["target"])
    rounds: dict[int, list[Round]] = {1: [], options.clients: []}
    with server(["--folder", str(options.folder), *options.serve]) as (port, process):
        asyncio.run(measure(port, direction, texts[:20], 4))  # warm-up
        for _ in range(options.rounds):
            for clients, found in rounds.items():
                found.append(asyncio.run(measure(port, direction, texts, clients)))
        largest = memory(process)
    own = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{len(texts)} requests per round, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, server {largest} MB"
    )
    print(f"the client took {own.ru_utime + own.ru_stime:.1f} s of processor time")
    print("clients  requests/s  p50 ms  p95 ms  p99 ms")
    best = {clients: max(found) for clients, found in rounds.items()}
    for clients, each in best.items():
        quantiles = "  ".join(f"{each.quantile(share):6.0f}" for share in (0.5, 0.95, 0.99))
        print(f"{clients:7}  {each.rate:10.1f}  {quantiles}")
    print(f"ratio {best[options.clients].rate / best[1].rate:.2f}")


if __name__ == "__main__":
    main()
