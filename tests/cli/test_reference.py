"""docs/SETTINGS.md and docs/COMMANDS.md are what `make docs` writes now."""

from pathlib import Path

import pytest

from seqloom.cli import reference
from seqloom.params import Params, load_params
from tests.workspaces import REPOSITORY


@pytest.mark.parametrize("path", reference.PAGES, ids=str)
def test_the_page_is_current(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert path.read_text(encoding="utf-8") == reference.PAGES[path](), "run `make docs`"


def test_every_setting_has_a_row_with_a_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    page = reference.settings_page()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert not [row for row in rows if row.endswith("|  |")]

    def leaves(record: object) -> int:
        if not isinstance(record, dict):
            return 1
        return sum(leaves(value) for name, value in record.items() if name != "corpora")

    settings = load_params().model_dump(mode="json")
    assert len([row for row in rows if row]) >= leaves(settings)
    assert all(f"## `{field.alias or name}`" in page for name, field in Params.model_fields.items())
