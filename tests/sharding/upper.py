"""A step for tests, whose shards cause trouble if they contain the line "bad"."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from seqloom.errors import SeqloomError
from seqloom.sharding.step import Function


@dataclass(frozen=True)
class Upper:
    """Writes the shard in upper case; `trouble` names what happens to a shard that contains "bad"."""

    suffix: str = ""
    trouble: str = ""
    log: str = ""

    name = "write in upper case"

    def identity(self) -> dict[str, str]:
        return {"suffix": self.suffix}

    def start(self) -> Function:
        if self.trouble == "no start":
            raise SeqloomError("there is no model")
        return self._write

    def _write(self, shard: Path, folder: Path) -> int:
        lines = shard.read_text().splitlines()
        if self.log:
            with Path(self.log).open("a") as log:
                log.write(f"{shard.name} {os.getpid()}\n")
        if "bad" in lines:
            self._cause(shard)
        (folder / "out.txt").write_text("".join(f"{line.upper()}{self.suffix}\n" for line in lines))
        return len(lines)

    def _cause(self, shard: Path) -> None:
        match self.trouble:
            case "wrong":
                raise SeqloomError(f"{shard}: line 1: is bad")
            case "always":
                raise ValueError("oops")
            case "once" if self._first():
                raise OSError("the disk hiccupped")
            case "dies once" if self._first():
                os.kill(os.getpid(), signal.SIGKILL)
            case "waits":
                signal.pause()
            case "waits once" if self._first():
                signal.pause()

    def _first(self) -> bool:
        marker = Path(f"{self.log}.marker")
        found = marker.exists()
        marker.touch()
        return not found
