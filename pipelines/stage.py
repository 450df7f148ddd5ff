"""The task that runs a stage through DVC, streams its log, and raises if it fails; no stage has special code."""

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

from pipelines.dag import Stage, StageResult
from pipelines.environment import environment
from pipelines.errors import BusyError, StageError, is_transient
from pipelines.supervision.logged_command import run_logged
from pipelines.supervision.mlflow_sync import syncing
from seqloom.exits import TIMED_OUT
from seqloom.places import LOGS

GPU = "gpu"  # the concurrency limit of Prefect for stages with `gpu: true` in their meta
RETRY_DELAY = 5.0  # seconds before a stage with retries is tried again
LOCK_DELAY, LOCK_TRIES = 5.0, 60  # DVC itself waits 3 seconds for another command; a flow waits some minutes
_LOCKED = re.compile(r"Unable to acquire lock|is busy, it is being blocked by")
# DVC writes these after every command; the flow says once, at its end, what to do with the results.
_HINTS = re.compile(
    r"|To track the changes with git, run:|\tgit add .*|To enable auto staging, run:|\tdvc config core\.autostage true"
    r"|Use `dvc push` .*|(Updat|Generat)ing lock file .*|Running stage .*"
    # If another command is running, DVC advises to remove rwlock, which would let two of them write at once.
    r"|ERROR: .*(Unable to acquire lock|is busy, it is being blocked by:).*|  \(PID \d+\): .*"
    r"|If there are no processes with such PIDs, .*"
)
_BLOCKING = re.compile(r"^  \(PID (\d+)\): ", re.MULTILINE)
_EXITED = re.compile(r"exited with (\d+)")


def run_stage(stage: Stage, root: Path, *, changed: bool = True) -> StageResult:
    """Run a stage as a task run; a stage that has not `changed` is only recorded.

    Raises:
        StageError: the stage failed or took too long.
        BusyError: another DVC command was running in the clone for too long.
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
                # Waiting for the GPU does not count towards the timeout. If nobody has set the limit, there is none.
                around.enter_context(concurrency(GPU, strict=False))
            if stage.journal and changed:
                around.enter_context(syncing(root, environment(root)))
            # Call the task instead of submitting it: a submitted task can be neither timed out nor cancelled.
            return named(stage.name, root, changed)
    except TimeoutError as error:
        reason = f"took longer than {stage.timeout_minutes:g} minutes (its timeout_minutes in dvc.yaml) and was stopped"
        raise StageError(stage.name, reason, TIMED_OUT) from error


def _is_transient(task: Any, run: Any, state: State[Any]) -> bool:
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, StageError) and is_transient(failure)


@task(cache_policy=NO_CACHE, persist_result=False, retry_condition_fn=_is_transient)
def _reproduce(name: str, root: Path, changed: bool) -> StageResult:
    logger = get_run_logger()
    if not changed:
        logger.info("already up to date")
        print(f"{name}: already up to date", flush=True)
        return StageResult(name, "up to date", 0.0)
    print(f"\n── {name} ──", flush=True)
    began = time.monotonic()
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        logger.info(line)

    log = root / LOGS / f"{name}.log"
    for attempt in range(LOCK_TRIES):
        lines.clear()
        status = run_logged(
            [sys.executable, "-m", "dvc", "repro", "--single-item", name],
            log=log,
            root=root,
            environment=environment(root),
            on_line=on_line,
            hidden=_HINTS,
        )
        if status == 0:
            return StageResult(name, _what(lines), time.monotonic() - began)
        output = log.read_text(encoding="utf-8", errors="replace")
        if not _LOCKED.search(output):
            raise StageError(name, _reason(lines), _status(lines, status))
        numbers = ", ".join(sorted(set(_BLOCKING.findall(output))))
        blocking = f"another DVC command{f' (process {numbers})' if numbers else ''}"
        patience = f"{LOCK_DELAY * LOCK_TRIES / 60:g} minutes"
        if attempt == 0:
            logger.info("%s is running in this folder; waiting for it, up to %s", blocking, patience)
            print(f"{name}: {blocking} is running in this folder; waiting for it, up to {patience}", flush=True)
        time.sleep(LOCK_DELAY)
    raise BusyError(
        f"{name}: {blocking} was still running here after {patience}; wait for it or stop it, and run again"
    )


def _what(lines: list[str]) -> str:
    if any("is cached - skipping run" in line for line in lines):
        return "restored"
    return "up to date" if any("didn't change, skipping" in line for line in lines) else "run"


def _reason(lines: list[str]) -> str:
    """Return the stage's own error lines, else the last line of its traceback, else DVC's error."""
    own = [line for line in lines if not line.startswith("ERROR: ")]
    if errors := [line.removeprefix("error: ") for line in own if line.startswith("error: ")]:
        return "; ".join(errors)
    if any(line.startswith("Traceback ") for line in own):
        return own[-1]
    last = max((at for at, line in enumerate(lines) if line.startswith("ERROR: ")), default=len(lines) - 1)
    return " ".join(map(str.strip, lines[last:])).removeprefix("ERROR: ") or "ended without a message"


def _status(lines: list[str], status: int) -> int:
    """Return the exit status of the stage, which DVC only prints: its own is the same for every failure."""
    found = [match for line in lines if (match := _EXITED.search(line))]
    return int(found[-1][1]) if found else status
