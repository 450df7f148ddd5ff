"""Remove folders so that a kill leaves either the whole folder or nothing under its name."""

import shutil
from pathlib import Path

_PREFIX = ".gc-"


def remove(path: Path) -> None:
    """Remove a file or a folder; a folder is renamed first."""
    if path.is_dir() and not path.is_symlink():
        aside = path if path.name.startswith(_PREFIX) else path.with_name(f"{_PREFIX}{path.name}")
        if aside != path:
            if aside.exists():
                shutil.rmtree(aside)
            path.rename(aside)
        shutil.rmtree(aside)
    else:
        path.unlink(missing_ok=True)


def interrupted(folder: Path) -> list[Path]:
    """Return what an interrupted `remove` left in a folder."""
    return sorted(folder.glob(f"{_PREFIX}*"))
