"""Processes that are forked from the test's own, in place of `python -m ...`.

They have torch and MLflow already; a new interpreter imports these for three to seven seconds of processor time.
"""

import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import NoReturn

from seqloom.stages.__main__ import main


class Forked:
    """A forked process that calls a function and exits as an interpreter would: a small `subprocess.Popen`.

    Its standard input is empty, and its signals have the handlers of a new interpreter. `environment` is added to that
    of the test.
    """

    def __init__(self, call: Callable[[], object], environment: Mapping[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)  # of Python 3.12, if there are threads
            self.pid = os.fork()
        if not self.pid:
            os.environ.update(environment or {})
            exit_after(call, write, self._errors.fileno())
        os.close(write)
        self.stdout = os.fdopen(read, encoding="utf-8")
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, which must not have been waited for."""
        assert self.returncode is None
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)

    def communicate(self) -> tuple[str, str]:
        """Wait for the process; return what it wrote to standard output, from here on, and to standard error."""
        with self.stdout, self._errors:
            output = self.stdout.read()
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._errors.seek(0)
            return output, self._errors.read().decode()


def forked_stage(*arguments: str) -> Forked:
    """Start `python -m seqloom.stages` with these arguments as a forked process."""
    return Forked(lambda: main([*arguments]))


def exit_after(call: Callable[[], object], output: int, errors: int) -> NoReturn:
    """Call a function in the forked process, and exit with the status of an interpreter."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor, file in enumerate((os.open(os.devnull, os.O_RDONLY), output, errors)):
            os.dup2(file, descriptor)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, buffering=1) for number, mode in enumerate("rww"))
        try:
            call()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # `sys.exit` would go on with the tests in this process
