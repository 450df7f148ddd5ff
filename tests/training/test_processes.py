"""Several processes train the same model as one process.

tests/stages/test_train_model_process.py starts them with torch's launcher, as on a machine with several GPUs.
"""

import json
import multiprocessing
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqloom.batching.store import TokenStore
from seqloom.errors import TrainingError
from seqloom.models.catalogue import weights
from seqloom.training.engine import InterruptError
from seqloom.training.processes import Processes, joined
from tests import records
from tests.training.distributed_worker import run_rank
from tests.training.runs import Run

pytestmark = pytest.mark.slow

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.training.distributed_worker"])

SETTINGS: dict[str, Any] = {
    "seed": 1, "device": "cpu", "precision": "fp32", "optimizer": "adamw", "lr": 3e-3, "schedule": "inverse_sqrt",
    "warmup_steps": 5, "weight_decay": 0.01, "max_steps": 12, "report_every": 3, "validate_every": 6, "patience": None,
    "average": 2, "checkpoint_every": 4, "keep_checkpoints": 2, "label_smoothing": 0.1,
}  # fmt: skip


def train_distributed(
    folder: Path, size: int, what: str = "", dropout: float = 0.0, **changes: Any
) -> list[int | None]:
    """Train in several processes, which copy one that has torch imported; return their exit codes by rank."""
    settings = SETTINGS | {"processes": size} | changes
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = [
        CONTEXT.Process(target=run_rank, args=(rank, size, port, folder, settings, what, dropout), daemon=True)
        for rank in range(size)
    ]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(120)
    return [each.exitcode for each in ranks]


@pytest.mark.parametrize("sharded", [False, True])
def test_a_run_goes_on_with_another_number_of_processes(store: TokenStore, tmp_path: Path, sharded: bool) -> None:
    # Three shares over two processes: one has a second share in the second turn, the other an empty one. Dropout and
    # word dropout are drawn per share, so they are the same, too.
    changes: dict[str, Any] = {"optimizer": "sgd", "lr": 0.2, "tokens_per_batch": 32, "processes": 3}
    changes |= {"accumulate": 2, "word_dropout": 0.1}
    run = Run(store, records.train_settings(**SETTINGS | changes), tmp_path)
    one = Processes(shares=3)
    expected, undisturbed = run.train("one", processes=one, dropout=0.3)
    assert run.warnings() == [
        "1 process trains from here on, while train.processes is 3; the batches stay the same, so the result is equal "
        "up to rounding, not to the byte"
    ]

    assert train_distributed(tmp_path, 2, "stop", dropout=0.3, **changes, sharded=sharded) == [0, 0]
    with pytest.raises(InterruptError):
        run.train("together", processes=one, dropout=0.3, stop_at=8)
    assert run.warnings()[1].startswith("1 process trains from here on, while 2 trained until here; the batches stay")
    assert train_distributed(tmp_path, 2, dropout=0.3, **changes, sharded=sharded) == [0, 0]

    for name, tensor in load_file(tmp_path / "weights.safetensors").items():
        torch.testing.assert_close(tensor, undisturbed[name], atol=1e-5, rtol=0)
    *_, history, processes = json.loads((tmp_path / "result.json").read_text())
    assert processes == [[0, 2], [5, 1], [8, 2]]
    assert [row[:2] for row in history] == [list(row[:2]) for row in expected.history]
    losses = [row[2] for row in history if row[2] is not None]
    assert losses == pytest.approx([row.loss for row in expected.history if row.loss is not None], rel=1e-5)


def test_more_processes_than_shares_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    message = "processes is 2, but 4 processes were started; set it to 4 or more, or to"
    with pytest.raises(TrainingError, match=message), joined(torch.device("cpu"), shares=2):
        pass


def alone(store: TokenStore, folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    engine = Run(store, records.train_settings(**SETTINGS | changes), folder).engine("alone", dropout=0.0)
    engine.run()
    return weights(engine.model)


@pytest.mark.parametrize(
    ("processes", "changes"),
    [(2, {"accumulate": 2}), (4, {"ema_decay": 0.9}), (2, {"sharded": True, "accumulate": 2, "ema_decay": 0.9})],
    ids=["2", "4", "2, sharded"],
)
def test_several_processes_train_the_same_model_as_one_with_a_larger_batch(
    store: TokenStore, tmp_path: Path, processes: int, changes: dict[str, Any]
) -> None:
    # Not Adam: it turns rounding errors of zero gradients, such as those of key biases, into full steps.
    changes |= {"optimizer": "sgd", "lr": 0.2}
    assert train_distributed(tmp_path, processes, tokens_per_batch=32, **changes) == [0] * processes
    expected = alone(store, tmp_path, tokens_per_batch=32 * processes, **changes | {"sharded": False, "processes": 1})
    untrained = weights(Run(store, records.train_settings(**SETTINGS), tmp_path).engine("untrained").model)
    assert max(float((tensor - untrained[name]).abs().max()) for name, tensor in expected.items()) > 0.05
    for name, tensor in load_file(tmp_path / "weights.safetensors").items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=0)


def test_a_dead_process_ends_the_others_and_a_rerun_ends_the_same(store: TokenStore, tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "a", tmp_path / "b"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
        (folder / "tokens").symlink_to(tmp_path / "tokens")
    assert train_distributed(undisturbed, 2, tokens_per_batch=32, sharded=True) == [0, 0]
    first, second = train_distributed(disturbed, 2, "die", tokens_per_batch=32, sharded=True)
    assert first == 1, "an error, not a process that waits for the other"
    assert second == -signal.SIGKILL
    assert sorted(path.name for path in (disturbed / "together").glob("step-*")) == ["step-00000004"]
    assert train_distributed(disturbed, 2, "stop", tokens_per_batch=32, sharded=True) == [0, 0]
    assert [(disturbed / f"stopped-{rank}").read_text() for rank in (0, 1)] == ["5", "5"]
    assert train_distributed(disturbed, 2, tokens_per_batch=32, sharded=True) == [0, 0]
    for name in ("weights.safetensors", "result.json"):
        assert (undisturbed / name).read_bytes() == (disturbed / name).read_bytes()
