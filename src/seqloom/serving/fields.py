"""Read the fields of a request: from JSON, an HTML form or the query, whichever the client sends."""

import json
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import ImmutableMultiDict, UploadFile
from starlette.requests import Request

from seqloom.errors import RequestError

_MOST_FIELDS = 10_000  # of a form
_Record = TypeVar("_Record", bound=BaseModel)


async def read_fields(request: Request) -> dict[str, Any]:
    """Return the fields of a request; those of the body take precedence over the query. Values of null are left out.

    A field of a form or query that occurs several times is a list. A body that is neither JSON nor a form is ignored.

    Raises:
        RequestError: the body is broken JSON or no object, or a field is a file or not valid Unicode.
    """
    fields = _listed(request.query_params)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        fields |= _listed(_form(await request.body()))
    elif kind == "multipart/form-data":
        async with request.form() as form:  # closes files
            fields |= _listed(form)
    else:
        body = await request.body()
        if body and (kind.endswith("json") or body.lstrip().startswith(b"{")):
            fields |= read_object(body)
    return {name: value for name, value in fields.items() if value is not None}


class FileForm(NamedTuple):
    """A form with a file."""

    fields: dict[str, Any]  # the others
    name: str
    content: bytes


async def read_file(request: Request) -> FileForm:
    """Return the fields of a form with a file in `file`. Raises `RequestError` if there is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise RequestError("a document is sent as multipart/form-data, in the field `file`")
    async with request.form() as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise RequestError("file is missing, or has no name")
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        return FileForm(fields, file.filename or "", await file.read())


def parse(record: type[_Record], fields: dict[str, Any]) -> _Record:
    """Return the fields as a record. Raises `RequestError`, which names the first field that is wrong."""
    try:
        return record.model_validate(fields)
    except ValidationError as error:
        fault = error.errors()[0]
        where = str(fault["loc"][0]) if fault["loc"] else "the request"
        if fault["type"] == "missing":
            raise RequestError(f"{where} is missing") from None
        raise RequestError(f"{where}: {fault['msg'][0].lower()}{fault['msg'][1:]}") from None


def _listed(values: ImmutableMultiDict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in values:
        found = values.getlist(name)
        for value in found:
            if not isinstance(value, str):
                raise RequestError(f"{name}: a file is not accepted here; send text")
        fields[name] = found if len(found) > 1 else found[0]
    return fields


def _form(body: bytes) -> ImmutableMultiDict[str, str]:
    """Return the fields of an HTML form. Starlette would misread bytes that are not escaped, as in `curl -d q=Tür`."""
    try:
        pairs = parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise RequestError(f"the form has more than {_MOST_FIELDS:,} fields") from error
    return ImmutableMultiDict(pairs)


def read_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises `RequestError` if the body is none, or has text that is not valid Unicode."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RequestError(f"the body is not valid JSON: {reason}") from error
    if not isinstance(content, dict):
        raise RequestError("the body must be a JSON object")
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise RequestError("the body contains half of a surrogate pair, which is not a character") from error
    return content
