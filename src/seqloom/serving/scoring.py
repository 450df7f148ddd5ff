"""MLflow's scoring protocol, for clients of `mlflow models serve`: one column of texts in, one list of texts out.

The registered model has one column, `source`; without a column of that name the first one is translated. `language` is
the target language, as the model's parameter of that name, and the source language is detected if several are possible.
The settings of the search are fixed while a model is served.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seqloom.errors import RequestError
from seqloom.serving.by_direction import directions_of, translate_texts
from seqloom.serving.fields import read_object
from seqloom.serving.interface import VERSION_HEADER, Context, Fault, Interface
from seqloom.serving.service import Service

COLUMN = "source"  # as in the registered model
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_KINDS = ("application/json", "text/csv")
_SCHEME = "bearer "
_CODES = {400: "BAD_REQUEST", 403: "PERMISSION_DENIED", 404: "ENDPOINT_NOT_FOUND", 429: "REQUEST_LIMIT_EXCEEDED"}
_BODY = {
    "application/json": {"schema": {
        "type": "object",
        "properties": {
            "dataframe_split": {"type": "object"},
            "dataframe_records": {"type": "array", "items": {"type": "object"}},
            "instances": {"type": "array"},
            "inputs": {"anyOf": [{"type": "array"}, {"type": "object"}, {"type": "string"}]},
            "params": {"type": "object", "properties": {"language": {"type": "string"}}},
        },
    }},
    "text/csv": {"schema": {"type": "string"}},
}  # fmt: skip


def interface(context: Context) -> Interface:
    """Return the routes `/invocations`, `/ping` and `/version`."""
    router = APIRouter()
    service = context.service

    @router.post("/invocations", openapi_extra={"requestBody": {"content": _BODY, "required": True}})
    async def invocations(request: Request) -> JSONResponse:
        """Translate a column of texts."""
        header = request.headers.get("authorization", "")
        key = header[len(_SCHEME) :].strip() if header.lower().startswith(_SCHEME) else None
        client = context.admit(request, key)
        texts, params = _read(request.headers.get("content-type", ""), await request.body())
        directions = directions_of(service, texts, None, _target(service, params))
        found = await translate_texts(context, request, texts, directions, client)
        headers = {VERSION_HEADER: found.version} if found.version else None
        return JSONResponse({"predictions": found.texts, "model_version": found.version}, headers=headers)

    @router.get("/ping")
    async def ping() -> Response:
        """Answer 200 while models are served, else 404, as MLflow does."""
        return Response("\n", 200 if service.served() else 404, media_type="application/json")

    @router.get("/version")
    async def protocol_version() -> Response:
        """Return the version of MLflow."""
        return Response(_mlflow_version(), media_type="text/plain")

    return Interface("scoring", ("/invocations", "/ping", "/version"), router, error_response)


def error_response(fault: Fault) -> Response:
    """Return `{"error_code": ..., "message": ...}`."""
    code = _CODES.get(fault.status, "BAD_REQUEST" if fault.status < 500 else "INTERNAL_ERROR")
    return JSONResponse({"error_code": code, "message": fault.message}, fault.status)


def _mlflow_version() -> str:
    try:
        return version("mlflow")
    except PackageNotFoundError:
        return version("mlflow-skinny")


def _read(content_type: str, body: bytes) -> tuple[list[str], Mapping[str, Any]]:
    """Return the texts of a body, and its params.

    Raises:
        RequestError: the body is not valid.
        HTTPException: 415, for another content type.
    """
    kind, _, rest = content_type.partition(";")
    kind = kind.strip().lower()
    charset = rest.strip().lower().removeprefix("charset=").strip('"')
    if kind not in _KINDS or charset not in ("", "utf-8", "utf8"):
        raise HTTPException(
            415, f"the content type is {content_type or 'missing'}; send {' or '.join(_KINDS)} in UTF-8"
        )
    return (_csv_texts(body), {}) if kind == "text/csv" else _json_texts(body)


def _csv_texts(body: bytes) -> list[str]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise RequestError(f"the body is not valid CSV: {error}") from error
    if not rows:
        raise RequestError("the CSV is empty; its first line names the columns")
    return _column(rows[0], rows[1:])


def _json_texts(body: bytes) -> tuple[list[str], Mapping[str, Any]]:
    found = read_object(body)
    given = [form for form in _FORMS if form in found]
    if len(given) != 1:
        raise RequestError(f"the body must be a JSON object with exactly one of {', '.join(_FORMS)}")
    params = found.get("params") or {}
    if not isinstance(params, dict):
        raise RequestError("params: must be an object")
    return _texts(given[0], found[given[0]]), params


def _texts(form: str, data: Any) -> list[str]:
    """Return the texts of a JSON form."""
    match form, data:
        case "dataframe_split", {"data": list(rows)} if all(isinstance(row, list) for row in rows):
            columns = data.get("columns") or list(range(max(map(len, rows), default=1)))
            if isinstance(columns, list):
                return _column(columns, rows)
        case (("dataframe_records" | "instances" | "inputs"), [dict(), *_]) if all(
            isinstance(row, dict) for row in data
        ):
            name = COLUMN if any(COLUMN in row for row in data) else next(iter(data[0]), COLUMN)
            return _strings([row.get(name) for row in data])
        case "dataframe_records", []:
            return []
        case "inputs", str():
            return [data]
        case "inputs", dict() if data:
            values = data.get(COLUMN, next(iter(data.values())))
            return _strings(values if isinstance(values, list) else [values])
        case (("instances" | "inputs"), list()):
            return _strings([row[0] if isinstance(row, list) and len(row) == 1 else row for row in data])
    raise RequestError(f"{form}: has the wrong form; see https://mlflow.org/docs/latest/ml/deployment")


def _column(columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return the texts of the column `source`, or of the first one."""
    place = columns.index(COLUMN) if COLUMN in columns else 0
    return _strings([row[place] if place < len(row) else None for row in rows])


def _strings(values: Sequence[Any]) -> list[str]:
    for row, value in enumerate(values):
        if not isinstance(value, str):
            what = "null" if value is None else f"of type {type(value).__name__}"
            raise RequestError(f"row {row}, counted from 0, is {what}; every row must be a string")
    return list(values)


def _target(service: Service, params: Mapping[str, Any]) -> str:
    """Return the target language. Raises `RequestError` if a parameter is not supported, or several are possible."""
    if fixed := sorted(params.keys() - {"language"}):
        raise RequestError(f"params: {', '.join(fixed)} cannot be set while a model is served; valid is language")
    language = params.get("language") or ""
    if not isinstance(language, str):
        raise RequestError("params: language must be a string")
    targets = sorted({direction.target for direction in service.directions()})
    if not language and len(targets) != 1:
        raise RequestError(f"params: language is required; valid are {', '.join(targets)}")
    return language or targets[0]
