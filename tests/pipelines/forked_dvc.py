"""Stands in for `subprocess` in pipelines.supervision.logged_command: commands of DVC are forked from the test.

They have DVC's modules already; a new interpreter imports them for most of the processor time of a stage.
"""

import gc
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from dvc.cli import main

DEVNULL = subprocess.DEVNULL


def Popen(command: Sequence[str], **options: Any) -> Any:  # noqa: N802
    """Start a command; if it is one of DVC, in a fork of this process."""
    if [*command[:3]] == [sys.executable, "-m", "dvc"]:
        return ForkedDvc([*command[3:]], options["cwd"], options["env"], options["stdout"])
    return subprocess.Popen(command, **options)


class ForkedDvc:
    """A command of DVC in a session of its own; it has the part of `subprocess.Popen` that run_logged uses."""

    def __init__(self, words: list[str], root: Path, environment: Mapping[str, str], output: IO[bytes]) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            _run(words, root, environment, output)

    def poll(self) -> int | None:
        """Return the exit status if the process has ended."""
        return self._collect(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait for the process and return its exit status."""
        return self._collect(0)

    def _collect(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def _run(words: list[str], root: Path, environment: Mapping[str, str], output: IO[bytes]) -> NoReturn:
    """Run DVC in the forked process as a new interpreter would, and exit."""
    status = 1
    try:
        gc.disable()
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for descriptor, file in enumerate((os.open(os.devnull, os.O_RDONLY), output.fileno(), output.fileno())):
            os.dup2(file, descriptor)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, buffering=1) for number, mode in enumerate("rww"))
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(root)
        sys.argv = ["dvc", *words]
        status = main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # not `sys.exit`, which would go on with the rest of the tests
