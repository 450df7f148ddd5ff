"""Embeddings that start from vectors learnt elsewhere. Knows pieces and files, no tokenizer and no corpus.

The files are text, those of word2vec (Mikolov et al. 2013), GloVe (Pennington et al. 2014) or fastText (Bojanowski et
al. 2017): a line per word, the word and its numbers separated by spaces. The first and the last of them begin with a
line of two whole numbers, how many words and how wide. A piece that starts a word, written `▁house`, is looked up as
`house`, and one within a word as it is written; what is not found so is looked up in lower case. A piece that no word
matches keeps the row that it was drawn.

Found vectors are scaled by one number, so that their mean length is that of the rows which were drawn: a network's
initial state is tuned to that length (a Transformer multiplies its embeddings by the root of their width, and a table
that is tied to the output layer makes the first logits), while the vectors of these files are many times as long.
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
    """What became of the pieces of one side, and of the training tokens, the share that starts from a found vector."""

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
    """Write the vectors of each side's file into its table of embeddings, and say what was found.

    `pieces` are how the ids of a side are written, `counts` (V,) how often each one stands in the training data. Where
    both sides share a table, a piece that both files have takes the vector of the target's, for the table is the output
    layer as well.

    Raises:
        ModelError: a file cannot be read, or is of another width than the table and `project` is false.
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
    """Ids (n,) of the pieces that the file has, their vectors (n, width), and the report."""
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
    """The vectors (n, W) in the width of the table, (n, `width`).

    Wider ones keep the directions in which they are largest, so that no projection of that width changes their inner
    products less (Eckart and Young 1936); narrower ones are rotated into the wider space by a random rotation, which
    changes none of them and leaves no column of the table without a share. Both are the same in every run.
    """
    given = rows.shape[1]
    if given == width:
        return rows
    if not project:
        raise ModelError(
            f"{file}: has vectors of width {given}, the embeddings are {width} wide; take vectors or a network of the "
            "other width, or set model.embeddings.project: true"
        )
    wide = rows.double()
    if given < width:
        drawn = torch.randn(width, given, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        rotation: Tensor = torch.linalg.qr(drawn).Q
        return wide @ rotation.T
    _, directions = torch.linalg.eigh(wide.T @ wide)  # columns, the weakest first
    kept: Tensor = directions[:, -width:].flip(1)
    largest = kept.gather(0, kept.abs().argmax(dim=0, keepdim=True))
    return wide @ (kept * largest.sign())  # an eigenvector has no sign of its own


class Vectors(NamedTuple):
    """Some words of a file and their vectors (words, width) in fp32."""

    words: dict[bytes, int]  # the row of each
    rows: Tensor


def read_vectors(file: Path, wanted: frozenset[bytes]) -> Vectors:
    """Read the vectors of the wanted words, UTF-8, streaming; of a word that comes twice the first one counts.

    A word may hold spaces, as some of GloVe's do. Every line must have as many fields as the first; the numbers of the
    wanted words alone are looked at.

    Raises:
        ModelError: naming the line that is not one of vectors, or a file that ends too early.
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
            raise ModelError(f"{file}: line {number}: has {spaces} numbers where {width or 'some'} are due")
        read += 1
        word = line.partition(b" ")[0] if spaces == width else line.rsplit(b" ", width)[0]
        if word in wanted and word not in found:
            found[word] = len(rows)
            rows.append(_numbers(file, number, line, width))
    if promised is not None and read < promised:
        raise ModelError(f"{file}: ends after {read:,} words of {promised:,}: it is not whole")
    if not width:
        raise ModelError(f"{file}: holds no vectors")
    return Vectors(found, torch.stack(rows) if rows else torch.empty(0, width))


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, counted from 1, without what ends them; plain or gzip, as the first bytes say."""
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
