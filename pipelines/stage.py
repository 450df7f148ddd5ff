"""The one task: run one stage through DVC, stream its log, raise if it fails. It knows no stage by name."""

import os
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.concurrency.sync import concurrency
from prefect.logging import get_run_logger

from pipelines.dag import Outcome, Stage
from pipelines.environment import environment
from pipelines.supervision.clone_lock import BusyError
from pipelines.supervision.logged_command import run_logged
from pipelines.supervision.mlflow_sync import followed

GPU = "gpu"  # the concurrency limit of Prefect that stages with `gpu: true` in their meta wait for
RETRY_DELAY = 5.0  # seconds before another try of a stage that asks for one
LOCK_DELAY, LOCK_TRIES = 5.0, 60  # DVC itself waits 3 seconds for another command to let go; a few minutes are patient
_LOCKED = re.compile(r"Unable to acquire lock|is busy, it is being blocked by")
# What DVC says after every command; the flow says once, at its end, what to do with the results.
_HINTS = re.compile(
    r"|To track the changes with git, run:|\tgit add .*|To enable auto staging, run:|\tdvc config core\.autostage true"
    r"|Use `dvc push` .*|(Updat|Generat)ing lock file .*|Running stage .*"
    # Its words where another command is at work: removing rwlock, as they advise, would let two of them write at once.
    r"|ERROR: .*(Unable to acquire lock|is busy, it is being blocked by:).*|  \(PID \d+\): .*"
    r"|If there are no processes with such PIDs, .*"
)
_BLOCKING = re.compile(r"^  \(PID (\d+)\): ", re.MULTILINE)
_EXITED = re.compile(r"exited with (\d+)")


class StageError(Exception):
    """A stage ended badly; the message is its own last word."""

    def __init__(self, stage: str, reason: str, status: int) -> None:
        super().__init__(stage, reason, status)
        self.stage, self.reason, self.status = stage, reason, status

    def __str__(self) -> str:
        return f"{self.stage}: {self.reason}"


def run_stage(stage: Stage, root: Path, *, changed: bool = True) -> Outcome:
    """Run a stage as a task run of its own; one that has not `changed` is only noted.

    Raises:
        StageError: It failed.
        BusyError: Another DVC command was at work in the clone for too long.
    """
    bound = None if stage.timeout_minutes is None else stage.timeout_minutes * 60
    named = _reproduce.with_options(
        name=stage.name,
        task_run_name=stage.name,
        retries=stage.retries,
        retry_delay_seconds=RETRY_DELAY,
        timeout_seconds=bound,
    )
    try:
        with ExitStack() as around:
            if stage.gpu and changed:
                # What waits for the GPU does not use up its time; where nobody has set that limit, there is none.
                around.enter_context(concurrency(GPU, strict=False))
            if stage.journal and changed:
                around.enter_context(followed(root, environment(root)))
            # Called and not submitted: a submitted task can be neither timed out nor cancelled.
            return named(stage.name, root, changed)
    except TimeoutError as error:
        reason = f"took longer than {stage.timeout_minutes:g} minutes and was stopped; its meta in dvc.yaml says so"
        raise StageError(stage.name, reason, 124) from error


def _may_pass(task: Any, run: Any, state: State[Any]) -> bool:
    """Whether the failure says of itself that another try may help."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, StageError) and failure.status == os.EX_TEMPFAIL


@task(cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=_may_pass)
def _reproduce(name: str, root: Path, changed: bool) -> Outcome:
    logger = get_run_logger()
    if not changed:
        logger.info("already up to date")
        print(f"{name}: already up to date", flush=True)
        return Outcome(name, "up to date", 0.0)
    print(f"\n── {name} ──", flush=True)
    began = time.monotonic()
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        logger.info(line)

    log = root / "scratch" / "logs" / f"{name}.log"
    for tried in range(LOCK_TRIES):
        lines.clear()
        status = run_logged(
            [sys.executable, "-m", "dvc", "repro", "--single-item", name],
            log=log,
            root=root,
            environment=environment(root),
            tell=tell,
            hidden=_HINTS,
        )
        if status == 0:
            return Outcome(name, _what(lines), time.monotonic() - began)
        said = log.read_text(encoding="utf-8", errors="replace")
        if not _LOCKED.search(said):
            raise StageError(name, _reason(lines), _status(lines, status))
        numbers = ", ".join(sorted(set(_BLOCKING.findall(said))))
        blocking = f"another DVC command{f' (process {numbers})' if numbers else ''}"
        patience = f"{LOCK_DELAY * LOCK_TRIES / 60:g} minutes"
        if tried == 0:
            logger.info("%s is at work in this folder; waiting for it, up to %s", blocking, patience)
            print(f"{name}: {blocking} is at work in this folder; waiting for it, up to {patience}", flush=True)
        time.sleep(LOCK_DELAY)
    raise BusyError(
        f"{name}: {blocking} was still at work here after {patience}; wait for it or stop it, and run again"
    )


def _what(lines: list[str]) -> str:
    if any("is cached - skipping run" in line for line in lines):
        return "restored"
    return "up to date" if any("didn't change, skipping" in line for line in lines) else "run"


def _reason(lines: list[str]) -> str:
    """The stage's own words where it has some, else the last line of its traceback, else what DVC says."""
    said = [line for line in lines if not line.startswith("ERROR: ")]
    if own := [line.removeprefix("error: ") for line in said if line.startswith("error: ")]:
        return "; ".join(own)
    if any(line.startswith("Traceback ") for line in said):
        return said[-1]
    last = max((at for at, line in enumerate(lines) if line.startswith("ERROR: ")), default=len(lines) - 1)
    return " ".join(map(str.strip, lines[last:])).removeprefix("ERROR: ") or "ended without a word"


def _status(lines: list[str], status: int) -> int:
    """The exit status of the stage, of which DVC only writes; its own says no more than that there was one."""
    found = [match for line in lines if (match := _EXITED.search(line))]
    return int(found[-1][1]) if found else status
