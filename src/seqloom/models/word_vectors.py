"""Initialise embeddings from pretrained word vectors.

The files are text files of word2vec (Mikolov et al. 2013), GloVe (Pennington et al. 2014) or fastText (Bojanowski et
al. 2017): each line has a word and its numbers, separated by spaces. Files of word2vec and fastText begin with a line
of two integers, the number of words and the width. A piece at the start of a word, written `▁house`, is looked up as
`house`, any other piece as it is written, and if that fails, in lower case. A piece without a match keeps its random
initial row.

All vectors that are found are scaled by one factor, so that their mean length is that of the random rows. The vectors
in these files are many times longer, but the rest of the network is initialised for that length: a Transformer
multiplies embeddings by the square root of their width, and a matrix tied to the output layer produces the first
logits.
"""

import gzip
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from seqloom.errors import ModelError
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import SIDES, Side

WORD_START = "▁"
_GZIP = b"\x1f\x8b"


class Coverage(NamedTuple):
    """How many pieces of a side were found, and the share of training tokens that they cover."""

    pieces: int
    exact: int
    lower_cased: int
    unmatched: int
    covered_tokens: float


def start_embeddings(
    model: Seq2Seq,
    files: Mapping[Side, Path],
    pieces: Mapping[Side, Sequence[str]],
    counts: Mapping[Side, Tensor],
    *,
    project: bool,
) -> dict[Side, Coverage]:
    """Write the vectors of each side's file into its embeddings, and return the coverage.

    `pieces` holds the written form of each id of a side, and `counts` (V,) its frequency in the training data. If the
    sides share a matrix, a piece that is in both files takes the target's vector, because the matrix is also the output
    layer.

    Raises:
        ModelError: a file cannot be read, or its vectors have another width and `project` is false.
    """
    tables = {"source": model.source_embedding.weight, "target": model.target_embedding.weight}
    lengths = {side: float(table.detach().norm(dim=1).mean()) for side, table in tables.items()}
    found = {}
    for side in SIDES:
        if side in files:
            table = tables[side]
            ids, rows, coverage = _match(files[side], pieces[side], counts[side])
            fitted = _fit(files[side], rows, table.shape[1], project).to(table)
            with torch.no_grad():
                table[ids] = fitted * (lengths[side] / fitted.norm(dim=1).mean().clamp_min(1e-12))
            found[side] = coverage
    return found


def _match(file: Path, pieces: Sequence[str], counts: Tensor) -> tuple[Tensor, Tensor, Coverage]:
    """Return the ids (n,) of the pieces in the file, their vectors (n, width), and the coverage."""
    words = [(piece.removeprefix(WORD_START) or piece).encode() for piece in pieces]
    lower = [word.decode().lower().encode() for word in words]
    vectors = read_vectors(file, frozenset([*words, *lower]))
    exact = [index for index, word in enumerate(words) if word in vectors.words]
    others = [index for index, word in enumerate(lower) if word in vectors.words and words[index] not in vectors.words]
    ids = torch.tensor([*exact, *others], dtype=torch.int64)
    rows = vectors.rows[[vectors.words[words[i]] for i in exact] + [vectors.words[lower[i]] for i in others]]
    covered = round(float(counts[ids].sum() / counts.sum()), 4)
    return ids, rows, Coverage(len(pieces), len(exact), len(others), len(pieces) - len(ids), covered)


def _fit(file: Path, rows: Tensor, width: int, project: bool) -> Tensor:
    """Return the vectors (n, W) in the width of the embeddings, (n, `width`).

    Wider vectors are projected onto their principal directions: no projection to that width changes their inner
    products less (Eckart and Young 1936). Narrower ones are embedded by a random rotation, which preserves inner
    products and uses every column. Both are deterministic.
    """
    given = rows.shape[1]
    if given == width:
        return rows
    if not project:
        raise ModelError(
            f"{file}: has vectors of width {given}, but the embeddings have width {width}; use vectors or a network of "
            "the other width, or set model.embeddings.project: true"
        )
    wide = rows.double()
    if given < width:
        drawn = torch.randn(width, given, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        rotation: Tensor = torch.linalg.qr(drawn).Q
        return wide @ rotation.T
    _, directions = torch.linalg.eigh(wide.T @ wide)  # columns, smallest eigenvalue first
    kept: Tensor = directions[:, -width:].flip(1)
    largest = kept.gather(0, kept.abs().argmax(dim=0, keepdim=True))
    return wide @ (kept * largest.sign())  # the sign of an eigenvector is arbitrary


class Vectors(NamedTuple):
    """Some words of a file and their vectors (words, width), fp32."""

    words: dict[bytes, int]  # the row of each word
    rows: Tensor


def read_vectors(file: Path, wanted: frozenset[bytes]) -> Vectors:
    """Read the vectors of the wanted words (UTF-8) in a stream. If a word occurs twice, its first vector is used.

    A word may contain spaces, as some of GloVe's do. No line may have fewer fields than the first, and only the numbers
    of wanted words are parsed.

    Raises:
        ModelError: a line is not a vector, or the file ends too early; the message names the line.
    """
    found: dict[bytes, int] = {}
    rows: list[Tensor] = []
    promised, width, read = None, 0, 0
    for number, line in _lines(file):
        if number == 1 and (header := _header(line)) is not None:
            promised, width = header
            continue
        width = width or line.count(b" ")
        spaces = line.count(b" ")
        if spaces < width or not width:
            raise ModelError(f"{file}: line {number}: has {spaces} numbers, but should have {width or 'at least one'}")
        read += 1
        word = line.partition(b" ")[0] if spaces == width else line.rsplit(b" ", width)[0]
        if word in wanted and word not in found:
            found[word] = len(rows)
            rows.append(_numbers(file, number, line, width))
    if promised is not None and read < promised:
        raise ModelError(f"{file}: is incomplete: it ends after {read:,} of {promised:,} words")
    if not width:
        raise ModelError(f"{file}: contains no vectors")
    return Vectors(found, torch.stack(rows) if rows else torch.empty(0, width))


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the non-empty lines and their numbers, from 1, without line ends; gzip is detected by its first bytes."""
    try:
        with file.open("rb") as start:
            packed = start.read(2) == _GZIP
        with gzip.open(file, "rb") if packed else file.open("rb") as content:
            for number, line in enumerate(content, start=1):
                if line := line.rstrip(b" \r\n"):
                    yield number, line.replace(b"\t", b" ")
    except (OSError, EOFError, zlib.error) as error:
        raise ModelError(f"{file}: cannot be read: {error}") from error


def _header(line: bytes) -> tuple[int, int] | None:
    fields = line.split(b" ")
    return (int(fields[0]), int(fields[1])) if len(fields) == 2 and all(map(bytes.isdigit, fields)) else None


def _numbers(file: Path, number: int, line: bytes, width: int) -> Tensor:
    try:
        vector = [float(field) for field in line.rsplit(b" ", width)[1:]]
    except ValueError as error:
        raise ModelError(f"{file}: line {number}: not a vector: {error}") from error
    if not all(map(math.isfinite, vector)):
        raise ModelError(f"{file}: line {number}: not a vector: a number is not finite")
    return torch.tensor(vector, dtype=torch.float32)
