import subprocess
from pathlib import Path

from seqloom.retention.pins import pinned_text


def test_pins_of_the_clone_and_of_its_branches_are_read(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=tmp_path, check=True)

    def write(version: int) -> None:
        (tmp_path / "params.yaml").write_text(f"train: {{start: models:/m/{version}}}", encoding="utf-8")

    write(1)
    assert "models:/m/1" in pinned_text(tmp_path)  # before there is a repository
    git("init", "--quiet", "--initial-branch", "main")
    git("add", ".")
    git("commit", "--quiet", "--message", "1")
    git("switch", "--quiet", "--create", "other")
    write(2)
    git("commit", "--quiet", "--all", "--message", "2")
    write(3)
    text = pinned_text(tmp_path)
    assert all(f"models:/m/{version}" in text for version in (1, 2, 3))
