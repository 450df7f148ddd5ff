"""A model folder with exports: a small trained Transformer, and its tokenizer."""

from pathlib import Path

import pytest

from seqloom.export.folder import write_export
from seqloom.export.settings import EXPORTS, PRECISIONS
from seqloom.symbols import SPECIAL_IDS
from tests.export.networks import save_trained


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every test may read and none may change."""
    folder = tmp_path_factory.mktemp("model")
    save_trained(folder)
    for precision in PRECISIONS:
        write_export(folder, SPECIAL_IDS, precision, folder / EXPORTS / precision)
    return folder
