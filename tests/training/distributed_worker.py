"""One of several processes that train a small model together, started by `torchrun` in test_processes.py.

    python -m tests.training.distributed_worker FOLDER CHANGES [WHAT]

FOLDER has the token store `tokens`; CHANGES are settings as JSON. The first process writes the final weights to
FOLDER/weights.safetensors. If WHAT is `die`, the second process kills itself during training; if it is `stop`, it
requests a stop.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from seqloom.batching.store import TokenStore
from seqloom.models.catalogue import weights
from seqloom.training.engine import InterruptError
from seqloom.training.processes import joined
from seqloom.training.sharding import wholes
from tests.records import train_settings
from tests.training.test_engine import Run


def main(folder: Path, changes: str, what: str = "") -> None:
    torch.set_num_threads(1)
    settings = train_settings(**json.loads(changes))
    with joined(torch.device("cpu"), sharded=settings.sharded) as processes:
        run = Run(TokenStore.open(folder / "tokens"), settings, folder)
        engine = run.engine("together", dropout=0.0, processes=processes)

        def should_stop() -> bool:
            if what == "die" and processes.rank == 1 and engine.state.step == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return what == "stop" and processes.rank == 1 and engine.state.step == 5

        engine.should_stop = should_stop
        try:
            result = engine.run()
        except InterruptError:
            sys.stdout.write(f"rank {processes.rank} stopped at {engine.state.step}\n")
            return
        every = wholes(weights(engine.model))
        if processes.first:
            save_file(every, folder / "weights.safetensors")
            (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
