import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from seqloom.errors import RegistryError
from seqloom.tracking.client.schema import explain_schema, other_schema
from seqloom.tracking.client.store import connect
from tests.workspaces import give_store

OLDER = "0584bdc529eb"  # one of MLflow's migrations


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (OLDER, r"tables are those of an older MLflow \(schema 0584bdc529eb; .*run `mlflow db upgrade 'sqlite:"),
        ("ffffffffffff", r"tables are those of a newer MLflow \(schema ffffffffffff, .*install the version of MLflow"),
    ],
)
def test_tables_of_another_mlflow_are_explained_with_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: str, message: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    give_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (schema,))
        database.commit()
    with pytest.raises(RegistryError, match=message):
        connect(tmp_path, create=False)


def test_a_database_is_asked_before_mlflow_upgrades_it(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'mlflow.db'}", poolclass=NullPool)
    with engine.connect() as database:
        assert other_schema(database, "db") is None  # no tables yet
        database.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        assert other_schema(database, "db") is None
        database.execute(text(f"INSERT INTO alembic_version VALUES ('{OLDER}')"))
        message = other_schema(database, "db")
        assert message is not None
        assert "run `mlflow db upgrade 'db'`" in message


def test_other_errors_are_not_about_the_schema() -> None:
    assert explain_schema("no such table: experiments", "sqlite:///x") is None
