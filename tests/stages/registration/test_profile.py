from seqloom import places
from seqloom.drift.profile import PROFILE, Profile
from seqloom.params import load_params
from seqloom.stages.registration.profile import training_profile
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry.versions import Reference, fetch_model
from tests.workspaces import give_registered


def test_a_version_has_the_profile_of_its_training_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    give_registered(tmp_path)
    folder = fetch_model(connect(tmp_path, create=False), Reference("seqloom-en-de", number="1"))
    found = Profile.read(folder / PROFILE)
    assert {name: sum(counts) for name, counts in found.counts.items()} == {
        "characters": 2, "pieces": 2, "unknown": 2, "language": 0
    }  # fmt: skip
    assert found.counts["characters"] == [0, 1, 1, 0, 0, 0, 0, 0]  # "Hello {name}", "Turn on the light in the kitchen"
    assert not (places.CANDIDATE / PROFILE).exists()  # it would change the identity of the model
    assert training_profile(load_params(), 2) == (folder / PROFILE).read_text(encoding="utf-8")
