"""A model folder with exports: a small trained Transformer, and a tokenizer of its vocabulary."""

import json
from pathlib import Path

import pytest

from seqloom.decoding.model_folder import LANGUAGES_FILE, TOKENIZER_FOLDER
from seqloom.export.folder import EXPORTS, write_export
from seqloom.export.settings import PRECISIONS
from seqloom.symbols import OWN
from tests.export.networks import save, tokenizer, trained


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every test may read and none may change."""
    folder = tmp_path_factory.mktemp("model")
    own = tokenizer()
    save(trained(own), folder)
    own.save(folder / TOKENIZER_FOLDER)
    (folder / LANGUAGES_FILE).write_text(json.dumps({"source": "en", "target": "de"}))
    for precision in PRECISIONS:
        write_export(folder, OWN, precision, folder / EXPORTS / precision)
    return folder
