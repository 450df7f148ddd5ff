"""Fuzz the file formats: mutated files must raise nothing but FormatError, within limits of time and memory.

    nice python -m benchmarks.fuzz_formats --format tmx --inputs 100000 --seed 1 --keep /tmp/faults

Samples (`benchmarks.fuzz_samples`, `benchmarks.fuzz_catalogue_samples`) are mutated, half of them bytewise, half by
whole elements, which keeps markup well-formed. Each mutated file is read, its pieces must add up to the file, and a
translation is written into every unit. Then memory and time are measured for `--grown` inputs in which one part is
repeated to make files of one and two megabytes. The output is one line of JSON per format:

- read, refused: inputs that were read, and inputs that raised FormatError; errors: all other outcomes (`--keep` saves
  such inputs)
- slowest: seconds for the slowest small input
- memory: highest ratio of peak memory (tracemalloc) to the size of a grown input
- seconds: longest time for a megabyte; growth: highest ratio of the times for two megabytes and one, among inputs that
  take at least half a second
"""

import argparse
import faulthandler
import io
import json
import random
import re
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks import fuzz_catalogue_samples, fuzz_samples
from benchmarks.fuzz_samples import WHOLE
from seqloom.errors import FormatError
from seqloom.formats.catalogue import FORMATS, translated
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Unit
from seqloom.languages import Direction

SAMPLES = fuzz_samples.SAMPLES | fuzz_catalogue_samples.SAMPLES
TOKENS = fuzz_samples.TOKENS | fuzz_catalogue_samples.TOKENS
OPTIONS = Options(Direction("en", "de"))
CSV = OPTIONS._replace(quoting=True, delimiter=",")
TRANSLATION = 'Größe <g1>&"\\n</g1> <x2/> {0} %s\n門\u2028😀\x00\ufffe'
MEGABYTE = 1 << 20
_TAG = re.compile(rb"<(/?)([A-Za-z][^\s/>]*)[^<>]*?(/?)>")
_VALUE = re.compile(rb"(?<==)\"[^\"<>]*\"")
STUCK, WATCHED = 300, 500  # abort if WATCHED inputs take longer than STUCK seconds


