import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seqloom import places
from seqloom.corpus.splits import read_split
from seqloom.errors import RegistryError
from seqloom.export.settings import TRANSLATIONS
from seqloom.progress import ignore
from seqloom.stages.register_model import run
from seqloom.stages.registration.export_loss import export_rules
from seqloom.tracking.client.store import connect
from tests.stages.registering import MODEL, export_candidate, registered
from tests.workspaces import write_results


def translate_candidate(exported: Callable[[int, str], str]) -> None:
    """Write translations of the test split: those of torch are the references, and the export changes them."""
    pairs = list(read_split(places.CORPUS / "test.tsv"))
    rows = [f"{pair.source}\t{pair.target}\t{pair.target}\n" for pair in pairs]
    places.HYPOTHESES.write_text("source\treference\thypothesis\n" + "".join(rows), encoding="utf-8")
    texts = [exported(row, pair.target) for row, pair in enumerate(pairs)]
    (places.EXPORT / TRANSLATIONS).write_text(json.dumps({"int8": texts}), encoding="utf-8")


def test_an_export_that_loses_too_much_makes_no_champion(workspace: Path) -> None:
    params = write_results(workspace, bleu=12.5)
    export_candidate(bleu=11.0)
    translate_candidate(lambda row, text: text[::-1])
    run(params, ignore)
    version = registered(workspace)["1"]
    assert "champion" not in version.aliases
    assert version.verdict == (
        "the export is too inexact: BLEU of the export 11, p = 0.010 (required: at most 1 below 12.5 of torch)"
    )


def test_a_loss_of_exactly_the_bound_is_allowed(workspace: Path) -> None:
    params = write_results(workspace, bleu=12.5)
    export_candidate(bleu=11.5)
    (rule,) = export_rules(params)  # without any translations, which would be resampled for a larger loss
    assert rule.ok


def test_a_loss_of_the_export_by_chance_is_only_remarked_on(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    params = write_results(workspace, bleu=12.5)
    export_candidate(bleu=11.0)
    translate_candidate(lambda row, text: text[::-1] if row == 7 else text)
    run(params, ignore)
    assert "champion" in registered(workspace)["1"].aliases
    tags = connect(workspace, create=False).client.get_model_version(MODEL.name, "1").tags
    remark = tags["gate.BLEU_of_the_export"]
    assert remark.startswith("BLEU of the export 11, p = 0.")
    assert remark.endswith("(not at most 1 below 12.5 of torch, but the loss is not significant)")
    assert f"{remark}: look at its translations, or use a larger test split" in caplog.text


def test_missing_translations_of_an_export_are_named(workspace: Path) -> None:
    params = write_results(workspace, bleu=12.5)
    export_candidate(bleu=11.0)
    with pytest.raises(RegistryError, match=r"translations\.json.*`dvc repro export_model` writes it"):
        list(export_rules(params))
    translate_candidate(lambda row, text: text)
    (places.EXPORT / TRANSLATIONS).write_text(json.dumps({"int8": ["one"]}))
    with pytest.raises(RegistryError, match="translations of int8, one per test pair"):
        list(export_rules(params))
    translate_candidate(lambda row, text: text)
    places.HYPOTHESES.write_text("source\treference\thypothesis\n")
    with pytest.raises(RegistryError, match=r"hypotheses\.tsv: has 0 translations, but the test split has"):
        list(export_rules(params))
    places.HYPOTHESES.unlink()
    with pytest.raises(RegistryError, match=r"hypotheses\.tsv: cannot be read"):
        list(export_rules(params))
    unbounded = params.model_copy(update={"gate": params.gate.model_copy(update={"max_export_drop": None})})
    assert list(export_rules(unbounded)) == []
