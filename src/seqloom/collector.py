"""Keeps the garbage collector away from imported modules, which stay until the process ends.

Scanning them again and again, also at exit, takes a third of the time of a short command.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Disable collection while the block imports modules, then exempt everything that exists from later collections.

    Collection is enabled afterwards only if it was enabled before.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        exempt_modules()
    finally:
        if enabled:
            gc.enable()


def exempt_modules() -> None:
    """Exempt every object that exists now, such as the modules that are loaded, from later collections."""
    gc.freeze()
