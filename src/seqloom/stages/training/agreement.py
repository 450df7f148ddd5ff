"""Check before the first update that all processes of a run train on the same inputs, whichever machine they run on.

Processes of one machine share its files, so one of them reads and hashes everything; the others read only what they
need.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from json import dumps, loads
from typing import NoReturn

from seqloom import exits
from seqloom.errors import SeqloomError, TrainingError
from seqloom.params import Params
from seqloom.stages.training.identity import MOST_NAMED, Identity, compare, identify
from seqloom.stages.training.inputs import Inputs, load_inputs
from seqloom.stages.training.launch import local_processes
from seqloom.training.device import Placement
from seqloom.training.processes import Processes

NEEDED = "params.yaml, data/tokens, data/corpus/valid.tsv, models/tokenizer, models/pretrained, the code and libraries"


def load_alike(params: Params, placement: Placement, processes: Processes) -> tuple[Inputs, Identity]:
    """Load the inputs of this process, and return them with the identity of the run.

    Raises:
        SeqloomError: this is the only process, and an input is missing or wrong.
        TrainingError: an input is missing or wrong in one of several processes, or differs from that of the first one.
            Only the first one raises it; the others exit, so that the message is shown once.
    """
    leads = local_processes().rank == 0
    try:
        inputs, fault = load_inputs(params, check=leads), ""
        identity = identify(params, placement) if leads else {}
    except SeqloomError as error:
        if processes.size == 1:
            raise
        fault = f"{processes}: {error}"
    _agree(processes, fault)
    first = loads(processes.texts(dumps(identity))[0])
    if faults := _differences(first, identity) if leads else []:
        fault = f"{processes}: {'; '.join(faults)}"
    _agree(processes, fault, f"; the machines of a run need the same {NEEDED}")
    return inputs, identity if processes.size == 1 else first


def _agree(processes: Processes, fault: str, remedy: str = "") -> None:
    """End all processes if one of them has a fault."""
    if faults := [each for each in processes.texts(fault) if each]:
        _end(processes, faults, remedy)


def _end(processes: Processes, faults: Sequence[str], remedy: str) -> NoReturn:
    if processes.first:
        more = f"; and {len(faults) - MOST_NAMED} more processes" if len(faults) > MOST_NAMED else ""
        raise TrainingError("\n".join(faults[:MOST_NAMED]) + more + remedy)
    with suppress(RuntimeError):  # the first one has ended
        processes.wait()  # a launcher that sees this process end may end the first one before it has written why
    sys.exit(exits.FAILED)


def _differences(first: Identity, own: Identity) -> list[str]:
    values, files = compare(first, own)
    found = [f"{name} is {mine} there, and {theirs} in rank 0" for name, theirs, mine in values[:MOST_NAMED]]
    found += [f"{name} is not the same as in rank 0" for name in files[:MOST_NAMED]]
    left = len(values[MOST_NAMED:]) + len(files[MOST_NAMED:])
    return [*found, *([f"{left} more differences"] if left else [])]
