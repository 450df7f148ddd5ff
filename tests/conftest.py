"""The environment of all tests: network access only to this machine, no telemetry, no files in the home folder."""

import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.examples import choose
from tests.no_network.sitecustomize import NO_NETWORK  # which refuses connections that leave this machine
from tests.templates import VARIABLE as TEMPLATES
from tests.templates import end_servers

ROOT = Path(__file__).resolve().parents[1]

MEMORY, ROOM = Path("/dev/shm"), 4 << 30
if (
    "TMPDIR" not in os.environ
    and MEMORY.is_dir()
    and shutil.disk_usage(MEMORY).free > ROOM
    and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # some tests start programs from a temporary folder
):
    # The tests write, sync and delete many small files, for which a disk takes up to a quarter of their time.
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None

TEMPORARY = [tempfile.mkdtemp(prefix="seqloom-prefect-")]
if TEMPLATES not in os.environ:  # else this is a worker process, and they are shared
    os.environ[TEMPLATES] = tempfile.mkdtemp(prefix="seqloom-templates-")
    TEMPORARY.append(os.environ[TEMPLATES])

gc.disable()  # until the test modules are imported: importing makes many objects and no garbage

# Prefect and others read these when they are imported, so set them before any test module is imported.
os.environ.update(
    DO_NOT_TRACK="true",
    DVC_NO_ANALYTICS="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    RAY_USAGE_STATS_ENABLED="0",
    PREFECT_HOME=TEMPORARY[0],
    PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL",
    # Processes that tests start import this working tree, and cannot reach other machines either.
    PYTHONPATH=os.pathsep.join([NO_NETWORK, str(ROOT / "src"), str(ROOT)]),
)
os.environ.setdefault("OMP_NUM_THREADS", "1")

choose()  # how many examples property tests try

# Background jobs of a shell ignore SIGINT and pass that on, but some tests interrupt the processes they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """End the servers and remove the temporary folders."""
    if os.environ[TEMPLATES] in TEMPORARY:
        end_servers()
    for folder in TEMPORARY:
        shutil.rmtree(folder, ignore_errors=True)


# Those with a Prefect server are not side by side: two of them would wait for the same server to start.
LONGEST = [
    "repository/test_walkthrough.py", "repository/test_month.py", "services/test_backends.py",
    "pipelines/test_retrain.py", "learning/test_learning.py", "training/test_processes.py",
    "stages/test_register_model.py", "stages/test_train_model.py", "models/test_contract.py", "pipelines/test_sweep.py",
    "stages/test_judging.py", "training/test_resuming.py", "pipelines/test_train.py",
    "tracking/registry/test_leaderboard.py", "stages/test_register_model_kills.py", "training/test_engine.py",
    "training/test_repeats.py", "decoding/test_placeholder_guarantee.py", "corpus/test_prepare.py",
    "gate/test_rules.py",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, then those with slow tests, so that no worker ends with a long file."""
    order = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (order.get(item.path, len(order)), item.path not in slow))


def pytest_collection_finish() -> None:
    """Exempt the imported modules from garbage collection; they stay until the process ends.

    Later collections are rare: at Python's threshold of 700 objects they would take a twelfth of the tests' time.
    """
    gc.enable()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT
