from pathlib import Path

import pytest

from seqloom.decoding.translator import Translator
from seqloom.evaluation.scoring import score
from seqloom.evaluation.segments import Segments
from seqloom.export.fast_search import FastSearch
from seqloom.export.folder import find_export, write_export
from seqloom.export.proof import (
    SEGMENTS,
    Example,
    Gaps,
    Greedy,
    Proof,
    Quality,
    compare_greedy,
    compare_log_probabilities,
    some,
)
from seqloom.languages import Direction
from seqloom.symbols import SPECIAL_IDS
from tests.export.networks import LEARNT, network, save
from tests.records import evaluate_settings

EXAMPLES = [Example(source, target, "de") for source, target in LEARNT]
GAPS, GREEDY = Gaps(200, 900, 2e-6, 1e-7), Greedy(200, 199, 1, 3)


@pytest.fixture
def ours(model_folder: Path) -> Translator:
    return Translator.load(model_folder, "cpu")


def search(folder: Path, precision: str = "float32") -> FastSearch:
    export = find_export(folder, precision)  # type: ignore[arg-type]
    assert export is not None
    return FastSearch.load(export, 1)


def test_a_right_export_agrees_with_torch_on_everything(ours: Translator, model_folder: Path) -> None:
    fast = search(model_folder)
    gaps = compare_log_probabilities(ours, fast, [*EXAMPLES, Example("", "", "de"), Example("door " * 1100, "x", "de")])
    assert gaps.segments == len(EXAMPLES)
    assert gaps.tokens > 3 * len(EXAMPLES)
    assert gaps.mean <= gaps.largest < 1e-4
    greedy = compare_greedy(ours, fast, EXAMPLES)
    assert greedy == Greedy(len(EXAMPLES), len(EXAMPLES), 0, fast.tally.torch)
    assert Proof(gaps, greedy, {}).fault is None


def test_an_export_of_another_network_is_found_out(ours: Translator, tmp_path: Path) -> None:
    save(network(ours.tokenizer.target_vocab_size), tmp_path)
    fast = FastSearch.load(write_export(tmp_path, SPECIAL_IDS, "float32", tmp_path / "export"), 1)
    gaps = compare_log_probabilities(ours, fast, EXAMPLES)
    assert gaps.largest > 0.1
    assert "differs from torch by" in str(Proof(gaps, GREEDY, {}).fault)


def test_greedy_translations_that_differ_are_counted(
    ours: Translator, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = search(model_folder)
    turned = lambda *arguments: [  # noqa: E731
        [best[0]._replace(ids=best[0].ids[::-1])] for best in FastSearch.__call__(fast, *arguments)
    ]
    turned.tally, turned.batches = fast.tally, fast.batches  # type: ignore[attr-defined]
    found = compare_greedy(ours, turned, EXAMPLES)  # type: ignore[arg-type]
    assert found.equal + found.ties < found.segments
    different = found.segments - found.equal
    assert str(Proof(GAPS, found, {}).fault).startswith(f"{different} of {found.segments} greedy translations of the")


def test_no_number_is_no_proof() -> None:
    assert Proof(GAPS._replace(largest=float("nan")), GREEDY, {}).fault is not None
    assert Proof(GAPS._replace(largest=1e-4), GREEDY, {}).fault is not None
    assert Proof(GAPS, GREEDY._replace(equal=198), {}).record()["exported"] is False


def test_quality_has_scores_size_and_the_share_of_torch(ours: Translator, model_folder: Path) -> None:
    fast = search(model_folder, "int8")
    ours.engine = fast
    sources, references = zip(*LEARNT, strict=True)
    texts = ours.translate(sources)
    segments = Segments(sources, references, texts, [Direction("en", "de")] * len(texts), ours.tokenizer.forms)
    found = Quality.of(score(segments, task="translation", settings=evaluate_settings(bootstrap=100)), fast)
    assert set(found.scores) == {"bleu", "chrf", "ter"}
    assert found.scores["bleu"] > 50
    assert found.placeholders == 1.0
    assert found.by_torch == round(fast.tally.torch / len(texts), 4)
    assert 0.05 < found.megabytes < 1
    record = Proof(GAPS, GREEDY, {"int8": found}).record()
    assert record["exported"] is True
    assert record["quality"]["int8"]["placeholders"] == 1.0


def test_examples_are_spread_evenly() -> None:
    many = [Example(str(number), "", "de") for number in range(1000)]
    assert [each.source for each in some(many)][:3] == ["0", "5", "10"]
    assert len(some(many)) == len(some(many[:399])) == SEGMENTS
    assert some(many[:3]) == many[:3]
