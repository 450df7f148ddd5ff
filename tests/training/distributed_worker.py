"""One of several processes that train a small model together, started by test_processes.py."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from seqloom.batching.store import TokenStore
from seqloom.models.catalogue import weights
from seqloom.training.engine import InterruptError
from seqloom.training.processes import joined
from seqloom.training.sharding import wholes
from tests.records import train_settings
from tests.training.runs import Run


def run_rank(
    rank: int, size: int, port: int, folder: Path, settings: dict[str, Any], what: str = "", dropout: float = 0.0
) -> None:
    """Train as the process `rank` of `size` on the token store `folder`/tokens.

    The first process writes the final weights to `folder`/weights.safetensors. If `what` is "die", the second process
    kills itself during training; if it is "stop", it asks to stop, and each writes the step to `folder`/stopped-RANK.
    """
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip
    torch.set_num_threads(1)
    train = train_settings(**settings)
    with joined(torch.device("cpu"), sharded=train.sharded, shares=int(train.processes)) as processes:
        run = Run(TokenStore.open(folder / "tokens"), train, folder)
        engine = run.engine("together", dropout=dropout, processes=processes)

        def should_stop() -> bool:
            if what == "die" and rank == 1 and engine.state.step == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return what == "stop" and rank == 1 and engine.state.step == 5

        engine.should_stop = should_stop
        try:
            result = engine.run()
        except InterruptError:
            (folder / f"stopped-{rank}").write_text(str(engine.state.step))
            return
        every = wholes(weights(engine.model))
        if processes.first:
            save_file(every, folder / "weights.safetensors")
            (folder / "result.json").write_text(json.dumps(result))
