"""A model folder with random weights, which translates English into German."""

from pathlib import Path

import pytest

from seqloom.models.catalogue import save_model
from tests.decoding.conftest import ARCHITECTURE, characters, make_network  # noqa: F401  (a fixture)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, make_network) -> Path:  # noqa: F811
    """A folder that every test may read and none may change."""
    folder, tokenizer = tmp_path_factory.mktemp("model"), characters()
    save_model(make_network(tokenizer.target_vocab_size), ARCHITECTURE, folder)
    tokenizer.save(folder / "tokenizer")
    (folder / "languages.json").write_text('{"source": "en", "target": "de"}')
    return folder
