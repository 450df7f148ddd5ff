import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from seqloom.errors import ModelError
from seqloom.models.catalogue import build_model
from seqloom.models.seq2seq import Seq2Seq
from seqloom.models.settings import Side
from seqloom.models.word_vectors import Coverage, read_vectors, start_embeddings
from tests.records import model_settings

PIECES = ["<pad>", "<unk>", "<s>", "</s>", "▁house", "ing", "▁House", "▁Berlin", "▁", "▁straße", "x"]
WORDS = {
    "house": [1.0, 0, 0, 0],
    "ing": [0, 2.0, 0, 0],
    "berlin": [0, 0, 3.0, 0],
    "straße": [0, 0, 0, 4.0],
    "tree": [9.0, 9, 9, 9],
}
COUNTS = torch.tensor([0, 1, 0, 0, 4, 2, 1, 1, 5, 1, 1])


def line(word: str, vector: list[float]) -> str:
    return f"{word} {' '.join(map(str, vector))}"


def glove(words: dict[str, list[float]] = WORDS) -> str:
    return "".join(f"{line(*pair)}\n" for pair in words.items())


def word2vec(words: dict[str, list[float]] = WORDS) -> str:
    return f"{len(words)} {len(next(iter(words.values())))}\n{glove(words)}"


def fasttext(words: dict[str, list[float]] = WORDS) -> str:
    return word2vec(words).replace("\n", " \n").replace(" \n", "\n", 1)  # lines except the header end with a space


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(text: str | bytes, name: str = "words.vec") -> Path:
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return written


def build(width: int = 4, ties: str = "none") -> Seq2Seq:
    torch.manual_seed(3)
    settings = model_settings(
        "transformer", 0.0, ties, width=width, feed_forward=8, heads=1, encoder_layers=1, decoder_layers=1
    )
    return build_model(settings.architecture, len(PIECES), len(PIECES))


def wanted(*words: str) -> frozenset[bytes]:
    return frozenset(word.encode() for word in words)


@pytest.mark.parametrize("form", [glove, word2vec, fasttext])
@pytest.mark.parametrize("packed", [False, True])
def test_every_file_format_is_read_plain_and_gzipped(
    write: Callable[..., Path], form: Callable[[], str], packed: bool
) -> None:
    content = form().encode()
    file = write(gzip.compress(content) if packed else content, "words")  # detected by its first bytes, not its name
    read = read_vectors(file, wanted("straße", "house", "missing"))
    assert read.words == {b"house": 0, "straße".encode(): 1}
    assert read.rows.tolist() == [WORDS["house"], WORDS["straße"]]
    assert read.rows.dtype == torch.float32


def test_words_may_contain_spaces_and_occur_twice(write: Callable[..., Path]) -> None:
    file = write("a 1 2\n. . . 3 4\n\xa0 5 6\nat name@domain.com 7 8\na 9 9\r\n\n")
    read = read_vectors(file, wanted("a", ". . .", "\xa0", "at name@domain.com"))
    assert list(read.words) == [word.encode() for word in ("a", ". . .", "\xa0", "at name@domain.com")]
    assert read.rows.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_invalid_utf8_does_not_affect_other_words(write: Callable[..., Path]) -> None:
    assert read_vectors(write(b"\xff\xfe 1 2\na 3 4\n"), wanted("a")).rows.tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1 2\nb 1\n", "line 2: has 1 numbers, but should have 2"),
        ("3 2\na 1 2\n\nb 1\n", "line 4: has 1 numbers, but should have 2"),
        ("a 1 2\nb 1 x\n", "line 2: not a vector: could not convert"),
        ("a 1 2\nb 1 nan\n", "line 2: not a vector: a number is not finite"),
        ("3 2\na 1 2\nb 1 2\n", "is incomplete: it ends after 2 of 3 words"),
        ("alone\n", "line 1: has 0 numbers, but should have at least one"),
        ("", "contains no vectors"),
    ],
)
def test_an_invalid_vector_is_rejected_with_its_line(write: Callable[..., Path], content: str, message: str) -> None:
    with pytest.raises(ModelError, match=rf"words\.vec: {message}"):
        read_vectors(write(content), wanted("a", "b"))


