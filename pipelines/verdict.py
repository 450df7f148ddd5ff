"""The gate's verdict on the registered version, read from the gate's report, or else from the registry."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from seqloom.json_output import VersionRecord
from seqloom.places import GATE


class Verdict(NamedTuple):
    """Whether a version took the champion's place, and why."""

    model: str
    version: str
    promoted: bool
    reason: str
    report: str  # Markdown, with the numbers of every rule if the report is of this version

    @property
    def name(self) -> str:
        """Return the version's name, as in Git tags."""
        return f"{self.model}/{self.version}"

    def __str__(self) -> str:
        what = "is champion" if self.promoted else "is registered and not promoted"
        return f"{self.model} version {self.version} {what}: {self.reason}"


def read_verdict(root: Path, registered: VersionRecord | None) -> Verdict | None:
    """Return the verdict on the version; None if nothing is registered.

    A version is judged once. If the report in reports/gate is of another version, the registry's verdict is returned.
    """
    if registered is None:
        return None
    model, version = registered["name"], registered["version"]
    found = _report(root / GATE / "verdict.json")
    if found and (found.get("model"), str(found.get("version"))) == (model, version):
        return Verdict(model, version, bool(found["promoted"]), str(found["reason"]), _report_text(root))
    reason = registered.get("verdict") or "it was judged earlier"
    return Verdict(model, version, "champion" in registered["aliases"], reason, f"{reason}\n")


def _report(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _report_text(root: Path) -> str:
    path = root / GATE / "verdict.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""
