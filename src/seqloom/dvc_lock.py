"""Who holds DVC's lock: the file names process numbers, and a number may belong to another program by now."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DVC_LOCK = Path(".dvc/tmp/rwlock")

_MODULE = re.compile(r"-[a-zA-Z]*m(.*)")  # `-m dvc`, `-Im dvc`, `-mdvc`
_WITH_VALUE = {"-W", "-X", "--check-hash-based-pycs"}


def is_held(owner: Mapping[str, Any]) -> bool:
    """Return whether a DVC command runs under the process number in an entry of the lock file."""
    try:
        words = Path(f"/proc/{owner['pid']}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return False
    return is_dvc([os.fsdecode(word) for word in words])


def is_dvc(command: Sequence[str]) -> bool:
    """Return whether a command line runs DVC: `dvc`, `python .../dvc` or `python -m dvc`, with any arguments."""
    if not command:
        return False
    name = Path(command[0]).name
    if name == "dvc" or not name.startswith("python"):
        return name == "dvc"
    words = iter(command[1:])
    for word in words:
        if word.startswith("-c"):
            return False
        if module := _MODULE.fullmatch(word):
            return (module[1] or next(words, "")) == "dvc"
        if not word.startswith("-"):
            return Path(word).name == "dvc"
        if word in _WITH_VALUE:
            next(words, "")
    return False
