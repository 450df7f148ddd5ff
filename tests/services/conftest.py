"""PostgreSQL and S3 on loopback for a test session; tests are skipped if they are not installed."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
BUCKET = "seqloom"


class Postgres(NamedTuple):
    """A server of this session; `password` has characters that must be escaped in a URI."""

    port: int
    password: str

    def uri(self, database: str, driver: str = "postgresql") -> str:
        return f"{driver}://seqloom:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="seqloom", password=self.password, dbname=database
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def dump(self, database: str) -> str:
        command = [BINARIES[-1] / "pg_dump", "--host=127.0.0.1", f"--port={self.port}", "--username=seqloom", database]
        environment = {**os.environ, "PGPASSWORD": self.password}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL on a free port, with the databases `mlflow` and `prefect`."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    for driver in ("psycopg2", "asyncpg"):
        pytest.importorskip(driver, reason="needs the extra [postgres]", exc_type=ImportError)
    home = Path(tempfile.mkdtemp(prefix="seqloom-postgres-"))  # pytest's own folders are closed to other users
    server = Postgres(free_port(), f"p@ss:/{secrets.token_urlsafe(12)}")
    try:
        process = start(server, home)
        try:
            wait_for(server, process, home / "log")
            for database in ("mlflow", "prefect"):
                server.query("postgres", f"CREATE DATABASE {database}")
            yield server
        finally:
            process.send_signal(2)  # fast shutdown: clients are disconnected
            process.wait(60)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def start(server: Postgres, home: Path) -> subprocess.Popen[bytes]:
    """Create a cluster in `home` and serve it as a user other than root, because PostgreSQL refuses root."""
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = names.get("postgres") or names["nobody"]
        os.chown(home, entry.pw_uid, entry.pw_gid)
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    (home / "password").write_text(server.password, encoding="utf-8")
    (home / "password").chmod(0o644)  # in a folder that only this user may enter
    make = [
        BINARIES[-1] / "initdb", f"--pgdata={home / 'data'}", "--username=seqloom", f"--pwfile={home / 'password'}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
    ]  # fmt: skip
    subprocess.run(make, cwd=home, capture_output=True, check=True, **user)
    serve = [
        BINARIES[-1] / "postgres", "-D", home / "data", "-h", "127.0.0.1", "-p", str(server.port), "-k", home,
        "-c", "fsync=off",
    ]  # fmt: skip
    with (home / "log").open("wb") as log:
        return subprocess.Popen(serve, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **user)


def wait_for(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg2

    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            server.query("postgres", "SELECT 1")
            return
        except psycopg2.OperationalError:
            time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text(encoding='utf-8')}")


@pytest.fixture(scope="session")
def prefect_on_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Yield the URL and the log of a Prefect server that keeps its records in PostgreSQL."""
    port, log = free_port(), tmp_path_factory.mktemp("prefect") / "server.log"
    environment = {
        **os.environ,
        "PREFECT_API_DATABASE_CONNECTION_URL": postgres.uri("prefect", "postgresql+asyncpg"),
        "PREFECT_HOME": str(log.parent / "home"),
    }
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    with log.open("wb") as out:
        server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}/api"
    try:
        end = time.monotonic() + 900
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                output = log.read_text(encoding="utf-8")
                assert time.monotonic() < end, output
                assert server.poll() is None, output
                time.sleep(0.3)
        yield url, log
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the URL of an S3 with an empty bucket, configured only by environment variables."""
    moto = pytest.importorskip("moto.server", reason="needs the extra [services]", exc_type=ImportError)
    for library in ("boto3", "dvc_s3"):
        pytest.importorskip(library, reason="needs the extra [s3]", exc_type=ImportError)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(12),
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        import boto3

        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=60).close()
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield url
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
