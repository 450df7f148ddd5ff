import shutil
from pathlib import Path

import pytest

from seqloom.errors import ModelError
from seqloom.export import library
from seqloom.export.fast_search import FastSearch
from seqloom.export.loading import load_translator
from seqloom.export.settings import EXPORTS
from seqloom.translation.texts import TextTranslator
from tests.export.networks import LEARNT


@pytest.fixture
def plain_folder(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "plain", ignore=shutil.ignore_patterns(EXPORTS)))


def test_an_export_is_used_by_default_and_torch_if_it_is_asked_for(model_folder: Path) -> None:
    fast = load_translator(model_folder, "cpu").engine
    assert isinstance(fast, FastSearch)
    assert fast.export.precision == "int8"
    assert load_translator(model_folder, "cpu", engine="torch").engine is None


def test_texts_are_translated_with_the_export_if_that_is_asked_for(model_folder: Path) -> None:
    assert TextTranslator.load(model_folder, "cpu").translator.engine is None
    fast = TextTranslator.load(model_folder, "cpu", engine="auto")
    assert isinstance(fast.translator.engine, FastSearch)
    (source, target) = LEARNT[0]
    assert fast.translate([f"{source}\n{source}"])[0].text == f"{target}\n{target}"
    assert fast.translator.engine.tally.ctranslate2 == 1  # equal sentences are translated once


def test_without_an_export_torch_is_used_unless_the_engine_is_required(plain_folder: Path) -> None:
    assert load_translator(plain_folder, "cpu").engine is None
    with pytest.raises(ModelError, match=r"plain: has no folder ctranslate2.*use torch"):
        load_translator(plain_folder, "cpu", engine="ctranslate2")
    (plain_folder / EXPORTS).mkdir()
    with pytest.raises(ModelError, match="holds no export"):
        load_translator(plain_folder, "cpu", engine="ctranslate2")


def test_an_ensemble_is_searched_on_torch(model_folder: Path, plain_folder: Path) -> None:
    assert load_translator(model_folder, "cpu", others=[plain_folder]).engine is None
    with pytest.raises(ModelError, match="not with an ensemble"):
        load_translator(model_folder, "cpu", others=[plain_folder], engine="ctranslate2")


def test_without_the_library_torch_is_used_and_the_message_names_the_extra(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name="ctranslate2")

    monkeypatch.setattr(library, "import_module", missing)
    assert load_translator(model_folder, "cpu").engine is None
    with pytest.raises(ModelError, match=r"ctranslate2, which is not installed; pip install 'seqloom\[serve\]'"):
        load_translator(model_folder, "cpu", engine="ctranslate2")
