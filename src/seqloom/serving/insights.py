"""Routes of seqloom's own, below /seqloom/: the drift of texts, and the attention of a model to a text."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seqloom.errors import RequestError
from seqloom.serving.fields import parse, read_object
from seqloom.serving.interface import VERSION_HEADER, Context, Fault, Interface
from seqloom.serving.matching import find_direction
from seqloom.serving.service import Query

_SCHEME = "bearer "


class AttentionRequest(BaseModel):
    """POST /seqloom/attention."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    translation: str = Field(description="as the model wrote it, or any other")
    source: str = Field(description="the code of the language of the text")
    target: str = Field(description="the code of the language of the translation")
    version: str = Field("", description="one of the versions that are served; empty: the one for this direction")


def interface(context: Context) -> Interface:
    """Return the routes below `/seqloom/`."""
    router = APIRouter(prefix="/seqloom")
    body = {"requestBody": {"content": {"application/json": {"schema": AttentionRequest.model_json_schema()}}}}

    @router.get("/drift")
    async def drift(request: Request) -> dict[str, Any]:
        """Return how far the texts of requests are from those of training."""
        admit_bearer(context, request)
        settings = context.settings
        return {
            "bound": settings.drift_bound,
            "minutes": settings.drift_minutes,
            "models": [each._asdict() for each in context.service.drift()],
        }

    @router.post("/attention", openapi_extra=body)
    async def attention(request: Request) -> JSONResponse:
        """Return how the model attends to the pieces of a text while it writes a translation."""
        client = admit_bearer(context, request)
        asked = parse(AttentionRequest, await read_json(request))
        direction = find_direction(context.service.directions(), asked.source, asked.target)
        query = Query((asked.text,), direction, client=client, version=asked.version)
        seen = await context.service.attention(query, asked.translation)
        rows = [[round(share, 4) for share in row] for row in seen.picture.weights]
        content = seen.picture._asdict() | {"weights": rows, "version": seen.version}
        return JSONResponse(content, headers={VERSION_HEADER: seen.version})

    return Interface("seqloom", ("/seqloom/",), router, error_response)


def error_response(fault: Fault) -> Response:
    """Return `{"error": message}`."""
    return JSONResponse({"error": fault.message}, fault.status)


def admit_bearer(context: Context, request: Request) -> str:
    """Admit a request by the key in `Authorization: Bearer KEY`; see `Context.admit`."""
    header = request.headers.get("authorization", "")
    key = header[len(_SCHEME) :].strip() if header.lower().startswith(_SCHEME) else None
    return context.admit(request, key)


async def read_json(request: Request) -> dict[str, Any]:
    """Return the fields of a JSON body. Raises `RequestError` if it is something else.

    Pages of other origins can send forms without asking, but not JSON.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise RequestError("send JSON")
    return read_object(await request.body())
