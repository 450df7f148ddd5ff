"""The store of runs and versions: an MLflow server, or a database with a folder of artifacts.

`MLFLOW_TRACKING_URI` selects the store. By default it is `mlflow.db` beside `mlartifacts/` in the root of the clone,
and its artifact locations are relative, so that the clone can be moved. Errors of MLflow become a `RegistryError` with
a message of one line, without the password that a URI may contain.
"""

import errno
import fcntl
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from seqloom.errors import RegistryError, SilentError
from seqloom.files import replacing
from seqloom.tracking.client.library import MlflowClient, MlflowException, mlflow
from seqloom.tracking.client.local_files import ARTIFACTS as ARTIFACTS  # only after library, which imports MLflow
from seqloom.tracking.client.local_files import SQLITE, make_relative
from seqloom.tracking.client.schema import explain_schema, other_schema

URI_VARIABLE = "MLFLOW_TRACKING_URI"
ARTIFACTS_VARIABLE = "MLFLOW_DEFAULT_ARTIFACT_ROOT"  # `mlflow server` reads it, too; for stores that are databases
DATABASE = "mlflow.db"
_COPIES = ".dvc/tmp/exps"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # by default MLflow shows the page for GenAI
_HEADER = b"SQLite format 3"  # the first bytes of a database
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_NO_ANSWER = ("Max retries exceeded", "timed out", "timeout expired", "Connection refused")
_LOCKED = "database is locked"
# Errors of SQLite, and what the user can do about each.
_SQLITE = {
    _LOCKED: "another process has locked it; wait until that process has ended (`fuser mlflow.db` shows its number)",
    "database or disk is full": "no space is left on its disk; make room",
    "disk I/O error": "its disk cannot be read or written; check the disk and its free space",
    "readonly database": "it is read-only; make the file and its folder writable for this user",
    "unable to open database file": "it cannot be opened; make the file and its folder writable for this user",
    "malformed": "it is damaged; restore it from a backup",
    "file is not a database": "it is damaged; restore it from a backup",
}
_PATIENCE = 5  # seconds to wait for the first answer


class NothingRegisteredError(RegistryError):
    """The store does not exist yet."""


class Store(NamedTuple):
    """An open store."""

    client: MlflowClient
    uri: str  # may contain a password: print `shown` instead
    shown: str
    artifacts: str | None  # artifact location of new experiments; None: the server chooses
    lock: Path
    movable: bool  # it is the clone's own store, whose locations are relative


def connect(root: Path, *, create: bool) -> Store:
    """Open the store of the clone at `root`, and set it as the default of MLflow's own functions.

    A SQLite database that does not exist is created if `create` is true: completely or not at all, and only once even
    if several processes do this at the same time.

    Raises:
        NothingRegisteredError: the store does not exist and `create` is false.
        RegistryError: the store does not answer within seconds, or was written by another version of MLflow.
    """
    given = os.environ.get(URI_VARIABLE)
    home = _clone(root.absolute())
    own = home / DATABASE
    uri = given or f"{SQLITE}{own}"
    if uri.startswith(SQLITE):
        database = Path(uri.removeprefix(SQLITE)).absolute()
        uri, home = f"{SQLITE}{database}", database.parent
        _make(database, create=create, own=database == own)
    artifacts = None
    if not uri.startswith(("http:", "https:")):
        artifacts = os.environ.get(ARTIFACTS_VARIABLE) or (home / ARTIFACTS).as_uri()
    client = _connected_client(uri)
    movable = uri == f"{SQLITE}{own}" and not os.environ.get(ARTIFACTS_VARIABLE)
    if movable:
        _make_locations_relative(own)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if given is None:  # MLflow sets it for child processes, which may run in another clone
        os.environ.pop(URI_VARIABLE, None)
    return Store(client, uri, without_password(uri), artifacts, home / f"{DATABASE}.lock", movable)


def _clone(root: Path) -> Path:
    """Return the clone of which `root` is DVC's temporary copy for a queued experiment, or `root` itself."""
    return next((folder for folder in root.parents if root.is_relative_to(folder / _COPIES)), root)


def without_password(uri: str) -> str:
    """Return `uri` with `***` in place of user name and password."""
    return uri.replace(f"{_userinfo(uri)}@", "***@") if _userinfo(uri) else uri


@contextmanager
def registry_errors(store: Store) -> Iterator[None]:
    """Turn errors of MLflow inside the block into `RegistryError`."""
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        reason = _explain(str(error), store.uri)
        if reason in _SQLITE.values():
            reason = f"{store.shown}: {reason}, and run again"
        raise _kind(error)(reason) from error


@contextmanager
def exclusive(store: Store) -> Iterator[None]:
    """Hold the store's lock during the block; other processes of this machine wait for it."""
    with _locked(store.lock):
        yield


def experiment_id(store: Store, name: str) -> str:
    """Return the id of the experiment of that name, creating it if there is none."""
    with registry_errors(store):
        found = store.client.get_experiment_by_name(name)
        if found is None:
            try:
                made = store.client.create_experiment(name, artifact_location=store.artifacts, tags=_KIND)
                if store.movable:
                    _make_locations_relative(store.lock.with_name(DATABASE))
                return str(made)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = store.client.get_experiment_by_name(name)  # another machine created it meanwhile
        if found is None or found.lifecycle_stage != "active":
            raise RegistryError(
                f"the experiment {name!r} was deleted in {store.shown}: restore it there, or give register.experiment "
                "in params.yaml another name"
            )
        return str(found.experiment_id)


