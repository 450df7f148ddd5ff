import pytest

from seqloom.dvc_lock import is_dvc


@pytest.mark.parametrize(
    "command",
    [
        "dvc repro", "/srv/.venv/bin/dvc", "/clone/.venv/bin/python /clone/.venv/bin/dvc repro --single-item x",
        "python3.12 -m dvc repro", "python -u -X dev -W error -m dvc push", "python -Im dvc gc", "python -mdvc status",
    ],
)  # fmt: skip
def test_a_command_of_dvc_is_recognised(command: str) -> None:
    assert is_dvc(command.split())


@pytest.mark.parametrize(
    "command",
    [
        "", "vim dvc.yaml", "less /srv/dvc", "grep -r dvc .", "python", "python -m pytest dvc", "python dvc.py",
        "python -c code -m dvc", "python -W dvc tool.py", "/opt/dvc/bin/server", "dvcx repro", "python /srv/dvc/a.py",
    ],
)  # fmt: skip
def test_another_command_that_mentions_dvc_is_not(command: str) -> None:
    assert not is_dvc(command.split())
