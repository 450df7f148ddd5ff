"""Turns the signals that ask a process to end into a question that training asks between two updates."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from seqloom.training.engine import InterruptError


@contextmanager
def stop_requests(*, insist: bool) -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come; at the end of an interrupted run the signal is raised as what it was.

    With `insist` a second one is obeyed at once. Of several processes none may: the launcher passes on what a terminal
    has told all of them already.
    """
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if insist:
            restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(received)
    except InterruptError:
        restore()
        # The checkpoint is written: end as the signal asked. In several processes each may have got another signal.
        asked = received[0] if received else int(signal.SIGTERM)
        if before[signal.Signals(asked)] is signal.SIG_IGN:  # as in what a script puts into the background
            raise KeyboardInterrupt from None
        signal.raise_signal(asked)
    finally:
        restore()
