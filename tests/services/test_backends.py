"""A whole flow whose records are in PostgreSQL and whose files are in S3, by environment variables alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from dvc.repo import Repo

from tests.finished import finish
from tests.services.conftest import BUCKET, Postgres

pytestmark = [pytest.mark.services, pytest.mark.slow]

# In a process of its own: Prefect sends the events of a process to the server that it spoke to first.
FLOW = """
from pathlib import Path
from pipelines.train import train
print(*(outcome.what for outcome in train(Path.cwd())))
"""

DAG = """
stages:
  prepare: {cmd: cp given prepared, deps: [given], outs: [prepared]}
  register_model:
    cmd: python -m seqloom.stages register_model
    deps: [prepared, models/candidate]
    metrics: [metrics/registration.json: {cache: false}]
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in which all is done up to register_model."""
    folder = tmp_path / "clone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Repo.init(str(folder), no_scm=True).close()
    finish(folder)
    (folder / "dvc.yaml").write_text(DAG, encoding="utf-8")
    (folder / "given").write_text("1", encoding="utf-8")
    return folder


def test_a_flow_with_its_records_in_postgresql_and_its_files_in_s3(
    workspace: Path,
    postgres: Postgres,
    prefect_on_postgres: tuple[str, Path],
    s3: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, log = prefect_on_postgres
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.uri("mlflow"))
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", f"s3://{BUCKET}/mlflow")
    monkeypatch.setenv("PREFECT_API_URL", url)
    done = subprocess.run([sys.executable, "-c", FLOW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "run run"
    screen = done.stdout + done.stderr

    # PostgreSQL has the run, the version and the flow; S3 has the model. Here there are no files of either.
    assert postgres.query("mlflow", "SELECT name, version FROM model_versions") == [("seqloom-en-de", 1)]
    assert postgres.query("mlflow", "SELECT status FROM runs WHERE lifecycle_stage = 'active'") == [("FINISHED",)]
    assert postgres.query("prefect", "SELECT state_type FROM flow_run") == [("COMPLETED",)]
    assert len(postgres.query("prefect", "SELECT state_type FROM task_run WHERE state_type = 'COMPLETED'")) == 2
    assert not (workspace / "mlflow.db").exists()
    assert not (workspace / "mlartifacts").exists()
    weights = [key for key in keys() if key.endswith(".safetensors")]
    assert weights
    assert all(key.startswith("mlflow/") for key in weights)

    # Anywhere else the same variables find the champion, and it translates.
    elsewhere = workspace.parent / "elsewhere"
    elsewhere.mkdir()
    command = [
        sys.executable,
        "-m",
        "seqloom.cli",
        "translate",
        "--model",
        "models:/seqloom-en-de@champion",
        "Hello {name}",
    ]
    done = subprocess.run(command, cwd=elsewhere, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    # Neither password is anywhere but in the environment.
    texts = {
        path: path.read_text(encoding="utf-8", errors="replace") for path in workspace.rglob("*") if path.is_file()
    }
    texts |= {
        "screen": screen,
        "server": log.read_text(encoding="utf-8"),
        "cli": done.stdout + done.stderr,
    }
    texts |= {database: postgres.dump(database) for database in ("mlflow", "prefect")}
    assert "seqloom-en-de" in texts["mlflow"]  # the dump is one
    for secret in (postgres.password, quote(postgres.password, safe=""), os.environ["AWS_SECRET_ACCESS_KEY"]):
        assert not [place for place, text in texts.items() if secret in text]


def test_a_wrong_password_is_told_without_it(
    workspace: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = postgres._replace(password="not:the/0ne")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", wrong.uri("mlflow"))
    command = [sys.executable, "-m", "seqloom.cli", "info"]
    done = subprocess.run(command, cwd=workspace, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "password authentication failed" in done.stderr
    assert "postgresql://***@127.0.0.1" in done.stderr
    assert "0ne" not in done.stderr


def test_dvc_keeps_data_in_s3_and_finds_it_there_from_another_clone(workspace: Path, s3: str) -> None:
    dvc = [sys.executable, "-m", "dvc"]

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [*dvc, *arguments], cwd=workspace, env=os.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    run("remote", "add", "--local", "--default", "storage", f"s3://{BUCKET}/dvc")
    run("repro", "prepare")
    run("push")
    assert [key for key in keys() if key.startswith("dvc/files/md5/")]
    shutil.rmtree(workspace / ".dvc" / "cache")
    (workspace / "prepared").unlink()
    run("pull", "prepare")
    assert (workspace / "prepared").read_text(encoding="utf-8") == "1"
    config = (workspace / ".dvc" / "config.local").read_text(encoding="utf-8")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in config


def keys() -> list[str]:
    import boto3

    return [each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]
