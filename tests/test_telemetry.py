"""The Makefile and the image switch off the same telemetry as the package."""

import re
from pathlib import Path

import pytest

from seqloom.telemetry import OFF


@pytest.mark.parametrize("name", ["Makefile", "deploy/Dockerfile"])
def test_every_switch_is_set_to_the_same_value(root: Path, name: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    found = dict(
        re.findall(
            r"^(?:export | +)([A-Z_]+(?:TRACK|ANALYTICS|TELEMETRY|S_ENABLED)) ?:?= ?(\w+)",
            text,
            re.M,
        )
    )
    assert found == OFF
