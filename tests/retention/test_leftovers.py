import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqloom.progress import ignore
from seqloom.retention import leftovers, removing
from seqloom.retention.policy import DAY, Policy
from seqloom.sharding.local import LocalLauncher
from seqloom.sharding.mapping import map_shards
from seqloom.sharding.step import Function, Input

POLICY, ALL = Policy(days=10), Policy(days=0)
PIN = "7ca5fbde9dea879ac7723949fc84347aac5182e6309c357b2e4973fd391b00f7"


@dataclass(frozen=True)
class Count:
    """A step that writes nothing."""

    name = "count"

    def identity(self) -> dict[str, str]:
        return {}

    def start(self) -> Function:
        return lambda shard, folder: 0


def put(path: Path, days: float, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - days * DAY
    for each in (path, *list(path.parents)[:3]):
        os.utime(each, (then, then))
    return path


def test_downloads_that_a_pin_names_and_young_ones_are_kept(tmp_path: Path) -> None:
    pinned = put(tmp_path / "downloads" / PIN[:16] / "a.whl", 400)
    revision = put(tmp_path / "downloads" / "huggingface" / "snapshots" / ("b" * 40) / "w", 400)
    put(tmp_path / "downloads" / ("c" * 16) / "old.whl", 400, size=70)
    put(tmp_path / "downloads" / "git-0123456789abcdef" / "pack", 2)
    address = "https://example.org/pairs.git"
    repository = put(tmp_path / "downloads" / f"git-{hashlib.sha256(address.encode()).hexdigest()[:16]}" / "pack", 400)
    for folder in (pinned.parent, revision.parents[2], repository.parent):
        os.utime(folder, (0, 0))
    params = f"sha256: {PIN}\nrevision: {'b' * 40}\nrepository: {address}\n"
    found = leftovers.find_downloads(tmp_path, POLICY, params)
    assert [(each.name, each.bytes) for each in found.removals] == [("c" * 16, 70)]
    found.removals[0].remove()
    assert pinned.exists()
    assert revision.exists()
    assert repository.exists()
    assert leftovers.find_downloads(tmp_path, POLICY, params).removals == []


def test_results_of_shards_are_found_wherever_a_stage_puts_them(tmp_path: Path) -> None:
    shard = tmp_path / "pairs.txt"
    shard.touch()
    map_shards(Count(), [Input(shard, "a")], tmp_path / "clean" / "pairs", LocalLauncher(1), ignore)
    assert leftovers.find_shards(tmp_path, POLICY).removals == []
    (only,) = leftovers.find_shards(tmp_path, ALL).removals
    assert only.name == "clean/pairs"
    only.remove()
    assert not (tmp_path / "clean" / "pairs").exists()


def test_reproduced_models_go_by_age(tmp_path: Path) -> None:
    put(tmp_path / "reproduced" / "run1" / "models" / "w", 40)
    put(tmp_path / "reproduced" / "run2" / "models" / "w", 1)
    os.utime(tmp_path / "reproduced" / "run1", (0, 0))
    assert [each.name for each in leftovers.find_reproduced(tmp_path, POLICY).removals] == ["run1"]


def test_a_kill_while_a_folder_is_removed_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "downloads" / ("c" * 16) / "old.whl", 40)

    def killed(path: Path, **_: object) -> Iterator[None]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removing.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            removing.remove(tmp_path / "downloads" / ("c" * 16))
    assert not (tmp_path / "downloads" / ("c" * 16)).exists()
    (rest,) = leftovers.find_interrupted(tmp_path, [".", "downloads"]).removals
    rest.remove()
    assert list((tmp_path / "downloads").iterdir()) == []
