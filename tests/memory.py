import gc
import tracemalloc
from collections.abc import Callable


def peak_memory(action: Callable[[], object], tries: int = 3) -> int:
    """Return the peak memory of Python objects during `action`, in bytes.

    It is the minimum over several tries, because other threads and earlier tests' garbage can only add to it.
    """
    peaks = []
    for _ in range(tries):
        gc.collect()
        tracemalloc.start()
        try:
            action()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)
