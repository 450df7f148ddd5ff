"""Sources and engines without a model, for tests of slots and models."""

from dataclasses import dataclass, field
from pathlib import Path

from seqloom.languages import Direction
from seqloom.serving.batcher import Bounds
from seqloom.serving.releases import Release
from seqloom.translation.results import Flag, Result

BOUNDS = Bounds(batch_characters=1000, queue_characters=10_000, wait=0.0)


@dataclass
class FakeSource:
    """Serves `label`, or raises `fault`; the folder of a label has its name."""

    name: str = "seqloom-en-de"
    label: str = "seqloom-en-de/1"
    fault: Exception | None = None
    fetched: list[str] = field(default_factory=list)

    def current(self) -> str:
        if self.fault is not None:
            raise self.fault
        return self.label

    def fetch(self, label: str) -> tuple[Release, Path]:
        self.fetched.append(label)
        return Release(label, {"bleu": 30.0}), Path(label)


class FakeEngine:
    """Adds the name of its folder to each text; a folder whose name holds `broken` cannot be loaded."""

    lanes = 1

    def __init__(
        self, folder: Path, background: bool = False, directions: tuple[Direction, ...] = (Direction("en", "de"),)
    ) -> None:
        if "broken" in str(folder):
            raise OSError("a file is missing")
        self.folder, self.background, self.directions = folder, background, directions
        self.seen: list[str] = []
        self.closed = False

    def translate(self, texts, direction, n_best):
        self.seen += texts
        if "crash" in str(self.folder):
            raise RuntimeError("boom")
        if "silent" in str(self.folder):
            return [[Result("")] for _ in texts]
        return [[Result(f"{text} {self.folder}", (Flag.COPIED,))] * n_best for text in texts]

    def close(self):
        self.closed = True
