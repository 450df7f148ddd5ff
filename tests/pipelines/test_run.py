"""params.yaml is checked before DVC reads it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.dag import changed_stages, read_stages
from pipelines.errors import CommandError
from pipelines.run import run_stages
from tests.test_plain_yaml import BOMB


@pytest.mark.parametrize("work", [run_stages, changed_stages, read_stages])
def test_params_that_dvc_would_expand_for_hours_are_refused_first(
    make_repository: Callable[[str], Path], work: Callable[[Path], object]
) -> None:
    folder = make_repository("stages: {first: {cmd: touch ran, params: [a8]}}\n")
    (folder / "params.yaml").write_text(BOMB, encoding="utf-8")
    with pytest.raises(CommandError, match=r"params\.yaml: line \d+: .*counting each use of an alias"):
        work(folder)
    assert not (folder / "ran").exists()
