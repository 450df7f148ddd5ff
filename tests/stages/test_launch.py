"""A stopped training ends with the signal that requested it; a training elsewhere is waited for."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from seqloom import places
from seqloom.errors import TrainingError
from seqloom.stages.training.launch import (
    automatic_processes,
    local_processes,
    started_elsewhere,
    stop_requests,
)
from seqloom.training.engine import InterruptError
from seqloom.training.settings import LAUNCHER


@pytest.fixture(params=[signal.SIG_IGN, signal.default_int_handler], ids=["ignored", "handled"])
def before(request: pytest.FixtureRequest) -> Iterator[object]:
    usual = signal.signal(signal.SIGINT, request.param)
    yield request.param
    signal.signal(signal.SIGINT, usual)


def interrupted() -> None:
    with stop_requests(insist=False) as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        raise InterruptError


def test_an_interrupted_training_raises_the_signal_even_if_it_was_ignored_before(before: object) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], bool]:
    """Set the command that trains elsewhere, and call it."""
    monkeypatch.chdir(tmp_path)

    def start(command: str) -> bool:
        monkeypatch.setenv(LAUNCHER, command)
        return started_elsewhere(profile=False)

    return start


def test_a_training_elsewhere_is_waited_for_and_its_results_are_taken(elsewhere: Callable[[str], bool]) -> None:
    assert not elsewhere(" ")
    Path("train.sh").write_text(f'mkdir -p {places.CANDIDATE} metrics\ntouch {places.TRAINING_METRICS} "$1"\n')
    assert elsewhere("sh train.sh 'a file'")
    assert Path("a file").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sh -c 'exit 7'", "exited with 7 .*run again to continue"),
        ("no-such-command", "cannot be started.*No such file"),
        ("sh 'unclosed", "cannot be started: No closing quotation"),
        (
            "true",
            "models/candidate and metrics/training.json are not here; the first process must train in this folder",
        ),
    ],
)
def test_a_training_elsewhere_that_fails_is_an_error(
    elsewhere: Callable[[str], bool], command: str, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        elsewhere(command)


def test_a_process_reads_its_place_on_its_machine_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert local_processes() == (0, 1)
    assert automatic_processes() == max(1, torch.cuda.device_count())
    monkeypatch.setenv("WORLD_SIZE", "16")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert automatic_processes() == 16
    assert local_processes() == (3, 4)  # a launcher that does not say how many there are
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert local_processes() == (3, 8)
