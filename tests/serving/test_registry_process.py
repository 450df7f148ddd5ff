import socket
from pathlib import Path

import pytest

from seqloom.errors import RegistryError
from seqloom.serving.registry_process import find
from seqloom.tracking.client.names import SERVED
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry import needed
from tests.serving.conftest import MODEL


def test_it_is_recorded_which_version_this_host_serves(clone: Path) -> None:
    assert find(MODEL, None).number == "1"
    versions = {each: connect(clone, create=False).client.get_model_version(MODEL, each) for each in ("1", "2")}
    assert needed.served_by(versions["1"].tags) == socket.gethostname()
    assert SERVED not in versions["2"].tags


def test_a_registry_that_may_only_be_read_can_be_served(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RegistryError("403")

    monkeypatch.setattr(needed, "note_served", refuse)
    assert find(MODEL, "2").number == "2"
