"""The page and the routes that its script calls; they are not a public API."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seqloom.errors import DirectionError
from seqloom.serving.documents import suffixes
from seqloom.serving.fields import parse
from seqloom.serving.insights import admit_bearer, read_json
from seqloom.serving.interface import VERSION_HEADER, Context, Fault, Interface
from seqloom.serving.language_names import language_name
from seqloom.serving.matching import find_detected, find_direction
from seqloom.serving.service import Query
from seqloom.translation.results import Result

_HERE = Path(__file__).parent
_FILES = {"page.css": "text/css"} | {path.name: "text/javascript" for path in sorted(_HERE.glob("*.js"))}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class TranslateFields(BaseModel):
    """A text to translate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    target: str
    source: str = ""  # empty: detect it
    alternatives: Annotated[int, Field(ge=0)] = 0
    version: str = ""  # as in `Served`; empty: the one that other clients get


def interface(context: Context) -> Interface:
    """Return the routes `/` and those below `/page/`."""
    router = APIRouter(include_in_schema=False)
    files = {name: (_HERE / name).read_bytes() for name in ("index.html", *_FILES)}

    @router.get("/")
    async def page() -> Response:
        return Response(files["index.html"], media_type="text/html", headers=_HEADERS)

    for name, kind in _FILES.items():
        router.add_api_route(f"/page/{name}", _file(files[name], kind), methods=["GET"])

    @router.get("/page/state")
    async def state() -> dict[str, Any]:
        return _state(context)

    @router.get("/page/served")
    async def served(request: Request) -> dict[str, Any]:
        admit_bearer(context, request)
        found = context.service.served()
        return {"served": [each._asdict() | {"directions": list(map(str, each.directions))} for each in found]}

    @router.post("/page/translate")
    async def translate(request: Request) -> JSONResponse:
        return await _translate(context, request)

    return Interface("page", ("/page/",), router, error_response)


def error_response(fault: Fault) -> Response:
    """Return `{"error": message}`."""
    return JSONResponse({"error": fault.message}, fault.status)


def _file(content: bytes, kind: str) -> Any:
    async def send() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return send


def _state(context: Context) -> dict[str, Any]:
    """Return what the script needs to know before the first text."""
    directions, limits = context.service.directions(), context.service.limits
    codes = sorted({code for direction in directions for code in direction})
    return {
        "directions": [direction._asdict() for direction in directions],
        "names": {code: language_name(code) for code in codes},
        "limits": {"characters": limits.characters, "alternatives": limits.alternatives},
        "key_required": context.access.key_required,
        "suggestions": context.settings.corrections is not None,
        "files": suffixes(),
    }


async def _translate(context: Context, request: Request) -> JSONResponse:
    client, service = admit_bearer(context, request), context.service
    fields = parse(TranslateFields, await read_json(request))
    served, detected = service.directions(), None
    if fields.source:
        direction = find_direction(served, fields.source, fields.target)
    else:
        direction, detected = find_detected(served, service.detect(fields.text), fields.target)
    query = Query((fields.text,), direction, fields.alternatives + 1, client, fields.version)
    (answer,) = await context.translate(request, query)
    if fields.version and answer.version != fields.version:
        raise DirectionError(f"version {fields.version} is not served any more; reload the page")
    content = {
        "translations": [_shown(result) for result in answer.results[0]],
        "version": answer.version,
        "source": direction.source,
        "target": direction.target,
        "detected": None if detected is None else detected.confidence,
    }
    return JSONResponse(content, headers={VERSION_HEADER: answer.version})


def _shown(result: Result) -> dict[str, Any]:
    return {"text": result.text, "flags": list(result.flags), "confidence": result.confidence}
