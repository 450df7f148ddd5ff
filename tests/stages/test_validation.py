"""The segments and the score of a validation during training."""

import json
from pathlib import Path

import pytest

from seqloom.errors import CorpusError
from seqloom.languages import Direction
from seqloom.stages.training import validation
from seqloom.stages.training.validation import Samples
from seqloom.training.reports import CheckpointReport, ValidationReport
from tests.stages.toy_training import write_corpus


def test_validation_uses_equally_many_segments_of_each_direction(toy_project: Path) -> None:
    write_corpus(["en-de", "en-fr", "en-de"], (3, 30))
    both = [Direction("en", "de"), Direction("en", "fr")]
    found = validation.validation_segments(both, 12)
    assert list(found) == both
    for direction, pairs in found.items():
        assert len(pairs) == 6
        assert {pair.direction for pair in pairs} == {str(direction)}
    assert [len(pairs) for pairs in validation.validation_segments(both, 1000).values()] == [20, 10]
    with pytest.raises(CorpusError, match=r"valid\.tsv: has no pair of en-es to validate with"):
        validation.validation_segments([*both, Direction("en", "es")], 12)


def test_the_validation_score_is_the_mean_over_directions(toy_project: Path) -> None:
    class Right:
        def translate(self, texts: list[str], language: str) -> list[str]:
            return [text[::-1] if language == "de" else "nothing of it" for text in texts]

    write_corpus(["en-de", "en-fr"], (3, 30))
    segments = validation.validation_segments([Direction("en", "de"), Direction("en", "fr")], 12)
    longer = {
        direction: [pair._replace(source="a b c d e", target="e d c b a") for pair in pairs]
        for direction, pairs in segments.items()
    }
    samples = Samples(toy_project / "samples.jsonl")
    bleu = validation.validation_bleu(Right(), longer, samples.note)  # type: ignore[arg-type]
    assert bleu == pytest.approx(50, abs=1)
    samples(ValidationReport(8, 1.0, bleu, True, 0.5))
    samples(CheckpointReport(8, resumed=False))
    lines = [json.loads(line) for line in (toy_project / "samples.jsonl").read_text().splitlines()]
    assert [line["direction"] for line in lines] == ["en-de"] * 3 + ["en-fr"] * 3
    assert lines[0] == {
        "step": 8, "direction": "en-de", "source": "a b c d e", "reference": "e d c b a", "hypothesis": "e d c b a"
    }  # fmt: skip
