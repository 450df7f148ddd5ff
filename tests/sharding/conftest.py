"""Four small shards, of which the third is bad."""

from pathlib import Path

import pytest


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"in{number}.txt" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_text(f"a{number}\nb\n" if number != 2 else "bad\n")
    return paths