def local_folder(store: Store, uri: str) -> Path | None:
    """Return the folder of an artifact location, which may be relative to the database, or None if it is remote."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        return None
    return store.lock.parent / (unquote(parts.path) if parts.scheme else uri)


def holds_model(folder: Path) -> bool:
    """Return whether `folder` holds a logged model; the database may list one that was moved or deleted."""
    return (folder / "MLmodel").is_file()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise  # reported like any full disk
        raise RegistryError(
            f"{path}: cannot be written ({error.strerror}): make the folder writable for this user, or set "
            f"{URI_VARIABLE} to a store elsewhere"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel releases it when the process ends, for whatever reason
        yield


def _make(database: Path, *, create: bool, own: bool) -> None:
    if database.exists():
        with database.open("rb") as file:
            start = file.read(len(_HEADER))
        if start != _HEADER:
            what = "is not a SQLite database" if start else "is empty (0 bytes)"
            raise RegistryError(
                f"{database}: {what}, so its runs and versions are lost; restore it from a backup, or remove it and "
                f"{ARTIFACTS}/ to begin with an empty registry"
            )
        return
    if own and any((database.parent / ARTIFACTS / "models").glob("*/artifacts/MLmodel")):
        raise RegistryError(
            f"{database}: is missing, but {ARTIFACTS}/ holds models that were registered in it; restore it from a "
            f"backup, or remove {ARTIFACTS}/ to begin with an empty registry"
        )
    if not create:
        raise NothingRegisteredError(f"nothing is registered yet: there is no {database}; `make run` fills it")
    with _locked(database.with_name(f"{DATABASE}.lock")):
        if database.exists():
            return
        # MLflow creates the tables in some hundred migrations; if they are interrupted, the database is unusable.
        with replacing(database) as beside:
            beside.unlink(missing_ok=True)
            try:
                MlflowClient(f"{SQLITE}{beside}").search_experiments(max_results=1)
            except (MlflowException, SQLAlchemyError) as error:
                reason = _explain(str(error), f"{SQLITE}{database}")
                raise RegistryError(f"{database}: cannot be made: {reason}") from error


def _make_locations_relative(database: Path) -> None:
    """Make the locations in a store relative; in a read-only copy they stay as they are."""
    if not os.access(database, os.W_OK):
        return
    try:
        make_relative(database)
    except sqlite3.Error as error:
        reason = _explain(str(error), f"{SQLITE}{database}")
        raise _kind(error)(f"{database}: its artifact locations cannot be made relative: {reason}") from error


def _connected_client(uri: str) -> MlflowClient:
    """Return a client of the store after a small request, with a timeout of seconds instead of MLflow's minutes."""
    parts = urlsplit(uri)
    dialect = parts.scheme.partition("+")[0]
    limited = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "PGCONNECT_TIMEOUT")
    hurry = dict.fromkeys(limited, str(_PATIENCE)) | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    usual = {name: os.environ[name] for name in hurry}
    os.environ.update(hurry)
    try:
        if dialect in _PORTS and parts.hostname:
            socket.create_connection((parts.hostname, parts.port or _PORTS[dialect]), timeout=_PATIENCE).close()
            # Fail fast: MLflow retries a refused login ten times.
            with create_engine(uri, poolclass=NullPool).connect() as database:
                if (other := other_schema(database, without_password(uri))) is not None:
                    raise RegistryError(f"the tracking store {without_password(uri)} cannot be used: {other}")
        client = MlflowClient(uri, uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise _kind(error)(
            f"the tracking store {without_password(uri)} cannot be used: {_explain(str(error), uri)}; fix this, "
            f"or set {URI_VARIABLE} to another store (default: {DATABASE} in this folder), and run again"
        ) from error
    finally:
        os.environ.update(usual)
    return client


def _kind(error: Exception) -> type[RegistryError]:
    silent = isinstance(error, OSError) or any(sign in str(error) for sign in (*_NO_ANSWER, _LOCKED))
    return SilentError if silent else RegistryError


def _explain(message: str, uri: str) -> str:
    reason = _first_line(message)
    if (other := explain_schema(message, without_password(uri))) is not None:
        return other
    if any(sign in message for sign in _NO_ANSWER):
        reason = "it does not answer"
    if uri.startswith(SQLITE) and (known := next((_SQLITE[sign] for sign in _SQLITE if sign in message), None)):
        reason = known
    if userinfo := _userinfo(uri):
        for secret in (userinfo, userinfo.partition(":")[2]):
            reason = reason.replace(secret, "***") if secret else reason
    if any(code in reason for code in ("401", "403", "PERMISSION_DENIED", "UNAUTHENTICATED")):
        reason += " (set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN)"
    return reason


def _first_line(message: str) -> str:
    line = next((line.strip() for line in message.splitlines() if line.strip()), "no reason given")
    return line.rstrip(".") if len(line) <= 300 else f"{line[:300]}..."


def _userinfo(uri: str) -> str:
    location = urlsplit(uri).netloc
    return location.rpartition("@")[0]