def test_an_unreadable_file_is_rejected_by_name(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.vec: cannot be read"):
        read_vectors(tmp_path / "missing.vec", wanted("a"))
    cut = gzip.compress(glove().encode() * 100)[:-20]
    with pytest.raises(ModelError, match=r"words\.gz: cannot be read"):
        read_vectors(write(cut, "words.gz"), wanted("a"))


def test_matched_pieces_get_vectors_and_others_keep_their_random_rows(write: Callable[..., Path]) -> None:
    model, drawn = build(), build().source_embedding.weight.detach()
    found = start_embeddings(model, {"source": write(glove())}, {"source": PIECES}, {"source": COUNTS}, project=False)[
        "source"
    ]
    table = model.source_embedding.weight.detach()
    matched = [4, 5, 6, 7, 9]
    left = [index for index in range(len(PIECES)) if index not in matched]
    assert torch.equal(table[left], drawn[left])
    directions = table[matched] / table[matched].norm(dim=1, keepdim=True)
    assert directions.argmax(dim=1).tolist() == [0, 1, 0, 2, 3]
    torch.testing.assert_close(directions.amax(dim=1), torch.ones(5))
    assert found == Coverage(pieces=11, exact=3, lower_cased=2, unmatched=6, covered_tokens=0.5625)  # 9 of 16
    assert torch.equal(model.target_embedding.weight, build().target_embedding.weight)


def test_found_vectors_are_scaled_to_the_mean_length_of_the_random_rows(
    write: Callable[..., Path],
) -> None:
    model = build()
    expected = model.target_embedding.weight.norm(dim=1).mean()
    start_embeddings(model, {"target": write(word2vec())}, {"target": PIECES}, {"target": COUNTS}, project=False)
    lengths = model.target_embedding.weight[[4, 5, 6, 7, 9]].norm(dim=1)
    torch.testing.assert_close(lengths.mean(), expected)
    torch.testing.assert_close(lengths / lengths[0], torch.tensor([1.0, 2, 1, 3, 4]))


def test_the_target_vector_wins_in_a_shared_matrix(write: Callable[..., Path]) -> None:
    model = build(ties="all")
    expected = model.target_embedding.weight.norm(dim=1).mean()
    source = write(glove({"house": [1.0, 0, 0, 0], "ing": [1.0, 0, 0, 0]}), "source")
    target = write(glove({"house": [0, 1.0, 0, 0]}), "target")
    pieces: dict[Side, list[str]] = {"source": PIECES, "target": PIECES}
    counts: dict[Side, torch.Tensor] = {"source": COUNTS, "target": COUNTS}
    found = start_embeddings(model, {"target": target, "source": source}, pieces, counts, project=False)
    table = model.source_embedding.weight
    assert table is model.target_embedding.weight
    assert table[[4, 5, 6]].argmax(dim=1).tolist() == [1, 0, 1]  # house, ing and House, which is found in lower case
    torch.testing.assert_close(table[[4, 5, 6]].norm(dim=1), expected.expand(3))  # both are scaled
    assert (found["source"].exact, found["target"].exact) == (2, 1)


def test_another_width_is_rejected_unless_projection_is_enabled(write: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"vectors of width 4, but the embeddings have width 8.*project: true"):
        start_embeddings(build(8), {"source": write(glove())}, {"source": PIECES}, {"source": COUNTS}, project=False)


def projected(file: Path, width: int, pieces: list[str]) -> np.ndarray:
    torch.manual_seed(3)
    settings = model_settings(
        "transformer", 0.0, "none", width=width, feed_forward=8, heads=1, encoder_layers=1, decoder_layers=1
    )
    model = build_model(settings.architecture, len(pieces), len(pieces))
    start_embeddings(model, {"source": file}, {"source": pieces}, {"source": torch.ones(len(pieces))}, project=True)
    rows: np.ndarray = model.source_embedding.weight.detach().double().numpy()
    return rows


def test_projecting_wider_vectors_equals_the_truncated_svd(write: Callable[..., Path]) -> None:
    random = np.random.default_rng(5)
    vectors = random.normal(size=(30, 10)) * np.linspace(3, 0.1, 10)
    pieces = [f"▁w{index}" for index in range(30)]
    file = write(glove({piece[1:]: row.tolist() for piece, row in zip(pieces, vectors, strict=True)}))
    rows = projected(file, 4, pieces)
    left, singular, _ = np.linalg.svd(vectors, full_matrices=False)
    best = left[:, :4] * singular[:4]  # the truncated SVD, which is optimal (Eckart and Young)
    gram, expected = rows @ rows.T, best @ best.T
    np.testing.assert_allclose(gram / np.trace(gram), expected / np.trace(expected), atol=1e-6)
    assert np.array_equal(projected(file, 4, pieces), rows)


def test_projection_works_with_fewer_words_than_columns(write: Callable[..., Path]) -> None:
    file = write(glove({"a": [1.0, 2, 3, 4, 5, 6], "b": [6.0, 5, 4, 3, 2, 1]}))
    rows = projected(file, 4, ["▁a", "▁b", "▁c"])
    assert np.isfinite(rows).all()
    cosine = rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1])
    assert cosine == pytest.approx(56 / 91, abs=1e-5)


def test_narrower_vectors_keep_their_inner_products(write: Callable[..., Path]) -> None:
    vectors = np.random.default_rng(5).normal(size=(12, 3))
    pieces = [f"▁w{index}" for index in range(12)]
    file = write(glove({piece[1:]: row.tolist() for piece, row in zip(pieces, vectors, strict=True)}))
    rows = projected(file, 8, pieces)
    gram, expected = rows @ rows.T, vectors @ vectors.T
    np.testing.assert_allclose(gram / np.trace(gram), expected / np.trace(expected), atol=1e-6)
    assert (np.abs(rows).max(axis=0) > 0.01).all()  # every column is used
    assert np.array_equal(projected(file, 8, pieces), rows)


def test_initialisation_leaves_the_global_generator_untouched(write: Callable[..., Path]) -> None:
    model, file = build(8), write(glove())
    state = torch.get_rng_state()
    start_embeddings(model, {"source": file}, {"source": PIECES}, {"source": COUNTS}, project=True)
    assert torch.equal(torch.get_rng_state(), state)
