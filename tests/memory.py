import gc
import tracemalloc
from collections.abc import Callable


def peak_memory(action: Callable[[], object], tries: int = 3) -> int:
    """Return the peak memory of Python objects during `action`, in bytes.

    It is the minimum over several tries, because other threads can only add to it. What exists before is exempt from
    garbage collection: the more objects a process has, the longer Python keeps the garbage of `action`. Collections are
    as frequent as in a new interpreter.
    """
    peaks, usual = [], gc.get_threshold()
    for _ in range(tries):
        gc.collect()
        gc.freeze()
        gc.collect()  # counts anew how many objects there are
        gc.set_threshold(700, 10, 10)
        tracemalloc.start()
        try:
            action()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
            gc.set_threshold(*usual)
    return min(peaks)
