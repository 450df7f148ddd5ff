"""Find a version in the registry, in a process of its own that ends with the answer.

So MLflow, which takes 115 MB, stays out of the server. The process prints one line of JSON: what was found, or an
error.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.errors import RegistryError, SeqloomError, SilentError
from seqloom.serving.trials import LOW_PRIORITY


class Found(NamedTuple):
    """A version in the registry."""

    number: str
    scores: Mapping[str, float]
    folder: str  # with its model
    uri: str  # of the registry; may contain a password


Begin = Callable[[str, str | None, bool], Callable[[], Found]]
"""Begin to look for a version of a model, by default the champion; what is returned waits for it, and returns it.

The third argument asks for a low priority. Waiting raises `RegistryError` if there is no such version, its files are
gone, or the registry does not answer.
"""


def begin(model: str, number: str | None, background: bool) -> Callable[[], Found]:
    """Look for a version in a process of its own; see `Begin`."""
    line = [sys.executable, "-m", "seqloom.serving.registry_process", model, number or "", "1" if background else ""]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait() -> Found:
        output, log = process.communicate()
        try:
            answer: dict[str, Any] = json.loads(output)
        except ValueError as error:
            last = (log.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
            raise RegistryError(f"the process that reads the registry failed ({process.returncode}): {last}") from error
        if "error" in answer:
            raise (SilentError if answer["silent"] else RegistryError)(answer["error"])
        return Found(**answer)

    return wait


def find(model: str, number: str | None) -> Found:
    """Return a version with its files, which are downloaded from a server, and record that it is served.

    For the errors see `Begin`.
    """
    from seqloom.tracking.client.store import connect
    from seqloom.tracking.registry.needed import note_served
    from seqloom.tracking.registry.versions import Reference, fetch_model, get_version

    store = connect(Path.cwd(), create=False)
    version = get_version(store, Reference(model, None if number else "champion", number or None))
    scores = {"bleu": version.bleu, "chrf": version.chrf, "ter": version.ter, "rougeL": version.rouge_l}
    known = {name: interval.score for name, interval in scores.items() if interval is not None}
    folder = fetch_model(store, Reference(model, number=version.version))
    with suppress(RegistryError):  # a registry that may only be read can be served, too
        note_served(store, model, version.version, socket.gethostname())
    return Found(version.version, known, str(folder), store.uri)


def main() -> None:
    """Print what is found, or why nothing is."""
    model, number, background = sys.argv[1:]
    if background:
        os.nice(LOW_PRIORITY)
    answer: dict[str, Any]
    try:
        answer = find(model, number or None)._asdict()
    except (SeqloomError, OSError) as error:
        answer = {"error": str(error), "silent": isinstance(error, (SilentError, OSError))}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
