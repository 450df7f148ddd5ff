"""A stopped training ends with the signal that requested it."""

import signal
from collections.abc import Iterator

import pytest

from seqloom.stages.training.launch import stop_requests
from seqloom.training.engine import InterruptError


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
