"""Mixed requests for a long time, and how the memory of `seqloom serve` grows.

    python -m benchmarks.serving_soak --texts data/corpus/test.tsv --minutes 30 -- --folder models/candidate

Each client sends one request after the other, with a pause between them: a text, an array, HTML, alternatives, no
source language, a text to detect, and a wrong request. The memory is that of all processes of the server. The slope is
that of a line through the samples after the first minutes, in which caches fill.
"""

import argparse
import json
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from itertools import count
from pathlib import Path
from typing import NamedTuple

from benchmarks.serving_load import Running, memory, server


class Sample(NamedTuple):
    """The memory at a time."""

    hours: float
    megabytes: float


def requests(text: str, other: str, source: str, target: str) -> list[tuple[str, dict[str, object], int]]:
    """Return requests: the path, the fields, and the status that is right."""
    pair: dict[str, object] = {"source": source, "target": target}
    return [
        ("/translate", {"q": text, **pair}, 200),
        ("/translate", {"q": [text, other, "", text[:40]], **pair}, 200),
        ("/translate", {"q": f"<p>{text} <b>{other[:30]}</b></p>", "format": "html", **pair}, 200),
        ("/translate", {"q": other, "alternatives": 2, **pair}, 200),
        ("/translate", {"q": text, "source": "auto", "target": target}, 200),
        ("/detect", {"q": other}, 200),
        ("/v2/translate", {"text": [text], "target_lang": target}, 200),
        ("/translate", {"q": text, "source": source, "target": "tlh"}, 400),
    ]


def send(port: int, path: str, fields: dict[str, object]) -> int:
    """Send a request, and return its status."""
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(fields).encode(), kind)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def client(running: Running, texts: list[str], pause: float, stop: threading.Event, seen: Counter[str]) -> None:
    """Send requests until `stop`."""
    source, target = next(
        line.split()[-1].split("-") for line in running.log if ": " in line and "-" in line.split()[-1]
    )
    for turn in count(threading.get_ident() % len(texts)):
        text, other = texts[turn % len(texts)], texts[(turn * 7 + 3) % len(texts)]
        for path, fields, right in requests(text, other, source, target):
            if stop.wait(pause):
                return
            try:
                status = send(running.port, path, fields)
                seen["right" if status == right else f"{path} {status}"] += 1
            except OSError as error:
                seen[repr(error)[:60]] += 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, help="a TSV file; the first column is translated")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--skip", type=float, default=5, help="minutes before the line begins")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between the requests of a client")
    parser.add_argument("serve", nargs="*", help="options of `seqloom serve`, after --")
    options = parser.parse_args()
    texts = [line.split("\t")[0] for line in options.texts.read_text(encoding="utf-8").splitlines()[1:]]
    stop, seen, samples = threading.Event(), Counter[str](), list[Sample]()
    with server(options.serve) as running:
        given = (running, texts, options.pause, stop, seen)
        threads = [threading.Thread(target=client, args=given) for _ in range(options.clients)]
        for thread in threads:
            thread.start()
        start = time.monotonic()
        while (minutes := (time.monotonic() - start) / 60) < options.minutes:
            samples.append(Sample(minutes / 60, memory(running.process).now))
            if len(samples) % 30 == 1:
                print(f"{minutes:5.1f} minutes: {samples[-1].megabytes:.1f} MB, {seen.total():,} requests", flush=True)
            time.sleep(10)
        stop.set()
        for thread in threads:
            thread.join()
    late = [each for each in samples if each.hours * 60 >= options.skip]
    if len(late) > 1:
        slope, _ = statistics.linear_regression(*zip(*late, strict=True))
        print(f"{late[0].megabytes:.1f} MB after {options.skip:g} minutes, {late[-1].megabytes:.1f} MB at the end")
        print(f"slope {slope:+.1f} MB per hour")
    print(f"{seen.total():,} requests: {dict(seen)}")


if __name__ == "__main__":
    main()
