"""The whole stage in a temporary folder, with a small network that has learnt its test split by heart."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from seqloom import places
from seqloom.corpus.splits import Pair, SplitWriter
from seqloom.errors import EvaluationError
from seqloom.export import proof
from seqloom.export.folder import read_export
from seqloom.export.settings import TRANSLATIONS
from seqloom.files import hashes_of, sha256_of
from seqloom.models.catalogue import build_model, save_model
from seqloom.params import Params
from seqloom.progress import Progress, ignore
from seqloom.stages.evaluate_model import export_facts
from seqloom.stages.export_model import run
from tests.export.networks import LEARNT, save_trained, tokenizer
from tests.records import model_settings, tree


def changed(**sections: Any) -> Params:
    given = tree()
    given["search"] |= {"beam": 2}
    given["evaluate"] |= {"bootstrap": 100}
    for name, change in sections.items():
        given[name] |= change
    return Params.model_validate(given)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    save_trained(folder)
    return folder


@pytest.fixture
def workplace(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, places.CANDIDATE)
    write_test_split([Pair(source, target, "en-de", "x", "") for source, target in LEARNT])
    return tmp_path


def write_test_split(pairs: list[Pair]) -> None:
    shutil.rmtree(places.CORPUS, ignore_errors=True)
    places.CORPUS.mkdir(parents=True)
    with SplitWriter(places.CORPUS / "test.tsv") as file:
        for pair in pairs:
            file.write(pair)


def metrics() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(places.EXPORT_METRICS.read_text())
    return found


def test_a_transformer_is_exported_proven_and_scored(workplace: Path) -> None:
    said: list[Progress] = []
    run(changed(), said.append)
    found = metrics()
    assert found["exported"] is True
    assert found["log_probabilities"]["largest"] < 1e-4
    assert found["log_probabilities"]["segments"] == found["greedy"]["equal"] == len(LEARNT)
    for precision in ("float32", "int8"):
        assert found["quality"][precision]["scores"]["bleu"] > 50
        assert found["quality"][precision]["placeholders"] == 1.0
        export = read_export(places.EXPORT / precision)
        assert export.weights == sha256_of(places.CANDIDATE / "model.safetensors")
        translations = json.loads((places.EXPORT / TRANSLATIONS).read_text(encoding="utf-8"))[precision]
        assert len(translations) == len(LEARNT)
        assert translations[0] == LEARNT[0][1]
    assert said[-1].done == said[-1].total
    facts = export_facts(found)
    assert facts["greedy translations that are torch's"] == f"{len(LEARNT)} of {len(LEARNT)}"
    assert "BLEU" in facts["int8"]


def test_equal_inputs_give_equal_bytes(workplace: Path) -> None:
    content = []
    for _ in range(2):
        run(changed(), ignore)
        content.append((hashes_of(places.EXPORT), places.EXPORT_METRICS.read_bytes()))
    assert content[0] == content[1]


def test_an_export_that_fails_its_proof_is_removed_with_the_reason(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(proof, "TOLERANCE", 0.0)
    with caplog.at_level(logging.WARNING):
        run(changed(), ignore)
    assert metrics()["exported"] is False
    assert "of the float32 export differs from torch by" in metrics()["reason"]
    assert metrics()["reason"] in caplog.text
    assert list(places.EXPORT.iterdir()) == []


def test_other_families_and_methods_are_kept_on_torch_and_fail_nothing(workplace: Path) -> None:
    own = tokenizer()
    torch.manual_seed(1)
    architecture = model_settings("lstm", embedding=8, hidden=8, layers=1).architecture
    save_model(build_model(architecture, own.source_vocab_size, own.target_vocab_size), architecture, places.CANDIDATE)
    run(changed(), ignore)
    assert metrics() == {
        "exported": False,
        "reason": "a network of type Lstm cannot be exported to CTranslate2, and is kept on torch; "
        "only model.name: transformer can",
    }
    assert export_facts(metrics()) == {"kept on torch": metrics()["reason"]}
    for section, reason in (
        ({"export": {"enabled": False}}, "export.enabled is false"),
        ({"search": {"method": "sampling"}}, "search.method is 'sampling', which needs torch"),
    ):
        run(changed(**section), ignore)
        assert metrics()["reason"] == reason
        assert list(places.EXPORT.iterdir()) == []


def test_a_test_split_that_the_model_cannot_translate_is_one_clear_error(workplace: Path) -> None:
    for pairs in ([], [Pair("a", "b", "en-fr", "x", "")]):
        write_test_split(pairs)
        with pytest.raises(EvaluationError, match=r"test\.tsv: must have pairs of en-de only"):
            run(changed(), ignore)