def main() -> None:
    """Fuzz the formats given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--format",
        action="append",
        choices=sorted(SAMPLES),
        help="format to fuzz; may be repeated (default: all formats)",
    )
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--grown", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder in which to save inputs that failed")
    options = parser.parse_args()
    for name in options.format or sorted(SAMPLES):
        print(json.dumps(fuzz(name, options.inputs, options.grown, options.seed, options.keep)), flush=True)


def fuzz(name: str, inputs: int, grown: int, seed: int, keep: Path | None) -> dict[str, object]:
    """Return the measurements for one format."""
    dice = random.Random(f"{name} {seed}")
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for number in range(inputs):
        if number % WATCHED == 0:
            faulthandler.dump_traceback_later(STUCK, exit=True)
        content = mutated(name, dice)
        begin = time.perf_counter()
        outcome = tried(name, content)
        slowest = max(slowest, time.perf_counter() - begin)
        outcomes[outcome] += 1
        if keep is not None and outcome not in ("read", "refused") and outcomes[outcome] <= 3:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{name}-{seed}-{number}").write_bytes(content)
    faulthandler.cancel_dump_traceback_later()
    memory, seconds, growth = 0.0, 0.0, 0.0
    for number in range(grown):
        content = mutated(name, dice)
        begin = dice.randrange(len(content) + 1)
        part = begin, min(len(content), begin + dice.choice([1, 2, 5, 20, 200, 2000]))
        if dice.random() < 0.7 and (ranges := elements(content)):
            part = dice.choice(ranges)
        one, two = repeated(content, part, MEGABYTE), repeated(content, part, 2 * MEGABYTE)
        ratio = peak(name, one) / len(one)
        first, second = timed(name, one), timed(name, two)
        if ratio > max(memory, 10) and keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{name}-{seed}-memory-{number}").write_bytes(one)
        memory, seconds = max(memory, ratio), max(seconds, first)
        if second >= 0.5:
            growth = max(growth, second / first)
    return {
        "format": name,
        "inputs": inputs,
        "read": outcomes.pop("read", 0),
        "refused": outcomes.pop("refused", 0),
        "errors": dict(outcomes),
        "slowest": round(slowest, 3),
        "grown": grown,
        "memory": round(memory, 2),
        "seconds": round(seconds, 2),
        "growth": round(growth, 2),
    }


def mutated(name: str, dice: random.Random) -> bytes:
    """Return a mutated sample of a format."""
    content = dice.choice(SAMPLES[name])
    if name in WHOLE and dice.random() < 0.5:
        return rearranged(content, WHOLE[name], dice)
    return damaged(content, TOKENS.get(name, ()), dice)


def elements(content: bytes) -> list[tuple[int, int]]:
    """Return the ranges (begin, end) of the elements of marked-up content."""
    found, waiting = [], list[tuple[bytes, int]]()
    for tag in _TAG.finditer(content):
        if tag[3]:
            found.append(tag.span())
        elif not tag[1]:
            waiting.append((tag[2], tag.start()))
        elif waiting and waiting[-1][0] == tag[2]:
            found.append((waiting.pop()[1], tag.end()))
    return found


def rearranged(content: bytes, parts: tuple[bytes, ...], dice: random.Random) -> bytes:
    """Return content with elements deleted, duplicated, moved and inserted, and attribute values swapped."""
    for _ in range(dice.choice([1, 2, 3, 6])):
        ranges = elements(content)
        if not ranges:
            break
        begin, end = dice.choice(ranges)
        other = dice.choice(ranges)
        match dice.randrange(6):
            case 0:
                part = b""
            case 1:
                part = content[begin:end] * dice.choice([2, 3, 40])
            case 2:
                part = content[slice(*other)]
            case 3:
                part = dice.choice(parts) + content[begin:end]
            case 4:
                part = content[begin:end] + dice.choice(parts)
            case _:
                values = list(_VALUE.finditer(content))
                if len(values) < 2:
                    continue
                (begin, end), part = dice.choice(values).span(), dice.choice(values)[0]
        content = content[:begin] + part + content[end:]
    return content


def damaged(content: bytes, tokens: tuple[bytes, ...], dice: random.Random) -> bytes:
    """Return content with one to eight mutations."""
    for _ in range(dice.choice([1, 1, 2, 3, 5, 8])):
        begin = dice.randrange(len(content) + 1)
        end = min(len(content), begin + dice.choice([1, 2, 4, 16, 64, 256]))
        part = content[begin:end]
        match dice.randrange(9):
            case 0:
                part = b""
            case 1:
                part = bytes([dice.randrange(256)]) + part[1:]
            case 2:
                part = bytes(byte ^ (1 << dice.randrange(8)) for byte in part[:1]) + part[1:]
            case 3:
                part = part * dice.choice([2, 3, 50])
            case 4:
                other = dice.randrange(len(content) + 1)
                part += content[other : other + dice.choice([4, 16, 64])]
            case 5 | 6 if tokens:
                part = dice.choice(tokens) + part
            case 7:
                part = dice.choice(
                    [b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\x85", b"\r", b"\xf4\x90"]
                )
            case 8 if dice.random() < 0.2:
                return content[:begin]
            case _:
                part = dice.randbytes(dice.choice([1, 2, 8]))
        content = content[:begin] + part + content[end:]
    if dice.random() < 0.03:
        with suppress(UnicodeError):
            content = content.decode().encode(dice.choice(["utf-16", "utf-16-le", "utf-32", "cp1252", "shift_jis"]))
    return content


def repeated(content: bytes, part: tuple[int, int], size: int) -> bytes:
    """Return content with a part repeated until it reaches the size."""
    begin, end = part
    piece = content[begin:end] or b"x"
    return content[:begin] + piece * (size // len(piece)) + content[begin:]


def tried(name: str, content: bytes) -> str:
    """Read and write the content; return "read", "refused" or a description of the error."""
    try:
        file = opened(name, content)
        pieces = list(FORMATS[name].read(file, options_of(name)))
        text = "".join(piece if isinstance(piece, str) else piece.raw for piece in pieces)
        if text != "".join(opened(name, content).blocks()):
            return "the pieces do not add up to the file"
        keys = {piece.key: TRANSLATION for piece in pieces if isinstance(piece, Unit)}
        file = opened(name, content)
        for _ in file.encode(translated(name, file, options_of(name), keys)):
            pass
    except FormatError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:100]
    return "read"


def options_of(name: str) -> Options:
    """Return the reader's options for a format."""
    return CSV if name == "csv" else OPTIONS


def opened(name: str, content: bytes) -> TextFile:
    """Return the content as a file in the format."""
    return TextFile(io.BytesIO(content), "f", None, FORMATS[name].declared)


def consume(name: str, content: bytes) -> None:
    """Read without keeping anything in memory."""
    try:
        for _ in FORMATS[name].read(opened(name, content), options_of(name)):
            pass
    except FormatError:
        pass


def peak(name: str, content: bytes) -> int:
    """Return the peak memory while reading a file, in bytes."""
    tracemalloc.start()
    try:
        consume(name, content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def timed(name: str, content: bytes) -> float:
    """Return the CPU seconds for reading a file."""
    begin = time.process_time()
    consume(name, content)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
