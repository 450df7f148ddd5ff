"""Stands in for `subprocess` in modules that start DVC: its commands are forked from the test.

They have DVC's modules already; a new interpreter imports them for most of the processor time of a small stage.
"""

import gc
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn

from dvc.cli import main
from dvc.logger import setup

from tests.forked import exit_after

DEVNULL = subprocess.DEVNULL
TimeoutExpired = subprocess.TimeoutExpired


def Popen(command: Sequence[str], **options: Any) -> Any:  # noqa: N802
    """Start a command; if it is one of DVC, in a fork of this process."""
    if not _is_dvc(command):
        return subprocess.Popen(command, **options)
    return ForkedDvc([*command[3:]], options["cwd"], options["env"], options["stdout"], options["stderr"])


def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a command; if it is one of DVC, in a fork of this process."""
    if not _is_dvc(command):
        return subprocess.run(command, **options)
    with TemporaryFile() as output, TemporaryFile() as errors:
        process = ForkedDvc([*command[3:]], options["cwd"], options["env"], output, errors)
        process.wait()
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode() if options.get("text") else file.read())
    return subprocess.CompletedProcess(command, process.returncode or 0, *texts)


def _is_dvc(command: Sequence[str]) -> bool:
    return [*command[:3]] == [sys.executable, "-m", "dvc"]


class ForkedDvc:
    """A command of DVC in a session of its own; it has the part of `subprocess.Popen` that run_logged uses."""

    def __init__(
        self, words: list[str], root: Path, environment: Mapping[str, str], output: IO[bytes], errors: IO[bytes]
    ) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            _be_dvc(words, root, environment, (output.fileno(), errors.fileno()))

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


def _be_dvc(words: list[str], root: Path, environment: Mapping[str, str], files: tuple[int, int]) -> NoReturn:
    """Run DVC in the forked process as a new interpreter would, and exit."""

    def run() -> NoReturn:
        gc.disable()
        os.setsid()
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(root)
        sys.argv = ["dvc", *words]
        for name in ("dvc", "dvc_objects", "dvc_data"):  # they log to the standard streams of the test
            logging.getLogger(name).handlers.clear()
        setup()
        sys.exit(main(words))

    exit_after(run, *files)
