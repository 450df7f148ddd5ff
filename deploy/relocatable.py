"""Make a virtual environment movable: replace the absolute paths that pip wrote into it by relative ones.

pip writes the absolute path of the interpreter into every console script, and the path of `src` into a .pth file. In a
copy of the clone they would run the original's code; after a move they would fail. `make` runs this file after each
installation. A second run changes nothing.

    .venv/bin/python deploy/relocatable.py .venv
"""

import os
import re
import sys
from pathlib import Path

# sh reads the first three lines and hands the file to the `python` beside it; Python reads the second and third line as
# a string. pip itself writes such a head, with an absolute path, where the path has a space or is long.
HEAD = b"""#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
"""
_SHORT = re.compile(rb"#!/[^\n]*/bin/python[0-9.]*\n")
_LONG = re.compile(rb"#!/bin/sh\n'''exec' \"?/[^\n]*/bin/python[0-9.]*\"? \"\$0\" \"\$@\"\n' '''\n")
_BEFORE = b'\n_OLD_VIRTUAL_PATH="$PATH"\n'  # the line of `activate` that is the first to use VIRTUAL_ENV
_ACTIVATE = b'if [ -n "${BASH_SOURCE:-${ZSH_VERSION:-}}" ]; then ' + (
    b'VIRTUAL_ENV="$(cd -- "$(dirname -- "${BASH_SOURCE:-$0}")/.." && pwd)"; fi\n'
)


def make_movable(venv: Path) -> None:
    """Rewrite the scripts, the editable install and `activate` of `venv`, which lies in the clone's folder."""
    for script in sorted((venv / "bin").iterdir()):
        if script.is_file() and not script.is_symlink():
            content = script.read_bytes()
            head = _SHORT.match(content) or _LONG.match(content)
            if head is not None:
                _write(script, HEAD + content[head.end() :])
    for site in venv.glob("lib/python*/site-packages"):
        source = os.path.relpath(venv.parent / "src", site).encode()
        for path in site.glob("*seqloom*.pth"):
            _write(path, source + b"\n")
    activate = venv / "bin" / "activate"  # of bash and zsh; other shells have no simple name for the file they read
    content = activate.read_bytes()
    if _ACTIVATE not in content:
        _write(activate, content.replace(_BEFORE, b"\n" + _ACTIVATE + _BEFORE[1:], 1))


def _write(path: Path, content: bytes) -> None:
    """Replace the content of a file, which keeps its mode."""
    if path.read_bytes() != content:
        beside = path.with_name(f"{path.name}.part")
        beside.write_bytes(content)
        beside.chmod(path.stat().st_mode)
        beside.replace(path)


if __name__ == "__main__":
    make_movable(Path(sys.argv[1]).absolute())
