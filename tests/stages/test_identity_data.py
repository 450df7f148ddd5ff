"""The identity of a run is plain JSON data, and the same on every file system."""

import json
from pathlib import Path

import pytest
import torch

from seqloom import places
from seqloom.params import Params, load_params
from seqloom.stages.training import identity
from seqloom.training.device import Placement

ROOT = Path(__file__).resolve().parents[2]
CPU = Placement(torch.device("cpu"), "fp32")


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Return the default parameters; the current folder is empty, and code and libraries do not count."""
    params = load_params(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(identity, "code", dict)
    monkeypatch.setattr(identity, "used_libraries", lambda *, pretrained: {})
    return params


def test_an_identity_reads_back_from_its_file_as_it_was(params: Params) -> None:
    found = identity.identify(params, CPU)
    assert json.loads(json.dumps(found)) == found


def test_the_order_in_which_a_folder_lists_its_files_does_not_count(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.TOKENS.mkdir(parents=True)
    for name in ("a", "b", "c"):
        (places.TOKENS / name).write_text(name)
    listing = Path.rglob

    def listed(backwards: bool) -> identity.Identity:
        monkeypatch.setattr(Path, "rglob", lambda folder, name: sorted(listing(folder, name), reverse=backwards))
        return identity.identify(params, CPU)

    assert listed(backwards=True) == listed(backwards=False)
