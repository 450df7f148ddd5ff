"""What stops before DVC looks at anything."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli_client import RefusedError
from pipelines.run import run_stages
from tests.test_plain_yaml import BOMB


def test_params_that_dvc_would_expand_for_hours_are_refused_first(make_repository: Callable[[str], Path]) -> None:
    folder = make_repository("stages: {first: {cmd: touch ran, params: [a8]}}\n")
    (folder / "params.yaml").write_text(BOMB, encoding="utf-8")
    with pytest.raises(RefusedError, match=r"params\.yaml: line \d+: .*counting each use of an alias"):
        run_stages(folder)
    assert not (folder / "ran").exists()
