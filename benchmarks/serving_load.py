"""Servers and clients of the benchmarks of `seqloom serve`."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

Body = Callable[[str], tuple[str, dict[str, object]]]
"""Return the path and the JSON of the request that translates a text."""


class Running(NamedTuple):
    """A server."""

    port: int
    process: int
    ready: float  # seconds from its start until it answered
    log: list[str]  # lines, as they are written


def translate_body(source: str, target: str) -> Body:
    """Return requests in LibreTranslate's protocol."""
    return lambda text: ("/translate", {"q": text, "source": source, "target": target})


def invocation_body(text: str) -> tuple[str, dict[str, object]]:
    """Return a request in MLflow's protocol."""
    return "/invocations", {"dataframe_split": {"columns": ["source"], "data": [[text]]}}


class Client:
    """A connection that sends texts and waits for each translation."""

    def __init__(self, port: int, body: Body) -> None:
        self._port, self._body = port, body
        self.latencies: list[float] = []
        self.version = ""  # that gave the last translation

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
            version = re.search(r"x-model-version: (.+?)\r", head, re.IGNORECASE)
            self.version = version[1].rpartition("/")[2] if version else ""
            self.latencies.append(time.perf_counter() - start)
        writer.close()
        await writer.wait_closed()

    def _request(self, text: str) -> bytes:
        path, fields = self._body(text)
        body = json.dumps(fields).encode()
        kind = "Content-Type: application/json"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


@contextmanager
def server(options: Sequence[str], root: Path | None = None) -> Iterator[Running]:
    """Run `seqloom serve` on a free port, in the folder `root`."""
    line = [sys.executable, "-m", "seqloom.cli", "serve", "--port", "0", *options]
    with running(line, r"Serving at http://127\.0\.0\.1:(\d+)", root) as started:
        yield started


@contextmanager
def mlflow_server(model: Path) -> Iterator[Running]:
    """Run `mlflow models serve` with a logged model."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    with running(
        [*line, "--host", "127.0.0.1", "--port", str(port)], rf"running on http://127\.0\.0\.1:({port})"
    ) as it:
        yield it


@contextmanager
def running(line: Sequence[str], sign: str, root: Path | None = None) -> Iterator[Running]:
    """Run a server until the block ends; it is ready when it has written `sign`, whose group is the port."""
    start = time.monotonic()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # MLflow calls uvicorn
    environment, pipe = os.environ | {"PATH": path}, subprocess.PIPE
    with subprocess.Popen(line, text=True, cwd=root, env=environment, stdout=pipe, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        log: list[str] = []
        try:
            for said in process.stdout:
                log.append(said)
                if found := re.search(sign, said):
                    break
            else:
                raise SystemExit(f"the server did not start: {' '.join(line)}\n{''.join(log[-5:])}")
            ready = time.monotonic() - start
            threading.Thread(target=_read, args=(process.stdout, log), daemon=True).start()
            yield Running(int(found[1]), process.pid, ready, log)
        finally:
            process.terminate()


def _read(output: Iterator[str], log: list[str]) -> None:
    with suppress(ValueError):  # closed while a process that the server started still holds the other end
        log.extend(output)


class Memory(NamedTuple):
    """The memory of a process and of all processes that it started, in MB."""

    now: float  # shared pages are counted once (PSS)
    largest: int  # the sum of the largest memory that each had; pages that they share are counted several times


def memory(process: int) -> Memory:
    """Measure a process and its descendants."""
    now, largest = 0.0, 0
    for each in _tree(process):
        folder = Path("/proc", str(each))
        try:
            status, maps = (folder / "status").read_text(), (folder / "smaps_rollup").read_text()
        except OSError:  # it has ended
            continue
        largest += int(status.partition("VmHWM:")[2].split()[0]) // 1024
        now += int(maps.partition("\nPss:")[2].split()[0]) / 1024
    return Memory(now, largest)


def _tree(process: int) -> Iterator[int]:
    yield process
    for task in Path("/proc", str(process), "task").glob("*/children"):
        for child in task.read_text().split():
            yield from _tree(int(child))
