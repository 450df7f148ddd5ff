"""Failures in a run's log: a message if a person can fix it, a traceback for a defect."""

import logging
import sys

import pytest

from pipelines.errors import StageError
from pipelines.supervision.final_states import DropTraceback

LOGGERS = ("prefect.engine", "prefect.flow_runs", "prefect.task_runs")


def record_of(error: Exception, logger: str) -> logging.LogRecord:
    """Return the record that Prefect makes of an exception, after the filters of its logger."""
    try:
        raise error
    except Exception:
        record = logging.LogRecord(logger, logging.ERROR, __file__, 1, "exited unexpectedly", (), sys.exc_info())
    assert logging.getLogger(logger).filter(record)
    return record


@pytest.mark.parametrize("logger", LOGGERS)
def test_a_failure_that_a_person_can_fix_is_logged_without_a_traceback(logger: str) -> None:
    assert any(isinstance(each, DropTraceback) for each in logging.getLogger(logger).filters)
    record = record_of(StageError("train_model", "the corpus is empty", 1), logger)
    assert record.exc_info is None
    if logger == "prefect.engine":
        assert record.getMessage() == "This run ended as Failed; see the line before"


@pytest.mark.parametrize("logger", LOGGERS)
def test_a_defect_keeps_its_traceback(logger: str) -> None:
    record = record_of(KeyError("a defect"), logger)
    assert record.exc_info is not None
    assert record.getMessage() == "exited unexpectedly"
