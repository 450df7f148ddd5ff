import errno
import io
import os

import pytest

from seqloom.errors import AccessError, RequestError
from seqloom.formats.encoding import TextFile
from seqloom.formats.pieces import Options, Unit
from seqloom.formats.tables import read_table
from seqloom.languages import Direction
from seqloom.serving.corrections import Correction, Corrections

EN_DE = Direction("en", "de")


def correction(source="Turn on", target="Einschalten"):
    return Correction(source, target, EN_DE, "seqloom-en-de/3", "0123456789ab")


def pairs(file):
    """Read a table as the corpus of `kind: file` does."""
    pieces = read_table(TextFile(io.BytesIO(file.read_bytes()), "x"), Options(EN_DE, quoting=True, header=True))
    return [(piece.source, piece.target) for piece in pieces if isinstance(piece, Unit)]


def test_a_corpus_reads_what_was_appended(tmp_path):
    corrections = Corrections(tmp_path / "new" / "folder", 10_000)
    given = [("Turn on", "Einschalten"), ('a\ttab and "quotes"', "zwei\nZeilen"), ("naïve 🙂", "=1+1")]
    for source, target in given:
        corrections.append(correction(source, target))
    file = tmp_path / "new" / "folder" / "en-de.tsv"
    assert pairs(file) == given
    first, second, *_ = file.read_text(encoding="utf-8").splitlines()
    assert first == "source\ttarget\tversion\tat\tclient"
    assert second.startswith("Turn on\tEinschalten\tseqloom-en-de/3\t20")
    assert second.endswith("\t0123456789ab")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("given", [("", "a"), ("a", " \n")])
def test_empty_texts_are_refused(tmp_path, given):
    with pytest.raises(RequestError, match="must not be empty"):
        Corrections(tmp_path, 10_000).append(correction(*given))
    assert not list(tmp_path.iterdir())


def test_a_table_has_a_largest_size(tmp_path):
    corrections = Corrections(tmp_path, 200)
    corrections.append(correction())
    corrections.append(correction())
    before = (tmp_path / "en-de.tsv").read_bytes()
    with pytest.raises(AccessError, match=r"en-de\.tsv has its largest size, 200 bytes"):
        corrections.append(correction())
    assert (tmp_path / "en-de.tsv").read_bytes() == before


def test_a_row_that_cannot_be_written_whole_leaves_the_table_as_before(tmp_path, monkeypatch):
    corrections = Corrections(tmp_path, 10_000)
    corrections.append(correction())
    before = (tmp_path / "en-de.tsv").read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"):
            corrections.append(correction("other"))
    assert (tmp_path / "en-de.tsv").read_bytes() == before
