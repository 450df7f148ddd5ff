"""A whole flow with records in PostgreSQL and files in S3, configured only by environment variables."""

import os
import random
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from dvc.repo import Repo

from seqloom.files import sha256_of
from seqloom.sharding.manifest import describe_shard, read_manifest, shard_name, write_manifest
from tests.services.conftest import BUCKET, Postgres
from tests.small_clone import STAGES, Clone, use_own_pairs

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC repository with one stage."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Repo.init(str(folder), no_scm=True).close()
    stage = "stages: {prepare: {cmd: cp given prepared, deps: [given], outs: [prepared]}}"
    (folder / "dvc.yaml").write_text(stage, encoding="utf-8")
    (folder / "given").write_text("1", encoding="utf-8")
    return folder


@pytest.mark.drill
def test_a_whole_flow_with_its_records_in_postgresql_and_its_files_in_s3(
    tmp_path: Path, postgres: Postgres, prefect_on_postgres: tuple[str, Path], s3: str
) -> None:
    (tmp_path / "clone").mkdir()
    clone = Clone(tmp_path / "clone")
    use_own_pairs(clone)
    url, log = prefect_on_postgres
    named = {
        "MLFLOW_TRACKING_URI": postgres.uri("mlflow"),
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": f"s3://{BUCKET}/mlflow",
        "PREFECT_API_URL": url,
    }
    clone.environment |= named
    screen = clone.type(".venv/bin/python -m pipelines train")
    assert "seqloom-en-de version 1" in screen

    # PostgreSQL has the run, the version and the flow; S3 has the model. This folder has neither.
    assert postgres.query("mlflow", "SELECT name, version FROM model_versions") == [("seqloom-en-de", 1)]
    assert postgres.query("mlflow", "SELECT status FROM runs WHERE lifecycle_stage = 'active'") == [("FINISHED",)]
    assert postgres.query("mlflow", "SELECT count(DISTINCT step) FROM metrics WHERE key = 'train/loss'") == [(4,)]
    assert postgres.query("prefect", "SELECT state_type FROM flow_run") == [("COMPLETED",)]
    tasks = postgres.query("prefect", "SELECT name FROM task_run WHERE state_type = 'COMPLETED' ORDER BY end_time")
    assert [name for (name,) in tasks] == STAGES
    assert not (clone.folder / "mlflow.db").exists()
    assert not (clone.folder / "mlartifacts").exists()
    assert not (clone.folder / ".prefect" / "prefect.db").exists()
    weights = [key for key in keys() if key.endswith(".safetensors")]
    assert weights
    assert all(key.startswith("mlflow/") for key in weights)

    # In any other folder, the same variables find the champion, and it translates.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = ["translate", "--model", "models:/seqloom-en-de@champion", "the light is red"]
    done = seqloom(elsewhere, os.environ | named, *command)
    assert done.returncode == 0, done.stderr

    # Both passwords are only in the environment.
    places = [path for path in clone.folder.rglob("*") if path.is_file()]
    texts = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in places}
    texts |= {"screen": screen, "server": log.read_text(encoding="utf-8"), "cli": done.stdout + done.stderr}
    texts |= {database: postgres.dump(database) for database in ("mlflow", "prefect")}
    assert "seqloom-en-de" in texts["mlflow"]  # the dump has one
    for secret in (postgres.password, quote(postgres.password, safe=""), os.environ["AWS_SECRET_ACCESS_KEY"]):
        assert not [place for place, text in texts.items() if secret in text]


def test_the_error_for_a_wrong_password_does_not_contain_it(postgres: Postgres, tmp_path: Path) -> None:
    wrong = postgres._replace(password="not:the/0ne")
    done = seqloom(tmp_path, os.environ | {"MLFLOW_TRACKING_URI": wrong.uri("mlflow")}, "info")
    assert done.returncode == 1
    assert "password authentication failed" in done.stderr
    assert "postgresql://***@127.0.0.1" in done.stderr
    assert "0ne" not in done.stderr


def test_a_database_that_never_answers_is_reported_in_seconds(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2", reason="needs the extra [postgres]", exc_type=ImportError)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        uri = f"postgresql://someone:s3cret@127.0.0.1:{mute.getsockname()[1]}/mlflow"
        done = seqloom(tmp_path, os.environ | {"MLFLOW_TRACKING_URI": uri}, "info", timeout=90)
    assert done.returncode == os.EX_TEMPFAIL
    assert "it does not answer" in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.drill
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


@pytest.mark.drill
def test_a_folder_of_shards_is_pushed_and_pulled_and_only_new_shards_travel(workspace: Path, s3: str) -> None:
    folder = workspace / "train"

    def dvc(*arguments: str) -> None:
        command = [sys.executable, "-m", "dvc", *arguments, "--quiet"]
        subprocess.run(command, cwd=workspace, env=os.environ, capture_output=True, check=True)

    def write(count: int) -> None:
        folder.mkdir(exist_ok=True)
        for number in range(count):
            (folder / shard_name(number, "parquet")).write_bytes(random.Random(number).randbytes(300_000))
        paths = [folder / shard_name(number, "parquet") for number in range(count)]
        write_manifest(folder, ["source", "target"], [describe_shard(path, 10) for path in paths])

    dvc("remote", "add", "--local", "--default", "storage", f"s3://{BUCKET}/dvc")
    write(3)
    dvc("add", "train")
    dvc("push")
    first = set(keys())
    assert len(first) == 5  # three shards, the manifest, and DVC's list of the folder
    write(4)
    dvc("add", "train")
    dvc("push")
    assert len(set(keys()) - first) == 3  # the new shard, the manifest and the list
    shutil.rmtree(workspace / ".dvc" / "cache")
    shutil.rmtree(folder)
    dvc("pull", "train")
    manifest = read_manifest(folder, "pull it again")
    assert [shard.sha256 for shard in manifest.shards] == [sha256_of(folder / shard.name) for shard in manifest.shards]
    assert manifest.rows == 40


def seqloom(
    folder: Path, environment: dict[str, str], *words: str, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seqloom.cli", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def keys() -> list[str]:
    import boto3

    return [each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])]
