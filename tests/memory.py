import gc
import tracemalloc
from collections.abc import Callable


def peak_memory(action: Callable[[], object], tries: int = 3) -> int:
    """The most memory that Python's objects took during `action`, in bytes: the least of several tries, as other
    threads and garbage of earlier tests can only add to it."""
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
