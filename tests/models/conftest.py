from pathlib import Path

import pytest
import torch

from seqloom.models.pretrained import Pretrained
from tests.models.networks import PRETRAINED, VOCABULARY, make
from tests.tiny_pretrained import make_network


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of the pretrained networks, by kind."""
    root = tmp_path_factory.mktemp("networks")
    for kind in PRETRAINED:
        make_network(kind, root / kind, VOCABULARY)
    return {kind: root / kind for kind in PRETRAINED}


@pytest.fixture(params=PRETRAINED)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def pretrained(kind: str, folders: dict[str, Path]) -> Pretrained:
    torch.manual_seed(7)
    model = make(kind, folders, dropout=0.1)
    assert isinstance(model, Pretrained)
    return model
