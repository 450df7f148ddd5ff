"""compose.yaml and the image: pinned versions, ports on loopback only, no secrets, consistent with other files."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# The keys of the Compose specification that are used here; Compose may ignore a misspelt key without a message.
KNOWN = {
    "image", "build", "restart", "read_only", "tmpfs", "cap_drop", "security_opt", "environment", "configs", "volumes",
    "healthcheck", "ports", "command", "depends_on", "stop_grace_period", "init",
}  # fmt: skip
SECRETS = {"POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "PREFECT_PASSWORD"}


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def test_keys_are_in_the_specification_and_named_files_exist() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"name", "services", "configs", "volumes"}
    for name, service in SERVICES.items():
        assert set(service) <= KNOWN, name
        for other, condition in service.get("depends_on", {}).items():
            wanted = condition["condition"]
            assert wanted in ("service_healthy", "service_completed_successfully")
            assert wanted != "service_healthy" or "healthcheck" in SERVICES[other], f"{name} waits for {other}"
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in COMPOSE["volumes"]
        for config in service.get("configs", []):
            assert config["source"] in COMPOSE["configs"]
    assert (DEPLOY / SERVICES["worker"]["build"]["context"] / SERVICES["worker"]["build"]["dockerfile"]).is_file()


def test_ports_are_bound_to_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 6
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z0-9_]+:-\d+\}:\d+", port) for port in published)


def test_prometheus_scrapes_the_server_by_a_name_that_the_server_accepts() -> None:
    (job,) = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    command = SERVICES[name]["command"]
    assert command[command.index("--allow-host") + 1] == name
    assert SERVICES[name]["ports"][0].endswith(f":{port}")


def test_images_are_pinned_and_ours_is_of_this_version() -> None:
    tags = [service["image"].rpartition(":") for service in SERVICES.values()]
    assert all(tag and tag != "latest" and re.search(r"\d", tag) for _, _, tag in tags)
    assert {tag for name, _, tag in tags if name == "seqloom"} == {version()}
    froms = re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(froms) == 2
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image) for image in froms)


def test_secrets_come_from_the_environment_and_a_missing_one_stops_it() -> None:
    asked = dict(re.findall(r"\$\{([A-Z0-9_]+)(:[?-])", TEXT))
    assert {name for name, rest in asked.items() if rest == ":?"} == SECRETS
    assert not re.search(r"\$\{(?:" + "|".join(SECRETS) + r")(?!:\?)", TEXT)
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEY|AUTH|TOKEN", key):
                assert "${" in str(value), f"{name}: {key}"


def test_what_does_not_write_cannot_and_nobody_is_root() -> None:
    for name in ("mlflow", "prefect", "worker", "bucket", "serve"):
        service = SERVICES[name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["10001:10001"]
    assert "--constraint constraints.txt" in text


def test_the_image_holds_no_data_and_no_secret() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for path in (".git", ".env", ".dvc/config.local", "scratch", "mlartifacts", "data/local/*"):
        assert path in ignored


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the entrypoint in an empty workspace, with a stand-in for DVC that records its arguments."""
    image, binaries, workspace = tmp_path / "image", tmp_path / "bin", tmp_path / "workspace"
    for folder in (image / ".dvc", binaries, workspace):
        folder.mkdir(parents=True)
    (image / "params.yaml").write_text("of the image", encoding="utf-8")
    (binaries / "dvc").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n', encoding="utf-8")
    (binaries / "dvc").chmod(0o755)
    script = (DEPLOY / "entrypoint.sh").read_text(encoding="utf-8").replace("/opt/seqloom", str(image))
    (tmp_path / "entrypoint.sh").write_text(script, encoding="utf-8")

    def run(**environment: str) -> tuple[str, Path, list[str]]:
        path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", tmp_path / "entrypoint.sh", "cat", "params.yaml"], cwd=workspace,
            env={"PATH": path, **environment}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        calls = (tmp_path / "calls").read_text(encoding="utf-8").splitlines() if (tmp_path / "calls").exists() else []
        return done.stdout, workspace, calls

    return run


def test_an_empty_workspace_becomes_a_clone_and_a_later_start_changes_nothing_in_it(start: Any) -> None:
    assert start()[0] == "of the image"
    _, workspace, calls = start(SEQLOOM_DVC_REMOTE="s3://b/dvc")
    assert calls[-1] == "remote add --quiet --local --force --default storage s3://b/dvc"
    assert "config --quiet --local core.no_scm true" in calls
    (workspace / "params.yaml").write_text("of a person", encoding="utf-8")
    assert start()[0] == "of a person"


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_workspace_may_be_a_git_clone(start: Any, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "params.yaml").write_text("of git", encoding="utf-8")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=there, check=True)
    assert start(SEQLOOM_GIT_URL=str(there))[0] == "of git"
