"""The settings of a clone and of its branches, which may name registered versions and downloads."""

import subprocess
from pathlib import Path

_FILES = ("params.yaml", "presets/*.yaml", "sweeps/*.yaml", "data/local/distilled/*/teacher.json")


def pinned_text(root: Path) -> str:
    """Return the text of all settings: files in the clone, and params.yaml on every local and remote branch."""
    paths = sorted(path for pattern in _FILES for path in root.glob(pattern))
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    names = _git(root, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes").split()
    return "\n".join([*texts, *(_git(root, "show", f"{name}:./params.yaml") for name in names)])


def _git(root: Path, *words: str) -> str:
    """Return the output of git; nothing if it fails, as outside a repository, or is not installed."""
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""
