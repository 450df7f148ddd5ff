import pytest

from seqloom.training.reports import CheckpointReport, Listeners, Report


def test_a_failing_listener_is_logged_once_and_the_others_continue(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Report] = []
    calls = 0

    def broken(report: Report) -> None:
        nonlocal calls
        calls += 1
        raise OSError("the pipe is broken")

    listeners = Listeners([broken, heard.append])
    for step in (1, 2, 3):
        listeners(CheckpointReport(step, resumed=False))
    assert [report.step for report in heard] == [1, 2, 3]
    assert calls == 1
    (record,) = caplog.records
    assert "CheckpointReport" in record.message
    assert "the pipe is broken" in record.message


def test_keyboard_interrupt_passes_through() -> None:
    def interrupted(report: Report) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Listeners([interrupted])(CheckpointReport(1, resumed=False))
