"""How a corpus is prepared: the workers, the scratch folder, and the sizes of the pieces."""

from pathlib import Path
from typing import NamedTuple

from seqloom.progress import Listener
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import Launcher

_CHUNKS = 256
_LARGEST_CHUNK = 128 * 10**6  # bytes; a worker holds the keys of its pairs, about 30 MB


class Sizes(NamedTuple):
    """Sizes in bytes of text or in pairs.

    The training split is a folder of shards of `shard` bytes each if it has more than `above` bytes. These two are
    settings, and decide the files that are written; the others decide only how much a worker does and holds at once.
    """

    above: int = 10**9
    shard: int = 256 * 10**6
    chunk: int = 8 * 10**6  # bytes of raw text that are cleaned at once
    bucket: int = 500_000  # pairs whose keys are compared at once; each takes about 100 bytes of memory


class Means(NamedTuple):
    """The launcher of workers, the folder of intermediate results, and the listener for progress."""

    launcher: Launcher
    scratch: Path
    listen: Listener
    sizes: Sizes = Sizes()

    def launcher_for(self, inputs: int) -> Launcher:
        """Return the launcher for this many inputs. A single one is worked on here, which saves starting a process."""
        return self.launcher if inputs > 1 else LocalLauncher(1)


def chunk_size(folder: Path) -> int:
    """Return how large chunks of the corpora in a folder should be, so that there are some hundreds or fewer."""
    raw = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return min(max(raw // _CHUNKS, Sizes().chunk), _LARGEST_CHUNK)
