import fcntl
import json
import os
import time
from pathlib import Path

import pytest

from seqloom.retention.policy import DAY, Found, Policy
from seqloom.retention.trainings import Known, find_trainings

POLICY = Policy(keep=1, days=10)
NOBODY = Known(now={"train": {"seed": 0}}, result=None, sent=lambda folder: True)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def training(scratch: Path, name: str, days: float, *, finished: bool = False, seed: int = 1) -> Path:
    """A run's folder as train_model leaves it, last written so many days ago."""
    folder = scratch / name
    (folder / "step-00000300").mkdir(parents=True)
    (folder / "step-00000300" / "model.safetensors").write_bytes(b"w" * 500)
    (folder / "weights-00000300.safetensors").write_bytes(b"w" * 100)
    for file in ("identity.json", "journal.jsonl", "lock", *(["finished"] if finished else [])):
        (folder / file).touch()
    identity = {"train": {"seed": seed}, "code": {"a.py": "0"}, "machine": {"device": "cuda"}}
    (folder / "identity.json").write_text(json.dumps(identity), encoding="utf-8")
    then = time.time() - days * DAY
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))
    return folder


def names(found: Found) -> list[str]:
    return [each.name.removeprefix("scratch/") for each in found.removals]


def remove(found: Found) -> None:
    for each in found.removals:
        each.remove()


def test_old_finished_runs_go_except_the_newest_and_the_present_result(scratch: Path) -> None:
    for name, days in (("newest", 20), ("result", 30), ("old", 40), ("young", 5)):
        training(scratch, name, days, finished=True)
    found = find_trainings(scratch, POLICY, NOBODY._replace(result="result"))
    assert names(found) == ["newest", "old"]  # the newest finished one is `young`
    assert {each.name[8:]: each.why for each in found.kept} == {
        "young": "one of the newest 1 finished ones", "result": "its result is in models/candidate",
    }  # fmt: skip
    assert {each.bytes // 100 for each in found.removals} == {6}
    remove(found)
    assert sorted(path.name for path in scratch.iterdir()) == ["result", "young"]
    assert find_trainings(scratch, POLICY, NOBODY._replace(result="result")).removals == []


def test_an_unfinished_run_that_the_present_inputs_resume_is_kept_however_old(scratch: Path) -> None:
    training(scratch, "mine", 400, seed=7)
    training(scratch, "other-inputs", 400)
    training(scratch, "recent", 2)
    present = {"train": {"seed": 7}, "code": {"a.py": "0"}, "machine": {"device": "cpu"}}  # gc runs without a GPU
    assert names(find_trainings(scratch, POLICY, NOBODY._replace(now=present))) == ["other-inputs"]
    unknown = find_trainings(scratch, POLICY, NOBODY._replace(now=None))
    assert unknown.removals == []
    assert all("inputs are incomplete" in each.why for each in unknown.kept)


def test_a_run_that_is_being_trained_is_kept_even_if_it_starts_after_the_search(scratch: Path) -> None:
    folder = training(scratch, "running", 400)
    found = find_trainings(scratch, POLICY, NOBODY)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove(found)
        assert (folder / "step-00000300").is_dir()
        assert find_trainings(scratch, POLICY, NOBODY).kept[0].why == "it is being trained"


def test_a_journal_that_was_not_sent_stays(scratch: Path) -> None:
    folder = training(scratch, "unsent", 400)
    found = find_trainings(scratch, POLICY, NOBODY._replace(sent=lambda folder: False))
    assert [each.bytes for each in found.removals] == [600]
    assert "`seqloom sync` has not sent it" in found.removals[0].why
    remove(found)
    assert sorted(path.name for path in folder.iterdir()) == ["identity.json", "journal.jsonl", "lock"]
    assert find_trainings(scratch, POLICY, NOBODY._replace(sent=lambda folder: False)).removals == []
