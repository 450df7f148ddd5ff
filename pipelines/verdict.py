"""What the gate said of the registered version: in full from its report, in short from the registry."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

REPORT = Path("reports", "gate")


class Verdict(NamedTuple):
    """Whether a version took the champion's place, and why."""

    model: str
    version: str
    promoted: bool
    reason: str
    told: str  # Markdown, with the numbers of every rule where they are known

    @property
    def name(self) -> str:
        """What Git and people call the version."""
        return f"{self.model}/{self.version}"

    def __str__(self) -> str:
        what = "is champion" if self.promoted else "is registered and not promoted"
        return f"{self.model} version {self.version} {what}: {self.reason}"


def read_verdict(root: Path, registered: Mapping[str, Any] | None) -> Verdict | None:
    """The verdict on the version; None where nothing is registered.

    A version is judged once, and the report that lies here may be of another one: then the registry's words count.
    """
    if registered is None:
        return None
    model, version = str(registered["name"]), str(registered["version"])
    found = _report(root / REPORT / "verdict.json")
    if found and (found.get("model"), str(found.get("version"))) == (model, version):
        return Verdict(model, version, bool(found["promoted"]), str(found["reason"]), _told(root))
    reason = registered.get("verdict") or "it was judged earlier"
    return Verdict(model, version, "champion" in registered["aliases"], str(reason), f"{reason}\n")


def _report(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _told(root: Path) -> str:
    path = root / REPORT / "verdict.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""
