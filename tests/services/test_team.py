"""A team: PostgreSQL, S3, an MLflow server and a Prefect server, two people with a clone each, and a nightly clone."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from seqloom.retention.policy import Policy
from seqloom.tracking.client.library import MlflowClient
from seqloom.tracking.client.store import connect
from seqloom.tracking.registry.champion import set_champion
from seqloom.tracking.registry.removal import find_versions
from seqloom.tracking.registry.versions import has_files, list_versions
from tests.registered import WEIGHTS, add_version
from tests.services.conftest import BINARIES, BUCKET, Postgres, free_port
from tests.services.test_backends import keys
from tests.small_clone import Clone, clone_environment, use_own_pairs

pytestmark = [pytest.mark.services, pytest.mark.slow]
NAME = "seqloom-en-de"
PATIENCE = 1200  # seconds; two flows at once on a busy machine


@contextmanager
def running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; its output is in server.log."""
    folder.mkdir()
    with (folder / "server.log").open("wb") as out:
        line = [sys.executable, "-m", *command]
        server = subprocess.Popen(line, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield server
    finally:
        server.terminate()
        server.wait(PATIENCE)


def wait_for(url: str, server: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            log = (folder / "server.log").read_text(encoding="utf-8")
            assert time.monotonic() < end, log
            assert server.poll() is None, log
            time.sleep(0.2)


@pytest.fixture
def team(postgres: Postgres, s3: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The URLs of an MLflow server and a Prefect server on PostgreSQL and S3, as variables of the environment."""
    mlflow, prefect = free_port(), free_port()
    for database in ("team_mlflow", "team_prefect"):
        postgres.query("postgres", f"CREATE DATABASE {database}")
    with ExitStack() as stack:
        environment = os.environ | {
            "MLFLOW_BACKEND_STORE_URI": postgres.uri("team_mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/mlflow",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PREFECT_API_DATABASE_CONNECTION_URL": postgres.uri("team_prefect", "postgresql+asyncpg"),
            "PREFECT_HOME": str(tmp_path / "prefect"),
        }
        at = ["--host", "127.0.0.1", "--port"]
        commands = {
            f"http://127.0.0.1:{mlflow}/health": ["mlflow", "server", "--workers", "1", *at, str(mlflow)],
            f"http://127.0.0.1:{prefect}/api/health": ["prefect", "server", "start", "--no-ui", *at, str(prefect)],
        }
        started = [  # both at once
            (url, stack.enter_context(running(command, environment, tmp_path / command[0])), tmp_path / command[0])
            for url, command in commands.items()
        ]
        for each in started:
            wait_for(*each)
        yield {
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}",
            "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
        }


class Member(Clone):
    """The clone of a member of the team: a copy of the working tree, or of the team's repository."""

    patience = PATIENCE

    def __init__(self, folder: Path, named: dict[str, str], origin: Path | None = None) -> None:
        folder.mkdir(parents=True)
        if origin is None:
            super().__init__(folder)
        else:
            git(folder, "clone", "--quiet", str(origin), ".")
            self.folder, self.environment = folder, clone_environment(folder)
        self.environment |= named

    def use_remote(self) -> None:
        self.type(f".venv/bin/dvc remote add --local --default storage s3://{BUCKET}/dvc")

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *words], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output


def use_git_corpus(clone: Clone, repository: Path) -> None:
    """Let the clone's pairs come from a Git repository, which every member can read."""
    use_own_pairs(clone)
    repository.mkdir()
    pairs = clone.folder / "data" / "local" / "pairs.tsv"
    pairs.rename(repository / "pairs.tsv")
    git(repository, "init", "--quiet", "--initial-branch", "main")
    commit = commit_data(repository)
    params = yaml.safe_load((clone.folder / "params.yaml").read_text(encoding="utf-8"))
    params["corpora"] = {"team": {
        "kind": "git", "repository": str(repository), "commit": commit, "branch": "main", "format": "tsv",
        "members": "pairs.tsv",
    }}  # fmt: skip
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def commit_data(repository: Path) -> str:
    git(repository, "add", ".")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "--message", "pairs")
    return git(repository, "rev-parse", "HEAD").strip()


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def weights() -> set[str]:
    """The ids of the models whose weights are in S3."""
    return {key.split("/")[-5] for key in keys() if key.startswith("mlflow/") and key.endswith("model.safetensors")}


def versions(member: Clone) -> dict[str, list[str]]:
    """Return the aliases of each registered version."""
    found = json.loads(member.type(".venv/bin/seqloom info --json"))["versions"]
    return {each["version"]: sorted(each["aliases"]) for each in found}


@pytest.mark.drill
def test_two_people_and_a_schedule_share_data_registry_and_server(
    tmp_path: Path, postgres: Postgres, team: dict[str, str]
) -> None:
    origin, pairs = tmp_path / "origin.git", tmp_path / "pairs"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", str(origin))

    # Ada trains the first version, and pushes code, lock and data.
    ada = Member(tmp_path / "ada" / "seqloom", team)
    use_git_corpus(ada, pairs)
    ada.use_remote()
    screen = ada.type(".venv/bin/python -m pipelines train")
    assert f"{NAME} version 1" in screen
    ada.commit("The first version")
    ada.type(f"git push --quiet {origin} HEAD:main")
    ada.type(".venv/bin/dvc push --quiet --run-cache")
    assert not (ada.folder / "mlflow.db").exists()

    # Ben and the nightly clone get the results without training, and there is nothing to do.
    ben = Member(tmp_path / "ben" / "seqloom", team, origin)
    nightly = Member(tmp_path / "nightly" / "seqloom", team, origin)
    for member in (ben, nightly):
        member.use_remote()
        member.type(".venv/bin/dvc pull --quiet")
        assert (member.folder / "models" / "candidate" / "model.safetensors").exists()
    assert "up to date" in ben.type(".venv/bin/dvc status")

    # New data arrives. The nightly clone retrains while Ben tries a setting; a second flow of Ben's is turned away.
    with (pairs / "pairs.tsv").open("a", encoding="utf-8") as file:
        file.writelines(f"the new door {word}\tdas neu Tor {word}\n" for word in ("red", "big", "old", "open", "small"))
    commit_data(pairs)
    night = nightly.start("pipelines", "retrain", "--accept-data", "--push", "--commit", "tag")
    day = ben.start("pipelines", "train", "train.seed=2")
    lock = ben.folder / "scratch" / "flow.lock"
    while day.poll() is None and not (lock.exists() and lock.read_text(encoding="utf-8")):
        time.sleep(0.05)
    status, output = ben.run("seqloom.cli", "gc", "--yes")
    assert status == os.EX_TEMPFAIL, output
    assert "is working in this folder" in output
    status, output = ben.run("pipelines", "train")
    assert status == os.EX_TEMPFAIL, output
    assert "is running here; wait for it or stop it" in output
    for flow in (night, day):
        output, _ = flow.communicate(timeout=PATIENCE)
        assert flow.returncode == 0, output
    assert versions(ada).keys() == {"1", "2", "3"}
    assert len(weights()) == 3
    states = postgres.query("team_prefect", "SELECT state_name, count(*) FROM flow_run GROUP BY 1")
    assert dict(states)["Busy"] == 1
    assert git(nightly.folder, "tag", "--list")  # of the version that the schedule made

    # Ben promotes the newest version; a server with nothing but the URL serves it, and follows a rollback.
    newest, other = "3", "2"
    client = MlflowClient(team["MLFLOW_TRACKING_URI"], team["MLFLOW_TRACKING_URI"])
    client.set_registered_model_alias(NAME, "candidate", newest)  # whichever of both flows came last
    ben.type(f".venv/bin/seqloom promote {newest} --because 'better terms'")
    port, home = free_port(), tmp_path / "server"
    command = ["seqloom.cli", "serve", "--model", NAME, "--port", str(port)]
    environment = os.environ | team | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    url = f"http://127.0.0.1:{port}"
    with running(command, environment, home) as server:
        wait_for(f"{url}/health", server, home)
        assert translate(url) == f"{NAME}/{newest}"
        ada.type(".venv/bin/seqloom rollback --because 'the old terms were right'")
        end = time.monotonic() + PATIENCE
        while translate(url) != f"{NAME}/1":
            assert time.monotonic() < end
            time.sleep(0.2)

        # Only the version that nothing needs loses its files, in S3; the one that was just served keeps them.
        look = ".venv/bin/seqloom gc --keep 1 --days 0 --only versions --kept"
        shown = ben.type(look)
        assert f"{NAME} version {other}" in shown
        assert f"{NAME} version 1  @champion" in shown
        assert len(weights()) == 3
        assert "removed: " in ben.type(f"{look} --yes")
        assert len(weights()) == 2
        assert ben.type(look).startswith("nothing to remove\n")
        assert translate(url) == f"{NAME}/1"
    assert versions(ada).keys() == {"1", "2", "3"}
    gone = f"models:/{NAME}/{other}"
    for words in (["translate", "--model", gone, "the light"], ["promote", gone, "--because", "x"]):
        status, output = ben.run("seqloom.cli", *words)
        assert status == 1
        assert f"seqloom reproduce {gone}" in output


def translate(url: str) -> str:
    """Translate a text, and return the version that did."""
    body = json.dumps({"q": "the light is red", "source": "en", "target": "de"}).encode()
    request = urllib.request.Request(f"{url}/translate", data=body, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["version"])


def test_files_in_s3_go_without_a_server_too_and_a_dump_of_the_database_restores_the_records(
    postgres: Postgres, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.query("postgres", "CREATE DATABASE direct")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.uri("direct"))
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", f"s3://{BUCKET}/mlflow")
    store = connect(tmp_path, create=True)
    for verdict in ("worse", "promoted: first", "worse"):
        add_version(store, verdict)
    set_champion(store, NAME, "2", "gate", "first")
    assert len(keys()) == 6
    (found,) = find_versions(store, Policy(keep=1, days=0), "").removals
    assert (found.name, found.bytes) == (f"{NAME} version 1", WEIGHTS)
    found.remove()
    assert len(keys()) == 4
    assert find_versions(store, Policy(keep=1, days=0), "").removals == []
    assert has_files(store, store.client.get_model_version(NAME, "2"))
    assert not has_files(store, store.client.get_model_version(NAME, "1"))

    dump = postgres.dump("direct")
    postgres.query("postgres", "CREATE DATABASE restored")
    psql = [BINARIES[-1] / "psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={postgres.uri('restored')}"]
    subprocess.run(psql, input=dump, capture_output=True, text=True, check=True)
    before = list_versions(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres.uri("restored"))
    assert list_versions(connect(tmp_path, create=False)) == before


def test_a_database_of_an_older_mlflow_names_the_command_that_upgrades_it(postgres: Postgres, tmp_path: Path) -> None:
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
    from sqlalchemy import create_engine

    postgres.query("postgres", "CREATE DATABASE older")
    uri = postgres.uri("older")
    engine = create_engine(uri)
    InitialBase.metadata.create_all(engine)
    command.upgrade(_get_alembic_config(uri), "acf3f17fdcc7")
    engine.dispose()
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri}

    def seqloom(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "seqloom.cli", *words]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = seqloom("info")
    assert done.returncode == 1
    assert "its tables are those of an older MLflow (schema acf3f17fdcc7" in done.stderr
    assert "run `mlflow db upgrade 'postgresql://***@127.0.0.1:" in done.stderr
    assert postgres.password not in done.stderr
    upgrade = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    subprocess.run(upgrade, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert seqloom("info").returncode == 0
