"""Ask a store for the number of a model's champion, without MLflow, whose import takes seconds and 115 MB.

Servers and databases are asked what MLflow's client would ask them: the REST API, and the table of aliases.
"""

import base64
import json
import os
import sqlite3
import ssl
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

from seqloom.errors import RegistryError, SilentError
from seqloom.tracking.client.names import CHAMPION

_PATIENCE = 5  # seconds
_ALIAS = "SELECT version FROM registered_model_aliases WHERE name = :name AND alias = :alias"
_SQLITE = "sqlite:///"
_NOT_FOUND = 404
_OTHER_LOGINS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")  # plugins of MLflow


def can_be_asked(uri: str) -> bool:
    """Return whether `champion_number` can log in to the store, or only MLflow's own client can."""
    if not uri.startswith(("http:", "https:")):
        return True
    return not any(map(os.environ.get, _OTHER_LOGINS)) and not (Path.home() / ".mlflow" / "credentials").exists()


def champion_number(uri: str, model: str) -> str | None:
    """Return the number of the version that is the champion, or None.

    Raises:
        RegistryError: the store does not answer, or refuses. The message does not contain the URI, which may have a
            password.
    """
    if uri.startswith(("http:", "https:")):
        return _from_server(uri, model)
    values = {"name": model, "alias": CHAMPION}
    row = _from_file(uri, values) if uri.startswith(_SQLITE) else _from_database(uri, values)
    return None if row is None else str(row[0])


def _from_file(uri: str, values: dict[str, str]) -> tuple[object, ...] | None:
    file = urllib.parse.quote(uri.removeprefix(_SQLITE))
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=_PATIENCE)) as database:
            row: tuple[object, ...] | None = database.execute(_ALIAS, values).fetchone()
            return row
    except sqlite3.Error as error:
        raise RegistryError(f"the database cannot be read: {error}") from error


def _from_database(uri: str, values: dict[str, str]) -> tuple[object, ...] | None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    os.environ.setdefault("PGCONNECT_TIMEOUT", str(_PATIENCE))  # libpq has no time limit by default
    try:
        with create_engine(uri, poolclass=NullPool).connect() as database:
            row = database.execute(text(_ALIAS), values).fetchone()
    except SQLAlchemyError as error:
        raise SilentError(f"the database does not answer ({type(error).__name__})") from error
    return None if row is None else tuple(row)


def _from_server(uri: str, model: str) -> str | None:
    parts = urllib.parse.urlsplit(uri)
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    query = urllib.parse.urlencode({"name": model})
    url = f"{place}/api/2.0/mlflow/registered-models/get?{query}"
    request = urllib.request.Request(url, headers=_login(parts))
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE, context=_tls(parts.scheme)) as response:
            found = json.load(response)
    except urllib.error.HTTPError as error:
        if error.code == _NOT_FOUND:
            return None
        raise RegistryError(f"the server answers with status {error.code}") from error
    except (OSError, ValueError) as error:
        raise SilentError(f"the server does not answer: {getattr(error, 'reason', error)}") from error
    aliases = found.get("registered_model", {}).get("aliases", [])
    return next((str(each["version"]) for each in aliases if each.get("alias") == CHAMPION), None)


def _login(parts: urllib.parse.SplitResult) -> dict[str, str]:
    """Return the header that logs in, as MLflow's client does."""
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or urllib.parse.unquote(parts.username or "")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or urllib.parse.unquote(parts.password or "")
    if user:
        return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _tls(scheme: str) -> ssl.SSLContext | None:
    if scheme != "https":
        return None
    context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    if client := os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"):
        context.load_cert_chain(client)
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS") == "true":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
